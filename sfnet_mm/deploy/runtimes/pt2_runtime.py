"""Runs a ``.pt2`` file in torch."""

import json

import numpy as np
import torch

from ..export.pt2 import read_pt2
from .base import Runtime
from .files import check_file, check_meta


class Pt2Runtime(Runtime):
    """A model that torch runs from a file of ``tools/deployment/export_pt2.py``.

    Args:
        path: Path of the file.
        threads: Number of threads of torch in the whole process; 0 leaves the number to torch.
        trusted: Whether to load compiled code. Such code can do whatever its maker wants.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: See :func:`~sfnet_mm.deploy.export.pt2.read_pt2`, or the file has no metadata.
    """

    name = 'pt2'

    def __init__(self, path: str, threads: int = 0, trusted: bool = False) -> None:
        check_file(path, '.pt2')
        self.model, text = read_pt2(path, trusted)
        super().__init__(check_meta(json.loads(text or '{}'), path))
        if threads:
            torch.set_num_threads(threads)

    @torch.inference_mode()
    def infer_all(self, data: np.ndarray) -> list[np.ndarray]:
        """See :meth:`Runtime.infer_all`."""
        return [self.model(torch.from_numpy(data)).numpy()]
