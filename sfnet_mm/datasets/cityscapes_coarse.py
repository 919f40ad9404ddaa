"""The coarse labels of Cityscapes."""

from mmseg.registry import DATASETS

from .mapped_dataset import MappedSegDataset
from .source_layouts import Folders, SourceLayout


@DATASETS.register_module()
class CityscapesCoarseDataset(MappedSegDataset):
    """Cityscapes (https://arxiv.org/abs/1604.01685) with coarse polygons and 19 classes.

    ``data_root`` has ``leftImg8bit/{split}`` and ``gtCoarse/{split}``. The splits are ``'train'``,
    ``'val'`` and ``'train_extra'`` (19,998 images that have no fine labels). Class-uniform sampling
    takes centroids of rare classes from it (the authors' "coarse boost").
    """

    LAYOUT = SourceLayout(
        name='cityscapes_coarse',
        table='cityscapes',
        variants=(
            Folders(
                'leftImg8bit/{split}',
                ('_leftImg8bit.png',),
                'gtCoarse/{split}',
                ('_gtCoarse_labelIds.png',),
            ),
        ),
        splits={name: name for name in ('train', 'val', 'train_extra')},
    )
