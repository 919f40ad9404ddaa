"""The Cityscapes data set for panoptic segmentation, in the format of mmdet."""

import os.path as osp

from mmdet.datasets import CocoPanopticDataset
from mmdet.registry import DATASETS
from mmengine.fileio import exists, list_dir_or_file, load

from sfnet_mm.datasets.label_maps import DRIVING_CLASSES, DRIVING_PALETTE

NUM_STUFF_CLASSES = 11
CONVERTER = 'tools/dataset_converters/cityscapes_panoptic.py'


def things_first(items: tuple) -> tuple:
    """Reorder the 19 values of a Cityscapes table (stuff first) to the order of panoptic heads."""
    return items[NUM_STUFF_CLASSES:] + items[:NUM_STUFF_CLASSES]


@DATASETS.register_module()
class CityscapesPanopticDataset(CocoPanopticDataset):
    """The 8 things and 11 stuff classes of Cityscapes, things first.

    It reads what ``tools/dataset_converters/cityscapes_panoptic.py`` writes. The JSON of
    cityscapesScripts is refused: its categories are stuff first, which mmdet would silently read
    as other classes. The arguments are those of ``mmdet.CocoPanopticDataset``.

    Raises:
        FileNotFoundError: The annotation file or panoptic PNGs are missing.
        ValueError: The categories of the annotation file are not the 19 classes, things first.
    """

    METAINFO = dict(
        classes=things_first(DRIVING_CLASSES),
        thing_classes=DRIVING_CLASSES[NUM_STUFF_CLASSES:],
        stuff_classes=DRIVING_CLASSES[:NUM_STUFF_CLASSES],
        palette=list(things_first(DRIVING_PALETTE)),
    )

    def load_data_list(self) -> list[dict]:
        """Check the annotation file, then load the list as the parent class does."""
        if not exists(self.ann_file, backend_args=self.backend_args):
            raise FileNotFoundError(f'{self.ann_file} does not exist: write it with {CONVERTER}')
        categories = load(self.ann_file, backend_args=self.backend_args).get('categories', [])
        names = tuple(c.get('name') for c in categories)
        things = tuple(c.get('name') for c in categories if c.get('isthing'))
        if names != self.METAINFO['classes'] or things != self.METAINFO['thing_classes']:
            raise ValueError(
                f'{self.ann_file}: its {len(names)} categories start with {names[:1]}, not with '
                f'the things ({self.METAINFO["classes"][0]}, ...): write it with {CONVERTER}'
            )
        data_list = super().load_data_list()
        self._check_maps(data_list)
        return data_list

    def _check_maps(self, data_list: list[dict]) -> None:
        folder = self.data_prefix.get('seg')
        if not folder:
            return
        found = set()
        if exists(folder, backend_args=self.backend_args):
            found = set(list_dir_or_file(folder, list_dir=False, backend_args=self.backend_args))
        missing = [d for d in data_list if osp.basename(d['seg_map_path']) not in found]
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(data_list)} panoptic maps are missing, first '
                f'{missing[0]["seg_map_path"]}: write them with {CONVERTER}'
            )

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """Parse one entry as the parent class does, for maps without folders of cities."""
        data_info = super().parse_data_info(raw_data_info)
        if data_info['seg_map_path'] is not None:
            data_info['seg_map_path'] = osp.join(
                self.data_prefix['seg'], osp.basename(data_info['img_path'])
            )
        return data_info
