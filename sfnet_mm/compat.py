"""What sfnet_mm needs from its hosts, and two host defects mended in one place.

1. ``mmcv`` without its compiled ``mmcv._ext`` (mmcv-lite, or a source install inside pip's build
   isolation): ``mmseg.models`` and ``mmdet.models`` import ``mmcv.ops`` unconditionally and fail
   (open-mmlab/mmcv#2949). ``provide_mmcv_ops`` makes the import work and the *call* fail instead.
2. Runner checkpoints under torch >= 2.6, whose ``torch.load`` refuses mmengine's ``HistoryBuffer``
   (open-mmlab/mmengine#1655). ``load_checkpoint_file`` reads them in torch's ``weights_only`` mode
   with a list of the exact globals that mmengine writes.
"""

import importlib
import os.path as osp
import pickle
import re
import sys
from collections import deque
from importlib import metadata
from types import ModuleType
from typing import Any, Callable, Dict, List, Optional, Tuple

from packaging.specifiers import SpecifierSet

# Distribution name -> versions, for the two families that publish the same import names.
HOSTS = {
    'OpenMMLab': {
        ('mmcv', 'mmcv-lite'): '>=2.0.0,<2.2.0',
        ('mmengine', 'mmengine-lite'): '>=0.8.0,<1.0.0',
        ('mmsegmentation',): '>=1.1.0,<1.3.0',
    },
    'OneDL': {
        ('onedl-mmcv',): '>=2.3.0,<3.0.0',
        ('onedl-mmengine',): '>=0.10.8,<1.0.0',
        ('onedl-mmsegmentation',): '>=1.4.0,<2.0.0',
    },
}
INSTALL = {
    'OpenMMLab': 'pip install mmcv-lite==2.1.0 mmengine==0.10.7 mmsegmentation==1.2.2',
    'OneDL': 'pip install onedl-mmcv==2.3.6 onedl-mmengine==0.10.12 onedl-mmsegmentation==1.4.2',
}


def _installed_version(names: Tuple[str, ...]) -> Optional[str]:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def host_family() -> str:
    """Name of the installed host family: ``'OneDL'`` or ``'OpenMMLab'`` (also if none is there)."""
    names = next(names for names in HOSTS['OneDL'] if 'mmsegmentation' in names[0])
    return 'OneDL' if _installed_version(names) else 'OpenMMLab'


def check_hosts() -> None:
    """Check mmcv, mmengine and mmsegmentation before they are imported.

    Raises:
        ImportError: One line naming each host that is missing or of an untested version, and the
            command that installs the tested ones.
    """
    family = host_family()
    problems = []
    for names, versions in HOSTS[family].items():
        version = _installed_version(names)
        if version is None:
            problems.append(f'{names[0]} is not installed')
        elif not SpecifierSet(versions, prereleases=True).contains(version):
            problems.append(f'{names[0]} {version} is not in {versions}')
    if problems:
        raise ImportError(
            f'sfnet_mm cannot use its {family} hosts: {"; ".join(problems)}. '
            f'Install them with: {INSTALL[family]}'
        )


def _missing_op(name: str) -> Callable:
    def op(*args, **kwargs):
        raise NotImplementedError(
            f'mmcv.ops: {name} needs the compiled mmcv, which is not installed: make install-full'
        )

    return op


class _MissingExt(ModuleType):
    """Stands in for ``mmcv._ext`` while ``mmcv.ops`` is imported: every function raises."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)
        return _missing_op(name)


def provide_mmcv_ops() -> bool:
    """Make ``mmcv.ops`` importable where mmcv has no compiled extension.

    The stand-in is taken out of ``sys.modules`` again, so that mmengine's
    ``mmcv_full_available()`` still says that there are no ops.

    Returns:
        bool: Whether the stand-in was needed.

    Raises:
        ImportError: The extension is there but was built for another torch.
    """
    try:
        importlib.import_module('mmcv.ops')
        return False
    except ModuleNotFoundError as e:
        if e.name != 'mmcv._ext':
            raise
    except ImportError as e:
        raise ImportError(
            f'mmcv._ext does not load with the installed torch ({e}): '
            'rebuild it with make install-full, or install mmcv-lite'
        ) from e
    sys.modules['mmcv._ext'] = _MissingExt('mmcv._ext')
    try:
        importlib.import_module('mmcv.ops')
    finally:
        del sys.modules['mmcv._ext']
    return True


def _history_buffer_method(owner: Any, name: str) -> Any:
    """Serve pickle's ``getattr``: a ``HistoryBuffer`` stores its own public methods by name."""
    from mmengine.logging import HistoryBuffer

    if (
        owner is not HistoryBuffer
        or name.startswith('_')
        or not callable(getattr(HistoryBuffer, name, None))
    ):
        raise pickle.UnpicklingError(f'getattr({owner!r}, {name!r}) is not allowed in a checkpoint')
    return getattr(HistoryBuffer, name)


def _checkpoint_globals() -> List:
    """The globals, beside torch's own, that a checkpoint written by mmengine's Runner names."""
    import numpy as np
    from mmengine.logging import HistoryBuffer

    multiarray = (np._core if hasattr(np, '_core') else np.core).multiarray
    served: Dict[str, Any] = {
        'builtins.getattr': _history_buffer_method,
        '__builtin__.getattr': _history_buffer_method,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
        'collections.deque': deque,
    }
    for core in ('numpy.core', 'numpy._core'):
        served[f'{core}.multiarray._reconstruct'] = multiarray._reconstruct
        served[f'{core}.multiarray.scalar'] = multiarray.scalar
    dtypes = [type(np.dtype(code)) for code in '?bBhHiIlLqQefdSU']
    return [HistoryBuffer, *dtypes, *((value, name) for name, value in served.items())]


def load_checkpoint_file(filename: str, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint without running code that it may carry.

    Plain ``weights_only`` reading, plus exactly the globals that mmengine's Runner writes
    (``HistoryBuffer`` and its methods, numpy arrays and scalars, ``deque``).

    Args:
        filename: Path of a local file.
        map_location: As in :func:`torch.load`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is truncated, no checkpoint, or names a global that is not allowed
            (that global is not called).
    """
    import torch

    filename = osp.expanduser(filename)
    if not osp.isfile(filename):
        raise FileNotFoundError(f'checkpoint {filename} does not exist')
    try:
        with torch.serialization.safe_globals(_checkpoint_globals()):
            return torch.load(filename, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as e:
        named = re.search(r'GLOBAL (\S+)|(getattr\(.*?\)) is not', str(e))
        reason = (
            f'it names {named[1] or named[2]}, which is no tensor data and was not run'
            if named
            else 'not a checkpoint, or a truncated one'
        )
        raise ValueError(f'checkpoint {filename} was refused: {reason}') from None
    except (RuntimeError, EOFError, OSError, KeyError, UnicodeDecodeError, ImportError) as e:
        reason = str(e).strip().split('\n')[0].split('. ')[0]
        raise ValueError(
            f'checkpoint {filename} cannot be read (truncated or no checkpoint): {reason}'
        ) from None


def register_checkpoint_loader() -> bool:
    """Route mmengine's local checkpoint loading through :func:`load_checkpoint_file`.

    Returns:
        bool: Whether that was needed (mmengine's own loader refuses Runner checkpoints, or loads
        them without restriction).
    """
    from mmengine.runner.checkpoint import CheckpointLoader

    def load_from_local(filename: str, map_location: Any = None) -> Any:
        return load_checkpoint_file(filename, map_location)

    CheckpointLoader.register_scheme('', load_from_local, force=True)
    return True


def install() -> None:
    """Mend both host defects; called once when sfnet_mm is imported."""
    provide_mmcv_ops()
    register_checkpoint_loader()
