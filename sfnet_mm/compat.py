"""Checks the versions of the hosts and fixes two of their defects.

1. ``mmcv`` without its compiled ``mmcv._ext`` (mmcv-lite, or a source install inside pip's build
   isolation): ``mmseg.models`` and ``mmdet.models`` import ``mmcv.ops`` unconditionally and fail
   (open-mmlab/mmcv#2949). ``provide_mmcv_ops`` makes the import work and the *call* fail instead.
2. Runner checkpoints under torch >= 2.6, whose ``torch.load`` refuses mmengine's ``HistoryBuffer``
   (open-mmlab/mmengine#1655). :mod:`sfnet_mm.checkpoints` reads them, and those from any
   other address, in torch's ``weights_only`` mode with the exact globals that mmengine writes.
"""

import importlib
import sys
from collections.abc import Callable
from importlib import metadata
from types import ModuleType

from packaging.specifiers import SpecifierSet

from .checkpoints import install_checkpoint_reader, load_checkpoint_file

__all__ = ['check_hosts', 'host_family', 'install', 'load_checkpoint_file', 'provide_mmcv_ops']

# The versions by distribution, for the two families that publish the same import names.
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


def _installed_version(names: tuple[str, ...]) -> str | None:
    for name in names:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def host_family() -> str:
    """The installed host family: ``'OneDL'``, or ``'OpenMMLab'``, which is also the default."""
    names = next(names for names in HOSTS['OneDL'] if 'mmsegmentation' in names[0])
    return 'OneDL' if _installed_version(names) else 'OpenMMLab'


def check_hosts() -> None:
    """Check mmcv, mmengine and mmsegmentation before they are imported.

    Raises:
        ImportError: A host is missing or has an untested version. The message names it and the
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
    """Replaces ``mmcv._ext`` while ``mmcv.ops`` is imported; every function raises."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)
        return _missing_op(name)


def provide_mmcv_ops() -> bool:
    """Make ``mmcv.ops`` importable if mmcv has no compiled extension.

    The replacement is removed from ``sys.modules`` again, so that mmengine's
    ``mmcv_full_available()`` still says that there are no ops.

    Returns:
        bool: Whether the replacement was needed.

    Raises:
        ImportError: The extension exists but was built for another torch.
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


def install() -> None:
    """Fix both host defects. This is called once when sfnet_mm is imported."""
    provide_mmcv_ops()
    install_checkpoint_reader()
