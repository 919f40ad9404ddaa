"""The base of the driving data sets, which keep their original files and map labels on loading."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from .label_maps import DRIVING_CLASSES, DRIVING_PALETTE
from .paper_counts import contradiction
from .pipelines import iterate_transforms, load_as_stored
from .source_layouts import SourceLayout

# This split joins two others, because models for a test server are trained on both.
JOINED_SPLITS = {'trainval': ('train', 'val')}


class MappedSegDataset(BaseSegDataset):
    """Reads the images and masks of one or more data sets in their original folders.

    Every sample has ``source``, the name of its data set, and ``label_table``, the name of the
    table by which :class:`~sfnet_mm.datasets.transforms.LoadMappedAnnotations` translates the ids
    of its mask. Put ``'source'`` into ``PackSegInputs(meta_keys=...)`` to keep it for the metric.
    Images are loaded as stored, like masks; the orientation in their EXIF tag is ignored.

    Args:
        data_root: Folder of the data set.
        split: ``'train'``, ``'val'``, ...; ``'trainval'`` joins both.
        pipeline: Transforms; labels are loaded by ``LoadMappedAnnotations``.
        **kwargs: Other arguments of mmseg's ``BaseSegDataset``: ``metainfo``, ``indices``,
            ``test_mode``, ``lazy_init``, ``serialize_data``, ``max_refetch``.

    Raises:
        ValueError: The split is unknown, the pipeline has ``LoadAnnotations``, or the data set or
            the transform that loads labels has ``reduce_zero_label``.
        FileNotFoundError: A folder is missing or empty, or no image has a mask.
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
        steps = Compose(pipeline).transforms
        self._check_labels(steps, kwargs.get('reduce_zero_label'))
        load_as_stored(steps)
        self.split = split
        super().__init__(data_root=os.fspath(data_root), pipeline=steps, **kwargs)

    def _check_labels(self, steps: Iterable[Callable], reduce_zero_label: bool | None) -> None:
        """Raise a ValueError if the labels would not be the classes of this data set."""
        for step in iterate_transforms(steps):
            if type(step).__name__ == 'LoadAnnotations':
                # LoadAnnotations would use the ids of the mask as classes.
                raise ValueError(
                    f'{type(self).__name__}: labels are mapped while they are loaded; put '
                    'LoadMappedAnnotations in the place of LoadAnnotations in the pipeline'
                )
            reduce_zero_label = reduce_zero_label or getattr(step, 'reduce_zero_label', None)
        if reduce_zero_label:
            raise ValueError(
                f'{type(self).__name__}: reduce_zero_label=True is for masks in which 0 is no '
                'class; here a table maps the ids to classes from 0 on: leave it out'
            )

    def roots(self) -> list[tuple[SourceLayout, str]]:
        """Return the layouts that are read, with the folder of each."""
        return [(self.LAYOUT, self.data_root)]

    def remedy(self, layout: SourceLayout) -> str:
        """Return advice on what to do if the folder of a layout does not exist."""
        return f'set data_root to the folder of {layout.name}'

    def remark(self, layout: SourceLayout) -> str:
        """Return a remark for the log on the number of images of a source, or an empty string."""
        return contradiction(layout.name, self.split)

    @property
    def folder_splits(self) -> tuple[str, ...]:
        """The splits on disk of which this split consists."""
        return JOINED_SPLITS.get(self.split, (self.split,))

    def list_source(self, layout: SourceLayout, root: str) -> list[dict]:
        """List one ``dict`` per image of a source."""
        remedy = self.remedy(layout)
        return [
            {
                'img_path': pair.image,
                # All transforms treat a sample without this key as an image without a mask.
                **({'seg_map_path': pair.mask} if pair.mask else {}),
                'source': layout.name,
                'label_table': layout.table,
                'label_map': self.label_map,
                'reduce_zero_label': self.reduce_zero_label,
                'seg_fields': [],
            }
            for split in self.folder_splits
            for pair in layout.find_pairs(root, split, remedy)
        ]

    def load_data_list(self) -> list[dict]:
        """List one ``dict`` per image, source by source."""
        data_list = []
        counts = []
        for layout, _ in self.roots():
            for split in self.folder_splits:
                layout.check_split(split)
        for layout, root in self.roots():
            samples = self.list_source(layout, root)
            remark = self.remark(layout)
            counts.append(f'{layout.name} {len(samples):,}' + (remark and f'; {remark}'))
            data_list += samples
        print_log(
            f'{type(self).__name__} {self.split}: {len(data_list):,} images ({", ".join(counts)})',
            'current',
        )
        return data_list
