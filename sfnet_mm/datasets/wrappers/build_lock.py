"""A file that says who is building something that other processes wait for."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import Callable


class BuildLock:
    """Lets exactly one process build a file; whoever waits takes over if the builder dies.

    It needs no process group: ranks of one job, of several jobs and of several machines on a shared
    file system all meet at the file. The builder calls :meth:`beat` at least every few seconds.

    Args:
        path: The lock file.
        stale_after: Seconds without a beat after which the builder counts as dead. A builder on
            this machine whose process is gone counts as dead at once.
        poll: Seconds between two looks at the file.
    """

    def __init__(self, path: os.PathLike, stale_after: float = 60.0, poll: float = 0.2) -> None:
        self.path = Path(path)
        self.stale_after = stale_after
        self.poll = poll

    def acquire(self, done: Callable[[], bool]) -> bool:
        """Become the builder, or wait until ``done()``.

        Returns:
            bool: True for the builder, who must call :meth:`release`; False if it is done.
        """
        while not done():
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                if self._builder_is_dead():
                    self.release()
                else:
                    time.sleep(self.poll)
                continue
            with os.fdopen(handle, 'w') as file:
                file.write(f'{socket.gethostname()} {os.getpid()}')
            # The last builder may have finished between the look and the creation.
            if done():
                self.release()
                break
            return True
        return False

    def beat(self) -> None:
        """Say that the builder is alive; any process that helps it may call this."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path)

    def release(self) -> None:
        """Let go of the lock."""
        self.path.unlink(missing_ok=True)

    def _builder_is_dead(self) -> bool:
        try:
            age = time.time() - self.path.stat().st_mtime
            owner = self.path.read_text().split()
        except FileNotFoundError:
            return False
        if age > self.stale_after:
            return True
        if len(owner) != 2 or owner[0] != socket.gethostname() or not owner[1].isdigit():
            return False
        try:
            os.kill(int(owner[1]), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return False
