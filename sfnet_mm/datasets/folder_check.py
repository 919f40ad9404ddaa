"""Checks a folder of images and a folder of masks before a training uses them."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from sfnet_mm.utils.parallel import parallel_map

from .folder_files import ALPHA, COLOR, DEEP, PALETTE, PairFacts, find_files, inspect_pair
from .label_maps import IGNORE_INDEX
from .source_layouts import Pair

KINDS = {
    COLOR: 'the mask has colors, not ids; --fix OUT --colors TABLE writes ids',
    PALETTE: 'the mask has a palette, and some readers return its colors; --fix OUT keeps the ids',
    DEEP: 'the mask has more than 8 bits; --fix OUT writes 8',
    ALPHA: 'the mask has an alpha channel; --fix OUT drops it',
}
# A message names this many files of a problem and counts the others.
NAMED = 3


class Problem(NamedTuple):
    """A problem of some files, or of the whole folder if it names no files."""

    kind: str
    text: str
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.files:
            return self.text
        number, more = len(self.files), len(self.files) - NAMED
        named = ', '.join(self.files[:NAMED]) + (f' and {more} more' if more > 0 else '')
        return f'{number} {"file" if number == 1 else "files"}: {self.text}: {named}'


@dataclass
class FolderReport:
    """The result of :func:`check_folders`.

    Args:
        num_classes: The given number of classes, or one more than the largest id.
        given_classes: Whether the number of classes was given.
        reduce_zero_label: Whether id 0 is not a class, as in mmseg's data sets with this argument.
            The classes are then the ids from 1 on.
        binary: Whether the masks have only 0 and 255, so that 255 is a class.
        facts: The contents of each pair.
        problems: The problems, in the order in which they should be fixed.
    """

    num_classes: int = 0
    given_classes: bool = False
    reduce_zero_label: bool = False
    binary: bool = False
    facts: list[PairFacts] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ids(self) -> Counter:
        """The number of pixels of each id in all masks of ids."""
        total: Counter = Counter()
        for facts in self.facts:
            total.update(facts.ids)
        return total

    @property
    def class_ids(self) -> list[int]:
        """The id of each class in the masks."""
        if self.binary:
            return [0, 255]
        first = int(self.reduce_zero_label)
        return list(range(first, first + self.num_classes))

    def is_known(self, value: int) -> bool:
        """Return whether a mask may have this id."""
        return (
            value in self.class_ids
            or value == IGNORE_INDEX
            or (self.reduce_zero_label and value == 0)
        )


def check_folders(
    images: str,
    masks: str,
    num_classes: int | None = None,
    reduce_zero_label: bool = False,
    img_suffix: str = '',
    seg_map_suffix: str = '',
    workers: int | None = None,
) -> FolderReport:
    """Read all images and masks of two folders and list what is wrong.

    An image and a mask belong together if their paths in the folders are equal without the
    suffixes.

    Args:
        images: Folder of the images.
        masks: Folder of the masks.
        num_classes: Number of classes; None takes the largest id of the masks as the last class.
        reduce_zero_label: Whether id 0 is not a class.
        img_suffix: End of the names of the images; by default that of any image.
        seg_map_suffix: End of the names of the masks.
        workers: Number of processes; None takes one per CPU.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: A folder has no images, two files have the same name, or there are more classes
            than 8-bit masks can hold.
    """
    if num_classes is not None and not 1 <= num_classes <= IGNORE_INDEX:
        raise ValueError(f'{num_classes} classes: masks of 8 bits hold 1 to {IGNORE_INDEX}')
    if os.path.realpath(images) == os.path.realpath(masks) and not (img_suffix and seg_map_suffix):
        raise ValueError(
            f'{images} is the folder of images and masks: give --img-suffix and --seg-map-suffix'
        )
    image_files = find_files(images, img_suffix, without=masks)
    mask_files = find_files(masks, seg_map_suffix, without=images)
    both = sorted(set(image_files) & set(mask_files))
    pairs = [Pair(image_files[name], mask_files[name]) for name in both]
    report = FolderReport(reduce_zero_label=reduce_zero_label)
    report.facts = parallel_map(inspect_pair, pairs, workers)
    found = report.ids
    report.given_classes = num_classes is not None
    two = num_classes in (None, 1, 2) and not reduce_zero_label
    report.binary = two and 255 in found and set(found) <= {0, 255}
    largest = max((value for value in found if value < IGNORE_INDEX), default=-1)
    number = 2 if report.binary else num_classes
    report.num_classes = number or max(0, largest + 1 - int(reduce_zero_label))
    hint = (
        '' if both else '; if names end in more than a suffix, give --img-suffix, --seg-map-suffix'
    )
    for kind, folder, files in (('mask', masks, image_files), ('image', images, mask_files)):
        lone = [files[name] for name in sorted(set(files) - set(both))]
        _add(report, f'no {kind}', f'there is no {kind} of that name in {folder}{hint}', lone)
    _check_files(report)
    _check_ids(report, masks)
    return report


def _add(report: FolderReport, kind: str, text: str, files: list[str]) -> None:
    if files:
        report.problems.append(Problem(kind, text, tuple(files)))


def _check_files(report: FolderReport) -> None:
    """Find the problems of single files: damage, sizes, orientation, kinds of masks."""
    facts = report.facts
    damaged = [f.pair.image for f in facts if f.image_error]
    damaged += [f.pair.mask for f in facts if f.mask_error]
    _add(report, 'damaged', 'the file is truncated or not an image; copy it again', damaged)
    readable = [f for f in facts if not (f.image_error or f.mask_error)]
    sizes = [
        f'{f.pair.mask} ({_size(f.mask_size)}, its image {_size(f.image_size)})'
        for f in readable
        if f.mask_size != f.image_size and not _fits_only_rotated(f)
    ]
    _add(report, 'size', 'the mask differs from its image in size (height x width)', sizes)
    _add(
        report,
        'EXIF',
        'many readers rotate the image by its EXIF orientation, but not the mask; '
        "load with color_type='color_ignore_orientation'",
        [
            f'{f.pair.image} (orientation {f.orientation})'
            for f in readable
            if _ignores_exif_rotation(f)
        ],
    )
    _add(
        report,
        'EXIF, turned mask',
        'the mask only fits the image after its rotation by EXIF; store the rotated image '
        'without the tag',
        [f'{f.pair.mask} (orientation {f.orientation})' for f in readable if _fits_only_rotated(f)],
    )
    for key, names in (
        ('img_suffix', [f.pair.image for f in facts]),
        ('seg_map_suffix', [f.pair.mask for f in facts]),
    ):
        suffixes = Counter(os.path.splitext(name)[1] for name in names)
        if len(suffixes) > 1:
            most = suffixes.most_common(1)[0][0]
            text = f'a data set reads one suffix ({key}), and most end in {most}; save all alike'
            _add(report, 'suffixes', text, [name for name in names if not name.endswith(most)])
    for kind, text in KINDS.items():
        _add(report, kind, text, [f.pair.mask for f in facts if f.kind == kind])
    lossy = [f.pair.mask for f in facts if f.pair.mask.lower().endswith(('.jpg', '.jpeg'))]
    _add(report, 'JPEG', 'the mask is a JPEG, which changes ids at edges; store it as PNG', lossy)


def _check_ids(report: FolderReport, masks: str) -> None:
    """Find the problems of the ids in the masks."""
    found = report.ids
    if not found:
        return
    if report.binary:
        holders = [f.pair.mask for f in report.facts if IGNORE_INDEX in f.ids]
        text = 'the mask holds only 0 and 255, and mmseg ignores 255; --fix OUT writes it as 1'
        _add(report, '0/255', text, holders)
    outside = []
    for facts in report.facts:
        ids = [value for value in facts.ids if not report.is_known(value)]
        if ids:
            outside.append(f'{facts.pair.mask} (holds {_list_first(ids)})')
    text = (
        f'the mask holds ids that are neither among the {report.num_classes} classes nor 255; '
        'a line "ID 255" in TABLE of --fix OUT --colors TABLE lets training ignore an id'
    )
    beyond = {value for value in found if not report.is_known(value)}
    if beyond == {report.num_classes} and report.given_classes and not report.reduce_zero_label:
        text += '; if 0 is not a class, add --reduce-zero-label'
    _add(report, 'outside', text, outside)
    unused = [i for i, value in enumerate(report.class_ids) if value not in found]
    if unused:
        text = f'{len(unused)} of {report.num_classes} classes: no mask in {masks} holds class'
        text += f' {_list_first(unused)}'
        if unused == [0] and not report.given_classes and not report.reduce_zero_label:
            text += '; if the ids count from 1, add --reduce-zero-label'
        report.problems.append(Problem('never used', text))


def _list_first(values: list[int]) -> str:
    """List up to eight of the numbers."""
    return ', '.join(map(str, values[:8])) + (', ...' if len(values) > 8 else '')


def _size(size: tuple[int, int]) -> str:
    return f'{size[0]}x{size[1]}'


def _ignores_exif_rotation(facts: PairFacts) -> bool:
    """Return whether EXIF rotates an image whose mask has the pixels of the file."""
    return facts.orientation in range(2, 9) and facts.mask_size == facts.image_size


def _fits_only_rotated(facts: PairFacts) -> bool:
    """Return whether a mask fits its image only after the rotation by EXIF."""
    turned = facts.orientation in (5, 6, 7, 8)
    return turned and facts.mask_size != facts.image_size == facts.mask_size[::-1]
