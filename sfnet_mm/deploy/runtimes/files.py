"""Checks the file of a model and reads its metadata."""

import json
import os.path as osp
from typing import Any

from sfnet_mm.deploy.image_pipeline import check_portable


def read_meta(props: dict[str, str], path: str) -> dict[str, Any]:
    """Read the metadata that ``export_onnx.py`` wrote into a graph.

    Raises:
        ValueError: There are no metadata, or they name transforms that a file may not name.
    """
    if 'sfnet_mm' not in props:
        raise ValueError(f'{path} has no metadata of sfnet_mm: make it with export_onnx.py')
    meta = {key: json.loads(value) for key, value in props.items()}
    check_portable(meta.get('pipeline') or (), path)
    return meta


def check_file(path: str, suffix: str) -> None:
    """Raise ``ValueError`` for another suffix and ``FileNotFoundError`` for a missing file."""
    if not path.endswith(suffix):
        raise ValueError(f'{path} must be a file ending in {suffix}')
    if not osp.isfile(path):
        raise FileNotFoundError(f'{path} does not exist')
