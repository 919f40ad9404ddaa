"""Reads checkpoints from every source as data, without running code in them.

mmengine picks a loader by the scheme of an address (``CheckpointLoader``): a path, ``http(s)://``,
``open-mmlab://``, ``torchvision://``, ``mmcls://``, ``pavi://``, ``s3://`` and those that others
register. All of them call ``torch.load``, some of them in its unrestricted mode.
:func:`install_checkpoint_reader` makes every loader run in :func:`weights_only_mode` instead. It
does not reach a user's loader that unpickles by other means than ``torch.load``.
"""

import contextlib
import functools
import os
import os.path as osp
import pickle
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

# torch reads these at every load: the first forces the restricted mode, the second disables it.
_FORCE, _LIFT = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD', 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
_lock = threading.RLock()
_depth = 0


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


def _checkpoint_globals() -> list:
    """The globals, besides torch's own, in a checkpoint that mmengine's Runner wrote."""
    import numpy as np
    from mmengine.logging import HistoryBuffer

    multiarray = (np._core if hasattr(np, '_core') else np.core).multiarray
    served: dict[str, Any] = {
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


@contextlib.contextmanager
def weights_only_mode() -> Iterator[None]:
    """Restrict every ``torch.load`` inside the context, whatever its arguments, to data.

    Besides tensors and plain containers, exactly the globals that mmengine's Runner writes are
    allowed (``HistoryBuffer`` and its methods, numpy arrays and scalars, ``deque``).
    """
    import torch

    global _depth
    with _lock:
        if _depth:
            yield
            return
        before = {name: os.environ.pop(name, None) for name in (_FORCE, _LIFT)}
        os.environ[_FORCE] = '1'
        _depth += 1
        try:
            with torch.serialization.safe_globals(_checkpoint_globals()):
                yield
        finally:
            _depth -= 1
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


@contextlib.contextmanager
def _one_line_errors(checkpoint: str) -> Iterator[None]:
    """Turn the error of a reader into one line that names the checkpoint."""
    try:
        yield
    except pickle.UnpicklingError as e:
        named = re.search(r'GLOBAL (\S+)|(getattr\(.*?\)) is not', str(e))
        reason = (
            f'it names {named[1] or named[2]}, which is not tensor data and was not run'
            if named
            else 'not a checkpoint, or a truncated one'
        )
        raise ValueError(f'checkpoint {checkpoint} was refused: {reason}') from None
    except RuntimeError as e:
        reason = str(e).strip().split('\n')[0].split('. ')[0]
        raise ValueError(
            f'checkpoint {checkpoint} cannot be read (truncated or no checkpoint): {reason}'
        ) from None


def is_local(checkpoint: str) -> bool:
    """Return whether a checkpoint is named by a path or an address ``file://``."""
    return '://' not in checkpoint or checkpoint.startswith('file://')


def local_path(checkpoint: str) -> str:
    """Return the path that a path with ``~`` or an address ``file://`` stands for."""
    if checkpoint.startswith('file://'):
        checkpoint = url2pathname(urlparse(checkpoint).path)
    return osp.expanduser(checkpoint)


def check_checkpoint_exists(checkpoint: str) -> None:
    """Raise a FileNotFoundError or an IsADirectoryError unless a local checkpoint is a file."""
    path = local_path(checkpoint)
    if osp.isdir(path):
        raise IsADirectoryError(f'checkpoint {checkpoint} is a folder: name a file in it')
    if not osp.isfile(path):
        raise FileNotFoundError(f'checkpoint {checkpoint} does not exist')


def load_checkpoint_file(filename: str | os.PathLike, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint without running code in it (:func:`weights_only_mode`).

    Args:
        filename: Path of a local file; it may begin with ``~`` or ``file://``.
        map_location: See :func:`torch.load`.

    Raises:
        FileNotFoundError, IsADirectoryError: There is no such file.
        ValueError: The file is truncated, no checkpoint, or names a global that is not allowed
            (that global is not called).
    """
    filename = os.fspath(filename)
    check_checkpoint_exists(filename)
    return _read(local_path(filename), filename, map_location)


def _read(path: str, name: str, map_location: Any) -> Any:
    """Read a file; ``name`` stands for it in errors."""
    import torch

    with _one_line_errors(name), weights_only_mode():
        try:
            loaded = torch.load(path, map_location=map_location, weights_only=True)
        except (EOFError, KeyError, UnicodeDecodeError) as e:
            raise pickle.UnpicklingError(str(e)) from None
        except (OSError, ImportError) as e:
            raise RuntimeError(str(e)) from None
    return _without_compile_prefix(loaded)


def _without_compile_prefix(loaded: Any) -> Any:
    """Name the tensors of a module in ``torch.compile`` as they are called without it."""
    state = loaded.get('state_dict', loaded) if isinstance(loaded, dict) else None
    if isinstance(state, dict):
        for name in [name for name in state if '_orig_mod.' in str(name)]:
            state[name.replace('_orig_mod.', '')] = state.pop(name)
    return loaded


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """Read a checkpoint from the web; a file that was read before comes from the cache.

    This replaces ``torch.hub.load_state_dict_from_url``, which keeps a download that broke off and
    a file that was refused, and gives the file of another address with an equal last part. The
    arguments are the same; ``weights_only`` is always on. A file in the cache that was not fetched
    here, such as one put there by hand, stands for every address that ends in its name.

    Raises:
        OSError: The server does not answer, or the download broke off. Nothing is kept. The message
            says where to put a file that was fetched by other means.
        ValueError: See :func:`load_checkpoint_file`. Nothing is kept.
    """
    from mmengine.fileio import get_text
    from torch.hub import HASH_REGEX, get_dir

    from .utils.download import download
    from .utils.made_files import text_digest
    from .utils.tooling import atomic_file, write_text

    name = file_name or osp.basename(unquote(urlparse(url).path))
    if name in ('', '.', '..'):
        raise ValueError(f'checkpoint {url} ends in no name of a file')
    path = osp.join(model_dir or osp.join(get_dir(), 'checkpoints'), name)
    # Beside each file is the digest of its address, which may hold a password.
    origin, address = f'{path}.origin', text_digest(url)
    if osp.isfile(path) and (not osp.isfile(origin) or get_text(origin) == address):
        name = f'{path} (fetched earlier: delete it to fetch {url} again)'
        return _read(path, name, map_location)
    hashed = HASH_REGEX.search(name) if check_hash else None
    with atomic_file(path) as temporary:
        try:
            download(url, temporary, progress, hashed[1] if hashed else '')
        except OSError as e:
            raise OSError(
                f'{e}; without a network, fetch it elsewhere and put it at {path}'
            ) from None
        loaded = _read(temporary, url, map_location)
        write_text(origin, address)
    return loaded


def _restricted(loader: Callable) -> Callable:
    """Wrap a loader of ``CheckpointLoader`` so that it runs in :func:`weights_only_mode`."""

    @functools.wraps(loader)
    def load(filename: str, *args: Any, **kwargs: Any) -> Any:
        try:
            with _one_line_errors(filename), weights_only_mode():
                return loader(filename, *args, **kwargs)
        except KeyError as e:
            raise ValueError(f'checkpoint {filename}: there is no model called {e}') from None

    return load


def install_checkpoint_reader() -> None:
    """Make mmengine read checkpoints of every scheme, later ones too, in restricted mode."""
    from mmengine.runner import checkpoint

    # mmengine logs what comes behind "load_from_" in the name.
    def load_from_local(filename: str, map_location: Any = None) -> Any:
        return load_checkpoint_file(filename, map_location)

    find = checkpoint.CheckpointLoader._get_checkpoint_loader
    checkpoint.CheckpointLoader.register_scheme('', load_from_local, force=True)
    checkpoint.CheckpointLoader._get_checkpoint_loader = staticmethod(
        lambda path: _restricted(find(path))
    )
    checkpoint.load_url = load_url
