"""The Unified Driving Segmentation data set (UDS)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

from mmseg.registry import DATASETS

from sfnet_mm.mini_uds import ensure_mini_uds

from .mapped_dataset import MappedSegDataset
from .source_layouts import UDS_SOURCES, SourceLayout


@DATASETS.register_module()
class UDSDataset(MappedSegDataset):
    """Cityscapes, IDD, Mapillary Vistas and BDD100K with the 19 Cityscapes classes.

    "SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow", section 3.4
    (https://arxiv.org/abs/2207.04415; authors' ``MergeDrivingDataset``). The four data sets are
    read as they are distributed::

        cityscapes/leftImg8bit/{train,val}/CITY/*_leftImg8bit.png
                   gtFine/{train,val}/CITY/*_gtFine_labelIds.png
        idd/leftImg8bit/{train,val}/DRIVE/*_leftImg8bit.{png,jpg}
            gtFine/{train,val}/DRIVE/*_gtFine_labelids.png      by tools/dataset_converters/idd.py
        mapillary/{training,validation}/images/*.jpg
                  {training,validation}/labels/*.png            (or v1.2/labels/*.png)
        bdd/images/10k/{train,val}/*.jpg
            labels/sem_seg/masks/{train,val}/*.png

    Args:
        data_root: Folder to which the folders of the sources are relative.
        split: ``'train'``, ``'val'`` or, for both, ``'trainval'``. Cityscapes alone also has
            ``'test'``, without labels.
        sources: Folder of each source; a source that is absent or None is not used. By default, all
            four are used, in folders of their names.
        pipeline: Transforms; labels are loaded by ``LoadMappedAnnotations``.
        **kwargs: See :class:`~sfnet_mm.datasets.mapped_dataset.MappedSegDataset`.

    Raises:
        ValueError: A source or the split is unknown, or there is no source.
        FileNotFoundError: A folder is missing or empty, or no image has a mask.
    """

    def __init__(
        self,
        data_root: str | os.PathLike = '',
        split: str = 'train',
        sources: Mapping[str, str | None] | None = None,
        pipeline: Sequence[dict | Callable] = (),
        **kwargs,
    ) -> None:
        if sources is None:
            sources = {name: name for name in UDS_SOURCES}
        unknown = sorted(set(sources) - set(UDS_SOURCES))
        if unknown:
            raise ValueError(
                f'{type(self).__name__}: unknown source {unknown[0]!r}; choose among '
                f'{", ".join(UDS_SOURCES)}'
            )
        self.sources = {name: sources[name] for name in UDS_SOURCES if sources.get(name)}
        if not self.sources:
            raise ValueError(
                f'{type(self).__name__}: no source is set; give the folder of one or more of '
                f'{", ".join(UDS_SOURCES)}'
            )
        super().__init__(data_root=data_root, split=split, pipeline=pipeline, **kwargs)

    def roots(self) -> list[tuple[SourceLayout, str]]:
        """Return the layouts of the chosen sources, with the folder of each."""
        return [
            (UDS_SOURCES[name], os.path.join(self.data_root, os.fspath(folder)))
            for name, folder in self.sources.items()
        ]

    def remedy(self, layout: SourceLayout) -> str:
        """Name the option that sets the folder of a source, or leaves the source out."""
        option = f'sources.{layout.name}'
        return f'set {option} to its folder, or leave it out: --cfg-options {option}=None'


@DATASETS.register_module()
class MiniUDSDataset(UDSDataset):
    """A small UDS of drawn street scenes, which are generated on first use.

    The files have the real layouts of the four sources and are read by the same code. See
    :mod:`sfnet_mm.mini_uds`.

    Args:
        data_root: Folder of the scenes, which are drawn if they do not exist.
        split: ``'train'`` or ``'val'``.
        train: Number of training images per source.
        val: Number of validation images per source.
        seed: Seed of the drawings.
        workers: Number of processes that draw; None takes one per CPU.
        **kwargs: See :class:`UDSDataset`.
    """

    def __init__(
        self,
        data_root: str | os.PathLike = 'data/mini_uds',
        split: str = 'train',
        train: int = 60,
        val: int = 12,
        seed: int = 0,
        workers: int | None = None,
        **kwargs,
    ) -> None:
        self.request = {'train': train, 'val': val, 'seed': seed, 'workers': workers}
        super().__init__(data_root=data_root, split=split, **kwargs)

    def remark(self, layout: SourceLayout) -> str:
        """Return an empty string: the paper does not count drawn scenes."""
        return ''

    def load_data_list(self) -> list[dict]:
        """Draw the files if they do not exist, then list them."""
        ensure_mini_uds(self.data_root, **self.request)
        return super().load_data_list()
