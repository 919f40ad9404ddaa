"""Boundary IoU of semantic maps.

Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation Evaluation, CVPR 2021,
https://arxiv.org/abs/2103.16562, section 4.
"""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.logging import MMLogger, print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from prettytable import PrettyTable

from sfnet_mm.utils.file_names import distinct_names
from sfnet_mm.utils.media import mask_dtype
from sfnet_mm.utils.tooling import file_stem
from sfnet_mm.visualization import save_png

from .label_ids import label_ids


def boundary_pixels(labels: np.ndarray, valid: np.ndarray, distance: int) -> np.ndarray:
    """Find the pixels of a label map that lie near the contour of their own class.

    A pixel is at the boundary if a valid pixel of another class, or the outside of the image, is
    within ``distance`` rows and columns. The outside counts as in the authors'
    ``mask_to_boundary``, which erodes each class with a 3x3 square ``distance`` times.

    Args:
        labels: (H, W), integers from 0 to 32765.
        valid: (H, W), bool. The other pixels neither form a boundary nor belong to one.
        distance: Distance in pixels, at least 1.

    Returns:
        (H, W), bool.
    """
    # A minimum and a maximum over the window differ if the window has another class.
    window = np.ones((2 * distance + 1, 2 * distance + 1), np.uint8)
    labels = labels.astype(np.int16)
    highest = cv2.dilate(np.where(valid, labels, -1).astype(np.int16), window)
    lowest = cv2.erode(np.where(valid, labels, 32766).astype(np.int16), window)
    found = (highest > labels) | (lowest < labels)
    for side in (found, found.T):
        side[:distance] = side[-distance:] = True
    return found & valid


@METRICS.register_module()
class BoundaryIoUMetric(IoUMetric):
    """mmseg's ``IoUMetric`` with one more metric: ``'bIoU'``, the boundary IoU.

    The boundary IoU of a class is the IoU of two sets: the pixels of the class in the label that
    are near its contour there, and the same pixels of the prediction. Areas are summed over
    images and ranks before the ratio is taken, as for the IoU. Ignored pixels form no boundary, in
    the label or in the prediction, and are not counted.

    After an evaluation, ``per_class`` has the values of each metric by class, in percent, on the
    main process: ``{'IoU': {'road': 97.1, ...}, 'bIoU': {...}}``.

    With ``format_only`` and ``output_dir`` it writes PNGs for a test server. They hold the ids of
    the data set (``labelIds`` for Cityscapes) if the ``source`` of a sample labels each class by
    one id, else class indices.

    Args:
        iou_metrics: Some of ``'mIoU'``, ``'mDice'``, ``'mFscore'`` and ``'bIoU'``.
        boundary_width: Width of the boundary, as a share of the diagonal of the image.
        **kwargs: See mmseg's ``IoUMetric``.

    Raises:
        ValueError: The width is not between 0 and 1, or ``format_only`` is set without
            ``output_dir``. In ``process``, an image has no label and ``format_only`` is not set.
        NameCollision: Two images have the same name, so that one file would replace the other.
    """

    def __init__(
        self, iou_metrics: str | Sequence[str] = ('mIoU',), boundary_width: float = 0.02, **kwargs
    ) -> None:
        names = [iou_metrics] if isinstance(iou_metrics, str) else list(iou_metrics)
        super().__init__(iou_metrics=[name for name in names if name != 'bIoU'], **kwargs)
        if not 0 < boundary_width < 1:
            raise ValueError(f'boundary_width {boundary_width} must be between 0 and 1')
        if self.format_only and not self.output_dir:
            raise ValueError(f'{type(self).__name__}: format_only=True needs output_dir, a folder')
        self.boundary = 'bIoU' in names
        self.boundary_width = boundary_width
        self.per_class: dict[str, dict[str, float]] = {}
        self._paths: dict[str, str] = {}

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Add the areas of each image of a batch: mmseg's four and two of the boundaries."""
        for path in (sample['img_path'] for sample in data_samples if self.output_dir):
            name = osp.basename(path)
            first = self._paths.setdefault(osp.splitext(name)[0], path)
            distinct_names([(name, first), (name, path)])
        if self.format_only:
            for sample in data_samples:
                self.write_for_server(sample)
            self.results += [sample['img_path'] for sample in data_samples]
            return
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                raise ValueError(
                    f'{sample["img_path"]} has no label to compare with: set '
                    'test_evaluator.format_only=True and test_evaluator.output_dir=FOLDER'
                )
        before = len(self.results)
        super().process(data_batch, data_samples)
        for i, sample in enumerate(data_samples, start=before):
            areas = list(self.results[i])
            if self.boundary:
                pred = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
                label = sample['gt_sem_seg']['data'].squeeze(0).cpu().numpy()
                areas += self.boundary_areas(pred, label)
            # mmseg counts in float32, which is exact for one image but not for a sum of many.
            self.results[i] = tuple(area.double() for area in areas)

    def write_for_server(self, sample: dict) -> None:
        """Write the prediction of an image under the name of the image."""
        pred = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
        ids = label_ids(sample.get('source'), self.dataset_meta['classes'])
        if ids is not None:
            pred = ids[pred]
        else:
            shift = int(bool(sample.get('reduce_zero_label')))
            pred = (pred + shift).astype(mask_dtype(len(self.dataset_meta['classes']) + shift))
        name = f'{file_stem(sample["img_path"])}.png'
        save_png(osp.join(self.output_dir, name), pred)

    def boundary_areas(self, pred: np.ndarray, label: np.ndarray) -> list[torch.Tensor]:
        """Count intersection and union of the boundaries of two maps (H, W), in pixels by class."""
        valid = label != self.ignore_index
        distance = max(1, round(self.boundary_width * float(np.hypot(*label.shape))))
        pred_band = boundary_pixels(pred, valid, distance)
        label_band = boundary_pixels(label, valid, distance)
        classes = len(self.dataset_meta['classes'])

        def count(values: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(np.bincount(values, minlength=classes)[:classes])

        intersection = count(label[pred_band & label_band & (pred == label)])
        return [intersection, count(pred[pred_band]) + count(label[label_band]) - intersection]

    def class_values(self, results: list) -> dict[str, np.ndarray]:
        """Compute each metric by class, and ``'aAcc'``, from the summed areas of some images."""
        totals = [sum(areas) for areas in zip(*results)]
        values = self.total_area_to_metrics(*totals[:4], self.metrics, self.nan_to_num, self.beta)
        if self.boundary:
            ratio = (totals[4] / totals[5]).numpy()
            values['bIoU'] = (
                ratio if self.nan_to_num is None else np.nan_to_num(ratio, nan=self.nan_to_num)
            )
        return values

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Compute mmseg's metrics and ``'bIoU'``, the mean over the classes that occur."""
        if self.format_only:
            # Each process has seen only its own images.
            distinct_names((osp.basename(path), path) for path in results)
            print_log(f'results for the server: {self.output_dir}', MMLogger.get_current_instance())
            return {}
        metrics = super().compute_metrics([areas[:4] for areas in results])
        values = self.class_values(results)
        values.pop('aAcc')
        classes = self.dataset_meta['classes']
        self.per_class = {
            name: {c: round(100 * float(v), 2) for c, v in zip(classes, value)}
            for name, value in values.items()
        }
        if self.boundary:
            metrics['bIoU'] = mean_percent(values['bIoU'])
            self.print_table('boundary IoU', {'bIoU': values['bIoU']})
        return metrics

    def print_table(self, title: str, columns: dict[str, np.ndarray]) -> None:
        """Log values by class, in percent, and their mean over the classes that occur."""
        table = PrettyTable()
        table.add_column('Class', [*self.dataset_meta['classes'], 'mean'])
        for name, values in columns.items():
            cells = [*np.round(values * 100, 2), mean_percent(values)]
            table.add_column(name, ['-' if np.isnan(cell) else f'{cell:.2f}' for cell in cells])
        print_log(f'{title}:\n{table.get_string()}', MMLogger.get_current_instance())


def mean_percent(values: np.ndarray) -> float:
    """Compute the mean of the values that are not NaN, in percent."""
    return float(np.round(np.nanmean(values) * 100, 2))
