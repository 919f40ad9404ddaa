"""Class-uniform sampling.

Improving Semantic Segmentation via Video Propagation and Label Relaxation,
https://arxiv.org/abs/1812.01593, section 3.3, as SFNet trains with it (SFNet paper, section 3.5;
authors' ``uniform.build_epoch``).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.dist import sync_random_seed
from mmseg.registry import DATASETS

from sfnet_mm.utils.arguments import check_range

from ..pipelines import load_as_stored
from .leaves import centroids_of, sampled_leaves, warn_of_absent_classes


@DATASETS.register_module()
class ClassUniformDataset:
    """Fills a share of each epoch with crops around class centroids, the same number per class.

    An epoch is as long as the data set. ``fraction`` of it are crops around class centroids, the
    same number for every class that occurs; the rest are plain images, none of them twice. Item
    ``(epoch, i)`` depends only on the seed: use :class:`ClassUniformSampler`, which makes such
    indices. A plain index ``i`` (any other sampler, ``browse_dataset.py``) has the same class,
    but the worker draws another centroid at each access.

    The pipeline of the data set must have a :class:`CropAroundCentroid`. Between loading and this
    crop, images may be resized, but not flipped, rotated or cropped.

    Args:
        dataset: A ``BaseSegDataset``, a ``ConcatDataset`` or ``RepeatDataset`` of such, or the
            config of one.
        fraction: Share of crops around centroids, 0 to 1.
        tile: Side in pixels of the tiles that each give a centroid.
        num_classes: Number of classes; higher labels are ignored. None takes the classes that the
            metainfo of the data set names.
        exclude_classes: Names or indices of classes, such as a background, that get no crops of
            their own.
        coarse: Data set (Cityscapes coarse) that adds centroids of ``coarse_classes``, and nothing
            else (section 3.5). A config without a pipeline gets that of ``dataset``.
        coarse_classes: Rare classes, by default the authors': truck, bus, train, wall, rider,
            motorcycle and fence.
        seed: Seed of the draws; None takes one that all ranks share.
        index_dir: Folder of the centroid index; None keeps it beside the masks.
        workers: Number of processes that build the index; None takes one per CPU.
        lazy_init: Whether the data set is read only when it is used.

    Raises:
        ValueError: ``fraction`` is outside 0..1, the pipeline lacks one of the two transforms that
            are needed or moves pixels before the crop, the data set names no classes, an excluded
            class does not exist, there is no centroid, or there are fewer images than classes.
        TypeError: The data set is of another type.
    """

    def __init__(
        self,
        dataset: Mapping | BaseDataset,
        fraction: float = 0.5,
        tile: int = 1024,
        num_classes: int | None = None,
        exclude_classes: Sequence[int | str] = (),
        coarse: Mapping | BaseDataset | None = None,
        coarse_classes: Sequence[int] = (14, 15, 16, 3, 12, 17, 4),
        seed: int | None = None,
        index_dir: str | None = None,
        workers: int | None = None,
        lazy_init: bool = False,
    ) -> None:
        check_range('ClassUniformDataset', 0, 1, fraction=fraction)
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, Mapping) else dataset
        if isinstance(coarse, Mapping):
            shared = next(sampled_leaves(self.dataset))[0].pipeline.transforms
            coarse = DATASETS.build({'pipeline': shared, **coarse})
        self.coarse = coarse
        self.fraction = fraction
        self.tile = tile
        self.num_classes = self._count_classes() if num_classes is None else num_classes
        self.exclude_classes = self._indices_of(exclude_classes)
        self.coarse_classes = tuple(coarse_classes)
        self.seed = sync_random_seed() if seed is None else seed
        self.index_dir = index_dir
        self.workers = workers
        self._fully_initialized = False
        self._planned: tuple | None = None
        if not lazy_init:
            self.full_init()

    @property
    def metainfo(self) -> dict:
        """The metainfo of the data set."""
        return copy.deepcopy(self.dataset.metainfo)

    def _count_classes(self) -> int:
        names = self.metainfo.get('classes')
        if not names:
            raise ValueError(
                f'ClassUniformDataset: the metainfo of {type(self.dataset).__name__} names no '
                'classes: set num_classes'
            )
        return len(names)

    def _indices_of(self, classes: Sequence[int | str]) -> list[int]:
        """Find the indices of classes that are given by name or index."""
        names = list(self.metainfo.get('classes') or ())
        if isinstance(classes, (int, str)):
            classes = (classes,)
        indices = [names.index(c) if c in names else c for c in classes]
        for index in indices:
            if not isinstance(index, int) or not 0 <= index < self.num_classes:
                raise ValueError(
                    f'ClassUniformDataset: exclude_classes names {index!r}, which is neither in '
                    f'0..{self.num_classes - 1} nor one of {", ".join(names) or "no names"}'
                )
        return indices

    def full_init(self) -> None:
        """Read the data set and its centroid index."""
        if self._fully_initialized:
            return
        self.dataset.full_init()
        leaves = list(sampled_leaves(self.dataset))
        self.leaves = [leaf for leaf, _ in leaves]
        for leaf in self.leaves:
            # Centroids are in the pixels of the masks.
            load_as_stored(leaf.pipeline.transforms)
        boost = []
        if self.coarse is not None:
            self.coarse.full_init()
            boost = [leaf for leaf, _ in sampled_leaves(self.coarse)]
        # Plain images have the index of the data set and the index in it.
        self.items = np.array(
            [(i, k) for i, (leaf, times) in enumerate(leaves) for k in [*range(len(leaf))] * times]
        ).reshape(-1, 2)
        # Crops have the same two indices, then class, x and y.
        crops = [self._centroids(i, leaf) for i, leaf in enumerate(self.leaves)]
        for i, leaf in enumerate(boost, len(self.leaves)):
            rows = self._centroids(i, leaf)
            crops.append(rows[np.isin(rows[:, 2], self.coarse_classes)])
        self.leaves += boost
        crops = np.concatenate(crops)
        crops = crops[~np.isin(crops[:, 2], self.exclude_classes)]
        self.crops = crops[np.argsort(crops[:, 2], kind='stable')]
        self._count_crops()
        self._fully_initialized = True

    def _centroids(self, position: int, leaf: BaseDataset) -> np.ndarray:
        """Make rows (data set, image, class, x, y) of one data set; none if ``fraction`` is 0."""
        if self.fraction == 0:
            return np.empty((0, 5), dtype=np.int64)
        index = centroids_of(leaf, self.tile, self.num_classes, self.index_dir, self.workers)
        leaf_column = np.full(len(index), position)
        return np.stack([leaf_column, index.mask, index.category, index.x, index.y], axis=1)

    def _count_crops(self) -> None:
        """Set ``present`` (classes that occur), their ``bounds`` in ``crops`` and ``per_class``."""
        self.present, first = np.unique(self.crops[:, 2], return_index=True)
        self.bounds = np.append(first, len(self.crops))
        self.per_class = 0
        if self.fraction == 0:
            return
        if not len(self.present):
            raise ValueError(
                'ClassUniformDataset: no mask holds any of the classes '
                f'0..{self.num_classes - 1} that are not in exclude_classes='
                f'{self.exclude_classes}: are the labels mapped to train ids?'
            )
        expected = set(range(self.num_classes)) - set(self.exclude_classes)
        warn_of_absent_classes(sorted(expected - set(self.present.tolist())), self.metainfo)
        if len(self.items) < len(self.present):
            raise ValueError(
                f'ClassUniformDataset: an epoch of {len(self.items)} images has no '
                f'room for a crop of each of {len(self.present)} classes: wrap the '
                'data set in RepeatDataset'
            )
        self.per_class = max(1, int(self.fraction * len(self.items)) // len(self.present))

    def __len__(self) -> int:
        self.full_init()
        return len(self.items)

    @property
    def num_crops(self) -> int:
        """The number of crops around centroids in an epoch; they are items 0 .. num_crops - 1."""
        self.full_init()
        return self.per_class * len(self.present)

    def plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw the items of an epoch.

        Returns:
            Row indices into ``crops`` (num_crops,), class by class, and into ``items`` (the rest).
        """
        self.full_init()
        rng = np.random.default_rng([self.seed, epoch])
        drawn = [np.empty(0, dtype=np.int64)]
        for start, stop in zip(self.bounds[:-1], self.bounds[1:]) if self.per_class else ():
            # Every centroid of a class is used once before any is used again.
            drawn.append(np.resize(start + rng.permutation(stop - start), self.per_class))
        plain = rng.permutation(len(self.items))[: len(self.items) - self.num_crops]
        return np.concatenate(drawn), plain

    def _plan(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Call :meth:`plan` and keep the result until another epoch is asked for."""
        if self._planned is None or self._planned[0] != epoch:
            self._planned = epoch, self.plan(epoch)
        return self._planned[1]

    def _draw(self, index: int) -> np.ndarray:
        """Draw the row of ``crops`` or ``items`` for an index without an epoch."""
        if index >= self.num_crops:
            return self.items[np.random.randint(len(self.items))]
        category = index // self.per_class
        return self.crops[np.random.randint(self.bounds[category], self.bounds[category + 1])]

    def get_data_info(self, index: int | tuple[int, int]) -> dict:
        """Return the data info of an item; crops add ``centroid`` (x, y) and ``centroid_class``."""
        return self._resolve(index)[1]

    def _resolve(self, index: int | tuple[int, int]) -> tuple[BaseDataset, dict]:
        self.full_init()
        position = index[1] if isinstance(index, tuple) else index
        if not -len(self) <= position < len(self):
            raise IndexError(f'ClassUniformDataset: {position} is not in 0..{len(self) - 1}')
        position %= len(self)
        if isinstance(index, tuple):
            crops, plain = self._plan(index[0])
            if position < len(crops):
                row = self.crops[crops[position]]
            else:
                row = self.items[plain[position - len(crops)]]
        else:
            row = self._draw(position)
        leaf = self.leaves[row[0]]
        info = leaf.get_data_info(int(row[1]))
        if len(row) > 2:
            info['centroid_class'] = int(row[2])
            info['centroid'] = (int(row[3]), int(row[4]))
        return leaf, info

    def __getitem__(self, index: int | tuple[int, int]) -> Any:
        leaf, info = self._resolve(index)
        return leaf.pipeline(info)
