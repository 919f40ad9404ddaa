"""Remembers what the files of a folder were made of: a second run makes only what differs."""

import hashlib
import json
import os
import os.path as osp
from typing import Any, Dict, Sequence


def file_digest(path: str) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def text_digest(text: str) -> str:
    """SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


class MadeFiles:
    """What the files of a folder were made of.

    It is kept in ``.made_of.jsonl`` of that folder, one line for each file when it is finished, so
    that a run that is stopped loses nothing. The last line of a file counts.

    Args:
        folder: Need not exist.
    """

    NAME = '.made_of.jsonl'

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.path = osp.join(folder, self.NAME)
        self.made: Dict[str, Any] = {}
        if osp.isfile(self.path):
            with open(self.path, encoding='utf-8') as file:
                for line in file:
                    self._read(line)

    def _read(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self.made[entry['file']] = entry['of']
        except (ValueError, KeyError, TypeError):
            pass  # A line that a stopped run left unfinished: its file is made again.

    def has(self, names: Sequence[str], of: Dict[str, Any]) -> bool:
        """Whether all files are there and were made of just that."""
        return all(
            self.made.get(name) == of and osp.exists(osp.join(self.folder, name)) for name in names
        )

    def begin(self, names: Sequence[str]) -> None:
        """Forget files that are going to be replaced."""
        self._write(dict.fromkeys((name for name in names if self.made.get(name)), None))

    def finish(self, names: Sequence[str], of: Dict[str, Any]) -> None:
        """Remember files that have been written; ``of`` consists of JSON's own types."""
        self._write(dict.fromkeys(names, of))

    def _write(self, made: Dict[str, Any]) -> None:
        self.made.update(made)
        if made:
            os.makedirs(self.folder, exist_ok=True)
            with open(self.path, 'a', encoding='utf-8') as file:
                # The newline comes first, for the last line may be unfinished.
                file.writelines('\n' + json.dumps({'file': k, 'of': v}) for k, v in made.items())
