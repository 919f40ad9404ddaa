"""Draws the semantic flow of some validation or test images."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

from sfnet_mm.utils.arguments import check_least
from sfnet_mm.utils.tooling import file_stem, first_line
from sfnet_mm.visualization import (
    AlignmentRecorder,
    alignment_rows,
    class_map,
    draw_sheet,
    image_row,
    read_sample_image,
    save_png,
)


@HOOKS.register_module()
class FlowVisualizationHook(Hook):
    """Writes a PNG per image with input, label, prediction, errors and the flow of every module.

    FAM shows its flow, GD-FAM both flows and the gate; features are shown before and after the
    warp, as in the figures of the SFNet paper. A model without alignment modules gets only the
    first row. With sliding windows or test-time augmentation, the flow is that of the first pass.

    If an image or a folder cannot be used, a warning names it, and the run continues.

    Files are named after the images. Those of a validation during training go to the folder
    ``iter_N``.

    Args:
        out_dir: Folder of the pictures; None takes ``flow`` in the work directory.
        num_images: Number of images of each validation or test.
        interval: Number of batches from one drawn image to the next.
        tile_width: Width of each picture on the sheet, in pixels.
        draw: False turns the hook off.
        backend_args: How to read the images; see ``mmengine.fileio.get``.

    Raises:
        ValueError: ``num_images``, ``interval`` or ``tile_width`` is too small.
    """

    priority = 'LOW'

    def __init__(
        self,
        out_dir: str | None = None,
        num_images: int = 4,
        interval: int = 1,
        tile_width: int = 420,
        draw: bool = True,
        backend_args: dict | None = None,
    ) -> None:
        if num_images < 1:
            raise ValueError(
                f'FlowVisualizationHook: num_images={num_images} draws nothing, set draw=False'
            )
        check_least('FlowVisualizationHook', 64, tile_width=tile_width)
        check_least('FlowVisualizationHook', 1, interval=interval)
        self.out_dir = out_dir
        self.num_images = num_images
        self.interval = interval
        self.tile_width = tile_width
        self.draw = draw
        self.backend_args = backend_args
        self.written: list[str] = []
        self._count = 0
        self._recorder: AlignmentRecorder | None = None

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        if mode != 'train':
            self._count = 0

    def _before_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, mode: str = 'train'
    ) -> None:
        wanted = self.draw and self._count < self.num_images and is_main_process()
        if mode == 'train' or not wanted or batch_idx % self.interval:
            return
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._recorder = AlignmentRecorder(model)
        if not self._recorder.modules and self._count == 0:
            runner.logger.warning(
                'FlowVisualizationHook: the model has no FAM or GD-FAM, so its sheets show no flow'
            )
        self._recorder.start()

    def _after_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
        mode: str = 'train',
    ) -> None:
        if self._recorder is None or mode == 'train':
            return
        recorder, self._recorder = self._recorder, None
        recorder.stop()
        folder = self.out_dir or osp.join(runner.work_dir, 'flow')
        if mode == 'val' and runner.iter:
            folder = osp.join(folder, f'iter_{runner.iter}')
        meta = dict(getattr(runner.visualizer, 'dataset_meta', None) or {})
        # The errors are those that a metric counts.
        metrics = getattr(runner, f'{mode}_loop').evaluator.metrics
        ignored = [metric.ignore_index for metric in metrics if hasattr(metric, 'ignore_index')]
        meta['ignore_index'] = ignored[0] if ignored else 255
        for index, sample in enumerate(outputs or ()):
            if self._count >= self.num_images:
                break
            # A failure counts as a drawn image, so that the number of warnings is limited, too.
            number, self._count = self._count, self._count + 1
            try:
                stem = file_stem(sample.img_path)
                path = osp.join(folder, f'{number:03d}_{stem}.png')
                save_png(path, self._sheet(stem, sample, recorder, index, meta))
            except Exception as error:
                runner.logger.warning(
                    f'FlowVisualizationHook: {sample.get("img_path", "an image")} is not drawn: '
                    f'{type(error).__name__}: {first_line(error)}'
                )
                continue
            runner.logger.info(f'flow sheet: {path}')
            self.written.append(path)

    def _sheet(
        self, title: str, sample: SegDataSample, recorder: AlignmentRecorder, index: int, meta: dict
    ) -> np.ndarray:
        image = read_sample_image(sample, self.backend_args)
        palette = meta.get('palette') or ()
        maps = [
            class_map(sample, name) if name in sample else None
            for name in ('gt_sem_seg', 'pred_sem_seg')
        ]
        row = image_row(image, *maps, palette, meta['ignore_index'])
        size = sample.metainfo.get('img_shape', image.shape)[:2]
        rows = alignment_rows(recorder.first_pass(), index, self.tile_width, size)
        return draw_sheet(
            title, [row, *rows], meta.get('classes') or (), palette, tile_width=self.tile_width
        )
