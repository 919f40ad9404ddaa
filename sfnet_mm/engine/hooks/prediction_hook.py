"""Writes the predictions of a test, with a unique name for each image."""

import os.path as osp
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample

from sfnet_mm.utils.file_names import dataset_names, refuse_overwriting
from sfnet_mm.utils.media import mask_dtype
from sfnet_mm.visualization import class_map, draw_sheet, overlay, read_sample_image, save_png


@HOOKS.register_module()
class PredictionHook(Hook):
    """Writes masks and pictures of all images of a test.

    mmseg's ``IoUMetric(output_dir=...)`` and ``SegVisualizationHook`` name files by the base name
    of the image, so that frames of several drives overwrite each other. Their class names shrink
    with the image. Here a file has the path of the image below the image folder, see
    :func:`sfnet_mm.utils.file_names.dataset_names`. Classes are named in a legend below the
    picture, which is enlarged if it is small.

    Args:
        mask_dir: Folder of the masks of class indices, plus one with ``reduce_zero_label``, which
            are the ids of the data set. PNGs with 16 bits for more than 256 classes; None writes
            none.
        picture_dir: Folder of pictures of label and prediction over the image; None writes none.
        show: Whether these pictures are shown in a window.
        wait_time: Seconds for which the window stays.
        opacity: Opacity of the classes over the image, 0 to 1.
        backend_args: How to read the images; see ``mmengine.fileio.get``.

    Raises:
        NameCollision: Before the test begins, if two images differ only in their suffix, or if a
            result would replace another one, an image or a label.
    """

    # This is the smallest width of a picture, in pixels.
    WIDTH = 512

    def __init__(
        self,
        mask_dir: str | None = None,
        picture_dir: str | None = None,
        show: bool = False,
        wait_time: float = 0.0,
        opacity: float = 0.5,
        backend_args: dict | None = None,
    ) -> None:
        self.mask_dir = mask_dir
        self.picture_dir = picture_dir
        self.show = show
        self.wait_time = wait_time
        self.opacity = opacity
        self.backend_args = backend_args
        self.names: dict[str, str] = {}
        self.meta: dict[str, Any] = {}

    def before_test(self, runner: Runner) -> None:
        """Find the names of all images, and check that no file replaces another."""
        dataset = runner.test_loop.dataloader.dataset
        self.names = dataset_names(dataset)
        self.meta = getattr(dataset, 'metainfo', {})
        infos = map(dataset.get_data_info, range(len(dataset)))
        read = [i[key] for i in infos for key in ('img_path', 'seg_map_path') if i.get(key)]
        hooks = [hook for hook in runner.hooks if isinstance(hook, PredictionHook)]
        folders = [f for hook in hooks for f in (hook.mask_dir, hook.picture_dir) if f]
        refuse_overwriting(
            [osp.join(f, f'{name}.png') for f in folders for name in self.names.values()], read
        )

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[SegDataSample] | None = None,
    ) -> None:
        """Write the results of a batch."""
        for sample in outputs or ():
            name = self.names[sample.img_path]
            if self.mask_dir:
                # With reduce_zero_label, class 0 is id 1 of the data set, so the files get these
                # ids.
                shift = int(bool(sample.get('reduce_zero_label', False)))
                dtype = mask_dtype(len(self.meta.get('classes') or ()) + shift)
                mask = (class_map(sample, 'pred_sem_seg') + shift).astype(dtype)
                save_png(osp.join(self.mask_dir, f'{name}.png'), mask)
            if self.picture_dir or self.show:
                self._draw(runner, name, sample)

    def after_test(self, runner: Runner) -> None:
        """Log where the files are."""
        for what, folder in (('masks', self.mask_dir), ('pictures', self.picture_dir)):
            if folder:
                runner.logger.info(f'{what} of {len(self.names)} images: {folder}')

    def _draw(self, runner: Runner, name: str, sample: SegDataSample) -> None:
        try:
            picture = self._picture(name, sample)
        except (ValueError, cv2.error) as e:
            runner.logger.warning(f'PredictionHook cannot draw a picture of {name}: {e}')
            return
        if self.picture_dir:
            save_png(osp.join(self.picture_dir, f'{name}.png'), picture)
        if self.show:
            runner.visualizer.show(picture, win_name=name, wait_time=self.wait_time)

    def _picture(self, name: str, sample: SegDataSample) -> np.ndarray:
        image = read_sample_image(sample, self.backend_args)
        palette = self.meta.get('palette') or ()
        row = [
            (title, overlay(image, class_map(sample, key), palette, self.opacity))
            for title, key in (('label', 'gt_sem_seg'), ('prediction', 'pred_sem_seg'))
            if key in sample
        ]
        return draw_sheet(
            name,
            [row],
            self.meta.get('classes') or (),
            palette,
            tile_width=max(self.WIDTH, image.shape[1]),
        )
