"""Reads the data sets of a config, to calibrate a quantized file and to score it."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import track_iter_progress

from sfnet_mm.datasets.pipelines import stored_color_type
from sfnet_mm.deploy.image_pipeline import check_portable, pipeline_steps
from sfnet_mm.deploy.runtimes.base import Runtime
from sfnet_mm.engine.runner import read_data_set
from sfnet_mm.evaluation import BoundaryIoUMetric
from sfnet_mm.utils.config_parts import data_sets, metrics, type_name
from sfnet_mm.utils.media import read_image


def use_test_pipeline(runtime: Runtime, cfg: Config) -> None:
    """Make a runtime prepare images as the test pipeline of a config does."""
    loading, steps = pipeline_steps(cfg)
    check_portable(steps, cfg.filename or 'the config')
    runtime.set_pipeline(loading, steps)


def read_data(cfg: Config, split: str, classes: Sequence[str]) -> list[Any]:
    """Build the data sets of a split of a config, without wrappers that repeat or choose images.

    Raises:
        ValueError: The config has no such split, or its data cannot be read, have no images or
            have other classes.
    """
    name = cfg.filename or 'the config'
    parts = data_sets(cfg.get(f'{split}_dataloader'))
    if not parts:
        raise ValueError(f'{name} has no {split}_dataloader: add one with a data set')
    built = []
    for part in copy.deepcopy(parts):
        if split == 'train':
            part['pipeline'] = []  # Only the paths of the images are used.
        try:
            with DefaultScope.overwrite_default_scope('mmseg'):
                built.append(read_data_set(part, split))
        except ValueError as e:
            raise ValueError(f'{name}: {e}') from None
    for dataset in built:
        found = list(dataset.metainfo.get('classes') or ())
        if found != list(classes):
            raise ValueError(
                f'{split}_dataloader of {name} has other classes than the file: {_summary(found)} '
                f'and not {_summary(classes)}'
            )
    return built


def _summary(classes: Sequence[str]) -> str:
    shown = ', '.join(list(classes)[:3])
    return f'{len(classes)} ({shown}{", ..." if len(classes) > 3 else ""})'


class CalibrationInputs:
    """Inputs of a graph from images spread evenly over data sets, which are read when used.

    Args:
        runtime: Runtime that prepares the images as it does for ``predict``.
        datasets: Data sets from :func:`read_data`.
        samples: Largest number of images.

    Raises:
        ValueError: ``samples`` is below 1.
    """

    def __init__(self, runtime: Runtime, datasets: Sequence[Any], samples: int) -> None:
        if samples < 1:
            raise ValueError(f'--samples {samples} must be 1 or more')
        paths = [d.get_data_info(i)['img_path'] for d in datasets for i in range(len(d))]
        chosen = np.linspace(0, len(paths) - 1, min(samples, len(paths))).round().astype(int)
        self.runtime, self.paths = runtime, [paths[i] for i in chosen]

    def __iter__(self) -> Iterator[np.ndarray]:
        for path in self.paths:
            yield from self.runtime.graph_inputs(read_image(path, **self.runtime.loading))

    def __len__(self) -> int:
        return len(self.paths)


def class_scores(
    runtime: Runtime, datasets: Sequence[Any], cfg: Config, title: str
) -> dict[str, dict[str, float]]:
    """Compute IoU, and boundary IoU if the config's evaluator has it, of a runtime's masks.

    Args:
        runtime: Runtime whose ``predict`` is scored.
        datasets: Data sets with labels from :func:`read_data`.
        cfg: Config with a ``val_evaluator``.
        title: Text that is printed before the progress.

    Returns:
        dict: ``{'IoU': {'road': 97.1, ...}, 'bIoU': {...}}``, in percent; a class that does not
        occur is NaN.
    """
    evaluators = metrics(cfg.get('val_evaluator'))
    wanted = {str(name) for e in evaluators for name in e.get('iou_metrics') or ()}
    by_boundary = any(type_name(e) == 'BoundaryIoUMetric' for e in evaluators) and 'bIoU' in wanted
    options = {
        name: e[name]
        for e in evaluators
        for name in ('ignore_index', 'boundary_width')
        if name in e
    }
    metric = BoundaryIoUMetric(['mIoU', 'bIoU'] if by_boundary else ['mIoU'], **options)
    metric.dataset_meta = datasets[0].metainfo
    loading = dict(runtime.loading, color_type=stored_color_type(**runtime.loading))
    count = sum(map(len, datasets))
    print(f'{title}: {count} images', flush=True)
    samples = (dataset[i]['data_samples'] for dataset in datasets for i in range(len(dataset)))
    for sample in track_iter_progress((samples, count)):
        mask = runtime.predict(read_image(sample.img_path, **loading))
        found = torch.from_numpy(mask.astype(np.int64))[None]
        prediction = {'pred_sem_seg': {'data': found}, 'img_path': sample.img_path}
        metric.process({}, [{**prediction, 'gt_sem_seg': {'data': sample.gt_sem_seg.data}}])
    values = metric.class_values(metric.results)
    classes = metric.dataset_meta['classes']
    return {
        name: {c: 100 * float(v) for c, v in zip(classes, values[name])}
        for name in ('IoU', 'bIoU')
        if name in values
    }


def mean_score(scores: dict[str, float]) -> float:
    """Return the mean over the classes that occur."""
    return float(np.nanmean(list(scores.values())))
