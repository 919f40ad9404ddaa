"""The Cityscapes part of the drawn data set mini-UDS, for panoptic segmentation."""

import os.path as osp
from typing import Any

from mmdet.registry import DATASETS

from sfnet_mm.mini_uds import ensure_mini_uds

from .cityscapes_maps import convert_cityscapes
from .cityscapes_panoptic import CityscapesPanopticDataset


@DATASETS.register_module()
class MiniCityscapesPanopticDataset(CityscapesPanopticDataset):
    """Drawn street scenes with panoptic labels, generated and converted on first use.

    The annotations go to ``{data_root}_panoptic``, because a folder of mini-UDS with other files
    would count as incomplete and be drawn again.

    Args:
        data_root: Folder of mini-UDS, which is drawn if it does not exist.
        split: ``'train'`` or ``'val'``.
        train: Number of training images of each source of mini-UDS.
        val: Number of validation images of each source of mini-UDS.
        seed: Seed of the drawings.
        **kwargs: Arguments of ``mmdet.CocoPanopticDataset``, without the paths.
    """

    def __init__(
        self,
        data_root: str = 'data/mini_uds',
        split: str = 'train',
        train: int = 60,
        val: int = 12,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        self.root, self.split = osp.normpath(data_root), split
        self.request = dict(train=train, val=val, seed=seed)
        annotations = f'{self.root}_panoptic/cityscapes_panoptic_{split}_mmdet'
        super().__init__(
            ann_file=f'{annotations}.json',
            data_prefix=dict(
                img=f'{self.root}/cityscapes/leftImg8bit/{split}/', seg=f'{annotations}/'
            ),
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Draw and convert the scenes that are missing, then list them."""
        ensure_mini_uds(self.root, **self.request)
        out_dir = f'{self.root}_panoptic'
        # Converting the few small maps takes less time than starting processes.
        convert_cityscapes(osp.join(self.root, 'cityscapes'), self.split, out_dir, workers=0)
        return super().load_data_list()
