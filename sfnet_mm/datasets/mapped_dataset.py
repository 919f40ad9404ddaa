"""What the driving data sets share: layouts as distributed, labels mapped while loading."""

from __future__ import annotations

import os
from typing import Callable, ClassVar, Sequence

from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from .label_maps import DRIVING_CLASSES, DRIVING_PALETTE
from .source_layouts import SourceLayout


class MappedSegDataset(BaseSegDataset):
    """Images and masks of one or more data sets, read where they lie.

    Every sample carries ``source``, the name of its data set, and ``label_table``, the name of the
    table by which :class:`~sfnet_mm.datasets.transforms.LoadMappedAnnotations` translates the ids
    of its mask. Put ``'source'`` into ``PackSegInputs(meta_keys=...)`` to keep it for the metric.

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'val'``, ...
        pipeline: Transforms; labels are loaded by ``LoadMappedAnnotations``.
        **kwargs: Further arguments of mmseg's ``BaseSegDataset``: ``metainfo``, ``indices``,
            ``test_mode``, ``lazy_init``, ``serialize_data``, ``max_refetch``.

    Raises:
        ValueError: An unknown split, or ``LoadAnnotations`` in the pipeline.
        FileNotFoundError: A folder that is missing or empty, or an image without its mask.
    """

    METAINFO = {'classes': DRIVING_CLASSES, 'palette': [list(color) for color in DRIVING_PALETTE]}
    LAYOUT: ClassVar[SourceLayout]

    def __init__(
        self,
        data_root: str | os.PathLike,
        split: str = 'train',
        pipeline: Sequence[dict | Callable] = (),
        **kwargs,
    ) -> None:
        if data_root is None:
            raise ValueError(f'{type(self).__name__}: data_root is not set')
        if _uses_plain_loading(pipeline):
            # It would pass the ids of the mask on as if they were classes.
            raise ValueError(
                f'{type(self).__name__}: labels are mapped while they are loaded; put '
                'LoadMappedAnnotations in the place of LoadAnnotations in the pipeline'
            )
        self.split = split
        super().__init__(data_root=os.fspath(data_root), pipeline=list(pipeline), **kwargs)

    def roots(self) -> list[tuple[SourceLayout, str]]:
        """The layouts to read and the folder of each."""
        return [(self.LAYOUT, self.data_root)]

    def load_data_list(self) -> list[dict]:
        """One ``dict`` per image, source after source."""
        data_list = []
        counts = []
        for layout, root in self.roots():
            pairs = layout.find_pairs(root, self.split)
            counts.append(f'{layout.name} {len(pairs):,}')
            data_list += [
                {
                    'img_path': pair.image,
                    'seg_map_path': pair.mask,
                    'source': layout.name,
                    'label_table': layout.table,
                    'label_map': self.label_map,
                    'reduce_zero_label': self.reduce_zero_label,
                    'seg_fields': [],
                }
                for pair in pairs
            ]
        print_log(
            f'{type(self).__name__} {self.split}: {len(data_list):,} images ({", ".join(counts)})',
            'current',
        )
        return data_list


def _uses_plain_loading(steps: object) -> bool:
    """Whether a pipeline, or one nested in it (test-time augmentation), has ``LoadAnnotations``."""
    if isinstance(steps, dict):
        name = str(steps.get('type')).rsplit('.', 1)[-1]
        return name == 'LoadAnnotations' or any(map(_uses_plain_loading, steps.values()))
    if isinstance(steps, (list, tuple)):
        return any(map(_uses_plain_loading, steps))
    return False
