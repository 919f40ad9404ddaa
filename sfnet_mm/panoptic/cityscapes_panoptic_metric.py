"""Panoptic quality on Cityscapes."""

import os.path as osp
from typing import Any

from mmdet.evaluation.metrics import CocoPanopticMetric
from mmdet.registry import METRICS


@METRICS.register_module()
class CityscapesPanopticMetric(CocoPanopticMetric):
    """mmdet's PQ, SQ and RQ, which also work when results are written to files.

    With ``outfile_prefix`` the host expects the folder of the city in the name of a map; without
    it, the host expects the base name, which the maps of Cityscapes have. Arguments and names of
    the metrics (``coco_panoptic/PQ``, ``PQ_th``, ``PQ_st``) are the host's.

    Args:
        *args: Arguments of ``mmdet.CocoPanopticMetric``.
        **kwargs: Arguments of ``mmdet.CocoPanopticMetric``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self._coco_api is not None:
            for image in self._coco_api.imgs.values():
                image['segm_file'] = osp.basename(image['segm_file'])
