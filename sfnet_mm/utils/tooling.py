"""Provides helpers for the tools: image sizes, atomic files, optional packages and errors."""

import argparse
import contextlib
import json
import os
import os.path as osp
import re
import shutil
import statistics
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any


def image_size(text: str) -> tuple[int, int]:
    """Parse ``HEIGHTxWIDTH`` to (height, width), as a ``type`` of argparse.

    Raises:
        argparse.ArgumentTypeError: The text has another form.
    """
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r} is not HEIGHTxWIDTH, such as 1024x2048')
    return int(match[1]), int(match[2])


def file_stem(path: str | os.PathLike) -> str:
    """Return the name of a file without its folder and its last suffix."""
    return osp.splitext(osp.basename(path))[0]


@contextlib.contextmanager
def atomic_file(path: str, suffix: str = '') -> Iterator[str]:
    """Give a temporary path that is renamed to ``path`` in the end and removed after an error.

    The folder of the file is made.

    Args:
        path: Path of the file.
        suffix: Suffix of the temporary name, for writers that choose the format by it.

    Raises:
        OSError: The file cannot be written. The message names it, as that of a full disk does not.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    temporary = f'{path}.{os.getpid()}.tmp{suffix}'
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as e:
        if e.errno is None or e.filename is not None:
            raise
        raise OSError(f'{path} cannot be written: {e.strerror}') from e
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


@contextlib.contextmanager
def atomic_folder(path: str) -> Iterator[str]:
    """Give a temporary folder that replaces the one at ``path`` in the end.

    After an error the temporary folder is removed, and ``path`` is as it was.
    """
    temporary = f'{path}.{os.getpid()}.tmp'
    os.makedirs(temporary)
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def locked_folder(path: str) -> Iterator[None]:
    """Hold a folder, as far as its file system can; the end of the process frees it, too.

    Raises:
        BlockingIOError: Another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    folder = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(
                f'another process writes into {path}: wait for it, or choose another folder'
            ) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(folder)


def check_out_file(path: str) -> None:
    """Refuse a file that could not be written in the end, before any work is done for it.

    Raises:
        OSError: Its folder does not exist or takes no files, or the path is a folder.
    """
    folder = osp.dirname(osp.abspath(path))
    if not osp.isdir(folder):
        raise FileNotFoundError(f'{path} cannot be written: make the folder {folder} first')
    if osp.isdir(path):
        raise IsADirectoryError(f'{path} cannot be written: it is a folder, name a file in it')
    _check_takes_files(folder, path)


def check_out_folder(path: str, option: str) -> None:
    """Refuse a folder that takes no files, without making it.

    Raises:
        OSError: No file can be made in it, or in the nearest folder above it that exists.
    """
    folder = osp.abspath(path)
    while not osp.exists(folder):
        folder = osp.dirname(folder)
    _check_takes_files(folder, f'{option} {path}')


def check_conversion(src: str, dst: str) -> None:
    """Raise a ValueError if a file would be converted to itself or to a folder."""
    if osp.exists(dst) and osp.exists(src) and osp.samefile(src, dst):
        raise ValueError(f'DST {dst} is SRC: name another file, SRC is not overwritten')
    if osp.isdir(dst):
        raise ValueError(f'DST {dst} is a folder: name a file in it')


def _check_takes_files(folder: str, name: str) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as e:
        reason = f'{folder} takes no files ({e.strerror}), name another folder'
        raise PermissionError(f'{name} cannot be written: {reason}') from None


def write_text(path: str, text: str) -> None:
    """Write a text file atomically, and make its folder."""
    with atomic_file(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        file.write(text)


def write_json(path: str, value: Any) -> None:
    """Write a value as JSON, atomically, and make the folder of the file."""
    write_text(path, json.dumps(value, indent=1) + '\n')


def read_json(path: str) -> Any:
    """Read a JSON file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not JSON. Both messages name the file.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return json.load(file)
    except FileNotFoundError:
        raise FileNotFoundError(f'{path} does not exist') from None
    except ValueError as e:
        raise ValueError(f'{path} is not a JSON file: {e}') from None


def replace_between(text: str, begin: str, end: str, new: str, name: str) -> str:
    """Return a page with ``new`` between two markers. Errors name the page by ``name``.

    Raises:
        SystemExit: The page does not have each marker exactly once.
    """
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f'error: {name} lacks its markers {begin.strip()} and {end.strip()}')
    return text.partition(begin)[0] + begin + new + end + text.partition(end)[2]


def mean_and_spread(values: Sequence[float], digits: int = 2) -> str:
    """Format values as ``mean ± standard deviation``, or a single value as its mean."""
    spread = f' ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.{digits}f}{spread}'


def require(name: str, remedy: str, title: str = '') -> Any:
    """Import an optional package.

    Args:
        name: Name of its module.
        remedy: How to install it, for the error.
        title: Usual name of the package, if it is not that of its module.

    Raises:
        ImportError: The package is not installed. The message says the remedy.
    """
    try:
        return import_module(name)
    except ImportError:
        raise ImportError(f'{title or name} is not installed: {remedy}') from None


def first_line(error: Any) -> str:
    """Return the first line of an error or of its message."""
    return str(error).strip().split('\n')[0]


@contextlib.contextmanager
def one_error_line(*more: type[Exception], trace: bool = False) -> Iterator[None]:
    """End the program after an error with ``error: ...`` as its last line, as a decorator too.

    Ctrl-C ends it with the message of the ``KeyboardInterrupt``, or ``interrupted``, and exit code
    130, as shells and their scripts expect.

    Args:
        more: Caught besides what a bad file, argument or setting raises (``OSError``,
            ``ValueError``, ``ImportError``, ``argparse.ArgumentTypeError``). Any other exception is
            a defect and keeps its traceback.
        trace: Catch every exception, and show its traceback before the line. The line of one that
            is not expected begins with its type.
    """
    expected = (OSError, ValueError, ImportError, argparse.ArgumentTypeError, *more)
    if trace:
        expected = (Exception,)
    try:
        yield
    except KeyboardInterrupt as e:
        print(str(e) or 'interrupted', file=sys.stderr)
        raise SystemExit(130) from None
    except expected as e:
        text = str(e).strip()
        # An error in a process that loads data holds its traceback; its last line is the error.
        in_worker = 'Original Traceback' in text
        line = text.split('\n')[-1 if in_worker else 0]
        if trace:
            traceback.print_exc()
            if not isinstance(e, (OSError, ValueError, ImportError)) and not in_worker:
                line = f'{type(e).__name__}: {line}'.rstrip(': ')
        sys.stdout.flush()
        raise SystemExit(f'error: {line or type(e).__name__}') from None
