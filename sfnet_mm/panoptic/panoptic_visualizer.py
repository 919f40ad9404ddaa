"""Draws panoptic results."""

import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import PixelData


@VISUALIZERS.register_module()
class PanopticVisualizer(DetLocalVisualizer):
    """mmdet's visualizer, which here also draws maps with void pixels or without any segment.

    The host's visualizer fails on a map without segments. On a CPU, its panoptic metric overwrites
    void with 0 in the result itself, which the visualizer then draws as class 0. No segment of
    K-Net has the value 0, so it is drawn as void here.
    """

    def _draw_panoptic_seg(
        self,
        image: np.ndarray,
        panoptic_seg: PixelData,
        classes: list[str] | None,
        palette: list | None,
    ) -> np.ndarray:
        values = np.asarray(panoptic_seg.sem_seg)
        values = np.where(values == 0, len(classes), values)
        if (values == len(classes)).all():
            return image
        return super()._draw_panoptic_seg(image, PixelData(sem_seg=values), classes, palette)
