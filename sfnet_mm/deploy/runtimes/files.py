"""Checks the file of a model and reads its metadata."""

import contextlib
import json
import os.path as osp
from typing import Any

from sfnet_mm.deploy.image_pipeline import check_portable


def decode_entries(props: dict[str, str]) -> dict[str, Any]:
    """Decode entries of metadata, without those that other tools added, which are not JSON."""
    found = {}
    for key, text in props.items():
        with contextlib.suppress(ValueError):
            found[key] = json.loads(text)
    return found


def check_meta(meta: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the metadata that an export wrote into the file at a path.

    Raises:
        ValueError: There are no metadata, some are lost, or they name transforms that a file may
            not name.
    """
    if 'sfnet_mm' not in meta:
        raise ValueError(f'{path} has no metadata of sfnet_mm: make it with export_onnx.py')
    check_portable(meta.get('pipeline') or (), path)
    for key in ('input', 'size', 'output'):
        if key not in meta:
            raise ValueError(f'{path} has lost the entry {key!r} of its metadata: export it again')
    return meta


def check_file(path: str, suffix: str) -> None:
    """Raise ``ValueError`` for another suffix and ``FileNotFoundError`` for a missing file."""
    if not path.endswith(suffix):
        raise ValueError(f'{path} must be a file ending in {suffix}')
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} does not exist')
