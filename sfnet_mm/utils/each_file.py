"""Processes many files: it names those that cannot be used, and goes on with the others."""

import sys
from collections.abc import Callable, Mapping

import cv2
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .tooling import first_line


def for_each_file(
    files: Mapping[str, str], work: Callable[[str, str, Progress], None]
) -> list[str]:
    """Call ``work(name, path, progress)`` for each file, and show a bar of progress.

    A file that is damaged, too small or gone is named on stderr; any other error, such as a full
    disk, ends the run. Messages that are printed meanwhile stand above the bar.

    Args:
        files: Path of each file by its name.
        work: Processes one file. It raises ValueError, RuntimeError, cv2.error or
            FileNotFoundError for a file that it cannot use, and may add a task to ``progress``.

    Returns:
        list[str]: One line for each file that could not be used.
    """
    failures: list[str] = []
    what = TextColumn('{task.description}')
    with Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), what) as progress:
        task = progress.add_task('', total=len(files))
        for name, path in files.items():
            progress.update(task, description=name)
            try:
                work(name, path, progress)
            except (ValueError, RuntimeError, cv2.error, FileNotFoundError) as e:
                reason = first_line(e)
                failures.append(reason if path in reason else f'{path}: {reason}')
                print(f'failed: {failures[-1]}', file=sys.stderr)
            progress.advance(task)
        progress.update(task, description='')
    return failures


def check_failures(failures: list[str], total: int) -> None:
    """Raise a ValueError that counts the failed files and names the first, if there are any."""
    if failures:
        raise ValueError(f'{len(failures)} of {total} files failed: {failures[0]}')
