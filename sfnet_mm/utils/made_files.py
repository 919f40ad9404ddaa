"""Remembers what each file of a folder was made from, so that a run repeats only what changed."""

import hashlib
import json
import os
import os.path as osp
from collections.abc import Sequence
from typing import Any


def file_digest(path: str) -> str:
    """Compute the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """Compute the hexadecimal SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


class MadeFiles:
    """A record of what the files of a folder were made from.

    It is kept in ``.made_of.jsonl`` in that folder, which gets a line when a file is finished, so
    that a run that is stopped loses nothing. If a file has several lines, the last one counts.

    Args:
        folder: The folder, which need not exist.
    """

    NAME = '.made_of.jsonl'

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.path = osp.join(folder, self.NAME)
        self.made: dict[str, Any] = {}
        if osp.isfile(self.path):
            with open(self.path, encoding='utf-8') as file:
                for line in file:
                    self._read(line)

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self.made[entry['file']] = entry['of']
        except (ValueError, KeyError, TypeError):
            pass  # A stopped run left this line unfinished: its file is made again.

    def has(self, names: Sequence[str], of: dict[str, Any]) -> bool:
        """Return whether all files exist and were made from exactly ``of``."""
        return all(
            self.made.get(name) == of and osp.exists(osp.join(self.folder, name)) for name in names
        )

    def begin(self, names: Sequence[str]) -> None:
        """Remove the entries of files that are about to be replaced."""
        self._write(dict.fromkeys((name for name in names if self.made.get(name)), None))

    def finish(self, names: Sequence[str], of: dict[str, Any]) -> None:
        """Record files that have been written; ``of`` must be serializable as JSON."""
        self._write(dict.fromkeys(names, of))

    def _write(self, made: dict[str, Any]) -> None:
        self.made.update(made)
        if made:
            os.makedirs(self.folder, exist_ok=True)
            with open(self.path, 'a', encoding='utf-8') as file:
                # The newline comes first, because the last line may be unfinished.
                file.writelines('\n' + json.dumps({'file': k, 'of': v}) for k, v in made.items())
