"""Writes clean masks of a user's own data set: PNGs with one 8-bit channel of class ids."""

from __future__ import annotations

import os
from collections.abc import Container
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from sfnet_mm.utils.file_names import refuse_overwriting
from sfnet_mm.utils.parallel import parallel_map
from sfnet_mm.visualization import save_png

from .folder_check import FolderReport
from .folder_files import PALETTE, mask_ids, mask_kind, pack_colors
from .label_maps import IGNORE_INDEX
from .transforms.loading import open_image


@dataclass(frozen=True)
class ColorTable:
    """Class ids for the colors and the ids of masks.

    Args:
        colors: Class id of each packed color; see :func:`~.folder_files.pack_colors`.
        ids: Class id of each id in the masks.
    """

    colors: dict[int, int] = field(default_factory=dict)
    ids: dict[int, int] = field(default_factory=dict)


def read_color_table(path: str) -> ColorTable:
    """Read a color table.

    Each line is ``R G B ID`` for a color or ``ID NEW_ID`` for an id, with spaces or commas. ``#``
    begins a comment. ID 255 is ignored in training.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A line has another form, or two lines are for one color or id.
    """
    table = ColorTable()
    try:
        with open(path, encoding='utf-8') as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        raise FileNotFoundError(f'the color table {path} does not exist') from None
    except UnicodeDecodeError:
        raise ValueError(f'the color table {path} is not a text file') from None
    for number, line in enumerate(lines, 1):
        words = line.partition('#')[0].replace(',', ' ').split()
        if not words:
            continue
        where = f'{path}, line {number}: {line.strip()!r}'
        if len(words) not in (2, 4) or not all(w.isdecimal() for w in words):
            raise ValueError(f'{where} is neither "R G B ID" nor "ID NEW_ID"')
        *key, value = map(int, words)
        if max(*key, 0) > (255 if len(key) == 3 else 65535) or value > IGNORE_INDEX:
            raise ValueError(f'{where} holds a number above 255')
        if len(key) == 3:
            known, packed = table.colors, key[0] << 16 | key[1] << 8 | key[2]
        else:
            known, packed = table.ids, key[0]
        if known.setdefault(packed, value) != value:
            raise ValueError(f'{where} contradicts a line above it')
    if not (table.colors or table.ids):
        raise ValueError(f'the color table {path} is empty: a line is "R G B ID"')
    return table


def clean_ids(mask: Image.Image, table: ColorTable, known: Container[int], name: str) -> np.ndarray:
    """Convert a mask of any kind to class ids (H, W), uint8.

    Args:
        mask: The mask. The table translates its colors, and those of its palette if the table has
            colors. If the table has none, a mask with three equal channels holds ids.
        table: Class ids for colors and ids.
        known: Ids that the result may have, from 0 to 255.
        name: Name of the mask, for errors.

    Raises:
        ValueError: The table lacks a color, or an id is not known.
    """
    ids = mask_ids(mask)
    if table.colors and (ids is None or mask_kind(mask) == PALETTE):
        ids = _translate(pack_colors(mask), table.colors, name)
    else:
        if ids is None:
            packed = pack_colors(mask)
            ids = packed & 255
            if (packed != ids * 0x10101).any():
                raise ValueError(f'{name} has colors: give their ids with --colors TABLE')
        ids = _replace(ids, table.ids)
    outside = [value for value in np.unique(ids).tolist() if value not in known]
    if outside:
        raise ValueError(
            f'{name} holds the id {outside[0]}, which is not a class: a line "{outside[0]} '
            f'{IGNORE_INDEX}" of --colors TABLE lets training ignore it'
        )
    return ids.astype(np.uint8)


def clean_masks(
    report: FolderReport,
    names: dict[str, str],
    out: str,
    table: ColorTable,
    workers: int | None = None,
) -> list[str]:
    """Write a clean mask for every image; no file is ever incomplete.

    Files that cannot be read and masks that differ in size from their images are skipped.

    Args:
        report: Report of the folders.
        names: Path in ``out``, without suffix, for the path of each mask.
        out: Folder of the new masks, which is made.
        table: Class ids for colors and ids. In binary masks 255 becomes 1 by default.
        workers: Number of processes; None takes one per CPU.

    Returns:
        One line for each mask that was not written.

    Raises:
        ValueError: A file to write is also a file to read.
    """
    masks = [facts.pair.mask for facts in report.facts if facts.fits]
    jobs = [(mask, os.path.join(out, names[mask] + '.png')) for mask in masks]
    read = [path for facts in report.facts for path in facts.pair]
    refuse_overwriting([target for _, target in jobs], read)
    if report.binary:
        table = ColorTable(table.colors, {255: 1, **table.ids})
    known: Container[int] = range(IGNORE_INDEX + 1)
    if report.given_classes:
        first = int(report.reduce_zero_label)
        known = {0, IGNORE_INDEX, *range(first, first + report.num_classes)}
    lines = parallel_map(partial(_clean_file, table, known), jobs, workers)
    return [line for line in lines if line]


def _clean_file(table: ColorTable, known: Container[int], job: tuple[str, str]) -> str:
    """Write one mask; return an error as text, so that the other masks are written."""
    path, target = job
    try:
        ids = clean_ids(open_image(path), table, known, path)
        save_png(target, ids)
    except (OSError, ValueError) as error:
        return str(error)
    return ''


def _replace(ids: np.ndarray, new: dict[int, int]) -> np.ndarray:
    """Replace some ids of a mask."""
    out = ids.astype(np.int64)
    for value, replacement in new.items():
        out[ids == value] = replacement
    return out


def _translate(packed: np.ndarray, colors: dict[int, int], name: str) -> np.ndarray:
    """Translate packed colors to ids."""
    values, places = np.unique(packed, return_inverse=True)
    lacking = [v for v in values.tolist() if v not in colors]
    if lacking:
        r, g, b = lacking[0] >> 16, lacking[0] >> 8 & 255, lacking[0] & 255
        more = f' and {len(lacking) - 1} more' if len(lacking) > 1 else ''
        raise ValueError(f'{name} holds the color {r} {g} {b}{more}, which the table lacks')
    return np.array([colors[v] for v in values.tolist()])[places].reshape(packed.shape)
