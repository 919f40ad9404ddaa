"""The folders of images and masks of each data set as it is distributed."""

from __future__ import annotations

import os
import os.path as osp
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from mmengine.logging import print_log

from sfnet_mm.utils.arguments import check_choice

# A warning names this many images without a mask and counts the others.
NAMED = 20


class Pair(NamedTuple):
    """Paths of an image and its mask, which is None in a split without labels."""

    image: str
    mask: str | None


@dataclass(frozen=True)
class Folders:
    """One folder layout of a data set; ``{split}`` stands for the folder of the split.

    An image and a mask belong together if their paths inside ``images`` and ``masks`` are equal
    without the suffixes.
    """

    images: str
    image_suffixes: tuple[str, ...]
    masks: str
    mask_suffixes: tuple[str, ...]


@dataclass(frozen=True)
class SourceLayout:
    """A data set on disk.

    Args:
        name: Name of the source, which is in its samples.
        table: Name of its :class:`~sfnet_mm.datasets.label_maps.LabelTable`.
        variants: Layouts in which it was distributed, the usual one first.
        splits: Folder of each split.
        unlabeled: Splits whose labels are not public; they are read without masks.
        hint: What to do if masks are missing.
    """

    name: str
    table: str
    variants: tuple[Folders, ...]
    splits: Mapping[str, str] = field(default_factory=lambda: {'train': 'train', 'val': 'val'})
    unlabeled: tuple[str, ...] = ()
    hint: str = ''

    def find_pairs(self, root: str | os.PathLike, split: str, remedy: str) -> list[Pair]:
        """Find all images of a split with their masks, sorted by name.

        Images without a mask are skipped with a warning that counts and names them. Some archives
        of BDD100K have such images.

        Args:
            root: Folder of the data set.
            split: ``'train'``, ``'val'``, ...; see :meth:`check_split`.
            remedy: What to do if that folder does not exist.

        Raises:
            FileNotFoundError: A folder is missing or empty, or no image has a mask.
        """
        root = osp.normpath(root)
        if not osp.isdir(root):
            raise FileNotFoundError(f'{self.name}: the folder {root} does not exist; {remedy}')
        variant = self._choose_variant(root, split)
        images = self._index(root, split, variant.images, variant.image_suffixes)
        if split in self.unlabeled:
            return [Pair(images[key], None) for key in sorted(images)]
        masks = self._index(root, split, variant.masks, variant.mask_suffixes)
        lone = sorted(set(images) - set(masks))
        if lone:
            text = (
                f'{self.name}: {len(lone)} of {len(images)} images of {split!r} have no mask in '
                f'{self._folder(root, split, variant.masks)}'
            )
            hint = self._hint(root, variant.mask_suffixes)
            if len(lone) == len(images):
                raise FileNotFoundError(
                    f'{text}, for example {images[lone[0]]}, whose mask '
                    f'{lone[0]}{variant.mask_suffixes[0]} is missing{hint}'
                )
            named = ', '.join(images[key] for key in lone[:NAMED])
            more = f' and {len(lone) - NAMED} more' if len(lone) > NAMED else ''
            print_log(f'{text} and are left out: {named}{more}{hint}', 'current', level=30)
            for key in lone:
                del images[key]
        unused = len(masks) - len(images)
        if unused:
            print_log(
                f'{self.name}: {unused} of {len(masks)} masks of {split!r} have no image in '
                f'{self._folder(root, split, variant.images)} and are not used',
                'current',
                level=30,
            )
        return [Pair(images[key], masks[key]) for key in sorted(images)]

    def check_split(self, split: str) -> None:
        """Raise a ValueError if the data set does not have that split."""
        check_choice(self.name, self.splits, split=split)

    def _folder(self, root: str, split: str, pattern: str) -> str:
        return osp.normpath(osp.join(root, pattern.format(split=self.splits[split])))

    def _choose_variant(self, root: str, split: str) -> Folders:
        """Choose the first variant that has both folders, else its images, else its masks."""

        def existing(variant: Folders) -> list[bool]:
            patterns = (variant.images, variant.masks)
            return [osp.isdir(self._folder(root, split, pattern)) for pattern in patterns]

        return max(self.variants, key=existing)

    def _index(
        self, root: str, split: str, pattern: str, suffixes: tuple[str, ...]
    ) -> dict[str, str]:
        """Find the files below a folder, by their relative path without suffix."""
        folder = self._folder(root, split, pattern)
        what = f'expected {folder}/**/*{suffixes[0]}'
        if not osp.isdir(folder):
            raise FileNotFoundError(
                f'{self.name}: {what}, but that folder is missing; {_describe_contents(root)}'
                f'{self._hint(root, suffixes)}'
            )
        found = {}
        for directory, _, names in os.walk(folder, followlinks=True):
            inside = osp.relpath(directory, folder)
            for name in names:
                for suffix in suffixes:
                    if name.endswith(suffix) and not name.startswith('.'):
                        key = osp.normpath(osp.join(inside, name[: -len(suffix)]))
                        found[key] = osp.join(directory, name)
                        break
        if not found:
            raise FileNotFoundError(
                f'{self.name}: {what}, but there is no such file; {_describe_contents(folder)}'
                f'{self._hint(root, suffixes)}'
            )
        return found

    def _hint(self, root: str, suffixes: tuple[str, ...]) -> str:
        is_mask = any(suffixes == variant.mask_suffixes for variant in self.variants)
        return '; ' + self.hint.format(root=root) if self.hint and is_mask else ''


def _describe_contents(folder: str) -> str:
    """Describe the contents of a folder in a few words."""
    names = sorted(entry.name for entry in os.scandir(folder) if not entry.name.startswith('.'))
    if not names:
        return f'{folder} is empty'
    shown = ', '.join(names[:6]) + (f', ... ({len(names)} entries)' if len(names) > 6 else '')
    return f'{folder} holds {shown}'


CITYSCAPES = SourceLayout(
    name='cityscapes',
    table='cityscapes',
    variants=(
        Folders(
            'leftImg8bit/{split}',
            ('_leftImg8bit.png',),
            'gtFine/{split}',
            ('_gtFine_labelIds.png',),
        ),
    ),
    splits={'train': 'train', 'val': 'val', 'test': 'test'},
    unlabeled=('test',),
)

IDD = SourceLayout(
    name='idd',
    table='idd',
    variants=(
        # Part I has PNG images, part II has JPEG images, and the names of IDD lite end in _image.
        Folders(
            'leftImg8bit/{split}',
            ('_leftImg8bit.png', '_leftImg8bit.jpg', '_image.jpg'),
            'gtFine/{split}',
            ('_gtFine_labelids.png',),
        ),
    ),
    hint='IDD comes with polygons only, draw its masks: mim run sfnet_mm idd {root} '
    '(or python tools/dataset_converters/idd.py {root})',
)

MAPILLARY = SourceLayout(
    name='mapillary',
    table='mapillary',
    variants=(
        Folders('{split}/images', ('.jpg',), '{split}/labels', ('.png',)),
        # Version 2.0 has the v1.2 labels in a folder of their own.
        Folders('{split}/images', ('.jpg',), '{split}/v1.2/labels', ('.png',)),
    ),
    splits={'train': 'training', 'val': 'validation'},
)

BDD = SourceLayout(
    name='bdd',
    table='bdd',
    variants=(
        Folders('images/10k/{split}', ('.jpg',), 'labels/sem_seg/masks/{split}', ('.png',)),
        # This is the layout of the archive of 2018, bdd100k_seg.
        Folders('images/{split}', ('.jpg',), 'labels/{split}', ('_train_id.png',)),
    ),
)

CAMVID = SourceLayout(
    name='camvid',
    table='camvid',
    variants=(
        # These are the folders of the SegNet tutorial, then those that are usual in mmseg.
        Folders('{split}', ('.png', '.jpg'), '{split}annot', ('.png',)),
        Folders('images/{split}', ('.png', '.jpg'), 'annotations/{split}', ('.png',)),
    ),
    splits={'train': 'train', 'val': 'val', 'test': 'test'},
)

UDS_SOURCES = {layout.name: layout for layout in (CITYSCAPES, IDD, MAPILLARY, BDD)}
