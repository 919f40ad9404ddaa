"""Draws masks with the ids of Cityscapes, to time the code that reads masks."""

import cv2
import numpy as np

from sfnet_mm.datasets.label_maps import LABEL_TABLES

TABLE = LABEL_TABLES['cityscapes']


def draw_mask(job: tuple[str, int, tuple[int, int]]) -> None:
    """Write a mask whose regions are about as many and as ragged as those of a street scene.

    Args:
        job: Path of the PNG, seed, and (height, width).
    """
    path, seed, (height, width) = job
    rng = np.random.default_rng(seed)
    ids = list(TABLE.train_ids)
    present = rng.permutation(ids)[: rng.integers(len(ids) // 2, len(ids))]
    coarse = rng.random((height // 64 + 2, width // 64 + 2, len(present)), dtype=np.float32)
    coarse = cv2.GaussianBlur(coarse, (0, 0), 2)
    best = np.full((height, width), -1, np.float32)
    mask = np.zeros((height, width), np.uint8)
    for i, label_id in enumerate(present):
        layer = cv2.resize(np.ascontiguousarray(coarse[..., i]), (width, height))
        higher = layer > best
        mask[higher], best[higher] = label_id, layer[higher]
    mask[-height // 20 :] = 1  # the hood of the car, which is ignored
    cv2.imwrite(path, mask)
