"""What several tools share: sizes, whole files, pages, tables, optional packages, errors."""

import argparse
import contextlib
import os
import os.path as osp
import re
import shutil
import statistics
import sys
import traceback
from importlib import import_module
from typing import Any, Iterator, Sequence, Tuple, Type


def image_size(text: str) -> Tuple[int, int]:
    """(height, width) of ``HEIGHTxWIDTH``, as a ``type`` of argparse.

    Raises:
        argparse.ArgumentTypeError: Another form.
    """
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r} is not HEIGHTxWIDTH, such as 1024x2048')
    return int(match[1]), int(match[2])


@contextlib.contextmanager
def whole_file(path: str, suffix: str = '') -> Iterator[str]:
    """The name to write a file under: it gets its own in the end, and is gone after an error.

    Its folder is made.

    Args:
        path: Of the file.
        suffix: Of the temporary name, where the writer chooses the format by it.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    temporary = f'{path}.{os.getpid()}.tmp{suffix}'
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)


@contextlib.contextmanager
def whole_folder(path: str) -> Iterator[str]:
    """The name to make a folder under: it replaces the one at ``path`` in the end.

    After an error it is gone, and what was at ``path`` is still there.
    """
    temporary = f'{path}.{os.getpid()}.tmp'
    os.makedirs(temporary)
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_folder(path: str) -> None:
    """Raise a ``FileNotFoundError`` unless the folder of a file that is to be written exists."""
    folder = osp.dirname(osp.abspath(path))
    if not osp.isdir(folder):
        raise FileNotFoundError(f'{path} cannot be written: make the folder {folder} first')


def write_text(path: str, text: str) -> None:
    """Write a file, and its folder; the file is whole at any time."""
    with whole_file(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
        file.write(text)


def replace_between(text: str, begin: str, end: str, new: str, name: str) -> str:
    """A page with ``new`` between two marks; ``name`` is that of the page.

    Raises:
        SystemExit: The page does not have each mark once.
    """
    if text.count(begin) != 1 or text.count(end) != 1:
        raise SystemExit(f'error: {name} lacks its markers {begin.strip()} and {end.strip()}')
    return text.partition(begin)[0] + begin + new + end + text.partition(end)[2]


def mean_and_spread(values: Sequence[float], digits: int = 2) -> str:
    """``mean ± standard deviation``; the mean alone of a single value."""
    spread = f' ± {statistics.stdev(values):.{digits}f}' if len(values) > 1 else ''
    return f'{statistics.mean(values):.{digits}f}{spread}'


def require(name: str, remedy: str, title: str = '') -> Any:
    """An optional package.

    Args:
        name: Of its module.
        remedy: How to install it.
        title: What people call it, if not by its module.

    Raises:
        ImportError: It is not installed; says the remedy.
    """
    try:
        return import_module(name)
    except ImportError:
        raise ImportError(f'{title or name} is not installed: {remedy}') from None


def first_line(error: Exception) -> str:
    """The first line of its message."""
    return str(error).strip().split('\n')[0]


@contextlib.contextmanager
def one_error_line(*more: Type[Exception], trace: bool = False) -> Iterator[None]:
    """End the program after an error with ``error: ...`` as its last line; may decorate ``main``.

    Args:
        more: Caught besides what a bad file, argument or setting raises (``OSError``,
            ``ValueError``, ``ImportError``, ``argparse.ArgumentTypeError``). Any other exception is
            a defect and keeps its traceback.
        trace: Catch every exception, and show its traceback before the line.
    """
    expected = (OSError, ValueError, ImportError, argparse.ArgumentTypeError, *more)
    if trace:
        expected = (Exception,)
    try:
        yield
    except expected as e:
        text = str(e).strip()
        # An error in a process that loads data holds its traceback; its last line is the error.
        line = text.split('\n')[-1 if 'Original Traceback' in text else 0]
        if trace:
            traceback.print_exc()
            sys.stdout.flush()
        raise SystemExit(f'error: {line or type(e).__name__}') from None
