"""Checks that the files of a config's data sets exist and can be read, before a long training.

The numbers are those of "SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow"
(https://arxiv.org/abs/2207.04415), Table 2 and section 4.1.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cv2
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmseg.registry import DATASETS

from sfnet_mm.utils.config_parts import data_sets
from sfnet_mm.utils.parallel import parallel_map
from sfnet_mm.utils.tooling import first_line

from .mapped_dataset import MappedSegDataset
from .paper_counts import paper_counts
from .transforms.loading import LoadImageWhole, LoadMappedAnnotations
from .uds import MiniUDSDataset

PAPER_COUNTS = paper_counts()
LOADERS = {'train_dataloader': 'train', 'val_dataloader': 'val', 'test_dataloader': 'test'}


@dataclass
class SourceFiles:
    """The samples of one source and split.

    Args:
        source: Name of the source, or of the class of an mmseg data set.
        split: ``'train'``, ``'val'`` or ``'test'``.
        samples: Samples as the data set lists them.
        error: Why there are no samples; empty if there are some.
        expected: Correct numbers of images, each with its place in the paper.
    """

    source: str
    split: str
    samples: list[dict] = field(default_factory=list)
    error: str = ''
    expected: dict[int, str] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether there are images, and the expected number of them if it is known."""
        return bool(self.samples) and (not self.expected or len(self.samples) in self.expected)

    def __str__(self) -> str:
        name, number = f'{self.source} {self.split}', len(self.samples)
        known = ' or '.join(f'{n:,} ({where})' for n, where in self.expected.items())
        if self.error:
            return f'{name}: missing, {known or "no number is known"}: {self.error}'
        if not self.expected:
            return f'{name}: {number:,} images; the paper has no number'
        if number in self.expected:
            also = [f'{n:,} in {where}' for n, where in self.expected.items() if n != number]
            return f'{name}: {number:,} images as in {self.expected[number]}' + (
                f'; but {", ".join(also)}' if also else ''
            )
        most = min(self.expected, key=lambda n: abs(n - number))
        what = 'are missing' if number < most else 'are too many'
        return f'{name}: {number:,} images of {known}: {abs(most - number):,} {what}'


def list_sources(cfg: Config) -> list[SourceFiles]:
    """List the files of each source and split that a config trains, validates and tests on.

    A source that is missing does not hide the others.

    Args:
        cfg: Config read by :func:`~sfnet_mm.utils.config.read_config`.

    Raises:
        ValueError: The config has no data set.
    """
    found: list[SourceFiles] = []
    seen = []
    for loader, split in LOADERS.items():
        for dataset in data_sets(cfg.get(loader)):
            listed = {k: v for k, v in dataset.items() if k not in ('pipeline', 'indices')}
            if listed in seen:
                continue
            seen.append(listed)
            with DefaultScope.overwrite_default_scope('mmseg'):
                found += _list_dataset(listed, split)
    if not found:
        raise ValueError(f'config {cfg.filename} has no data set')
    return found


def _list_dataset(dataset: dict, split: str) -> list[SourceFiles]:
    """List the sources of one data set."""
    built = DATASETS.build(dict(dataset, lazy_init=True, pipeline=[]))
    if not isinstance(built, MappedSegDataset):
        sources = SourceFiles(type(built).__name__, split)
        try:
            sources.samples = built.load_data_list()
            sources.error = '' if sources.samples else f'no image in {built.data_prefix}'
        except (OSError, ValueError, AssertionError) as error:
            sources.error = first_line(error)
        return [sources]
    try:
        samples = built.load_data_list()
    except FileNotFoundError:
        # If one source is missing, the others are listed one by one.
        return [_list_root(built, layout, root) for layout, root in built.roots()]
    found = []
    for layout, _ in built.roots():
        of_source = [s for s in samples if s['source'] == layout.name]
        found.append(SourceFiles(layout.name, built.split, of_source))
        found[-1].expected = _expected(built, layout.name)
    return found


def _list_root(dataset: MappedSegDataset, layout: Any, root: str) -> SourceFiles:
    """List the samples of one source of a data set."""
    found = SourceFiles(layout.name, dataset.split, expected=_expected(dataset, layout.name))
    try:
        found.samples = dataset.list_source(layout, root)
    except FileNotFoundError as error:
        found.error = first_line(error)
    return found


def _expected(dataset: MappedSegDataset, source: str) -> dict[int, str]:
    """Return the correct numbers of images."""
    if isinstance(dataset, MiniUDSDataset):
        return {dataset.request[dataset.split]: 'the config'}
    return PAPER_COUNTS.get((source, dataset.split), {})


def find_broken(
    samples: Iterable[dict], state: str, workers: int | None = None
) -> tuple[list[str], int]:
    """Read images and masks as a training does, on all cores.

    Each good pair is recorded in a file as soon as it is read, so that a stopped run can continue.
    Broken pairs and pairs whose files have changed since are read again.

    Args:
        samples: Samples of the data sets; a pair that is listed twice is read once.
        state: Path of that file, with a line of JSON for each pair; its folder is made.
        workers: Number of processes; None takes one per CPU.

    Returns:
        One line for each broken pair, and the number of pairs that an earlier run had read.

    Raises:
        OSError: The file cannot be written.
    """
    os.makedirs(os.path.dirname(os.path.abspath(state)), exist_ok=True)
    known = _read_state(state)
    # The file is written now, so that a folder without write access is found before the work.
    with open(state, 'a', encoding='utf-8') as file:
        file.write('\n')
    unique = {_pair_identity(sample): sample for sample in samples}
    todo = [s for key, s in unique.items() if key not in known or known[key] != _sizes_and_times(s)]
    lines = parallel_map(partial(_read_pair, state), todo, workers)
    return [line for line in lines if line], len(unique) - len(todo)


def _read_pair(state: str, sample: dict) -> str:
    """Read one pair; return an error as text, so that the other pairs are read."""
    results = dict(sample, seg_fields=[])
    try:
        stamp = _sizes_and_times(sample)
        results = LoadImageWhole().transform(results)
        LoadMappedAnnotations().transform(results)
    except (OSError, ValueError, SyntaxError, cv2.error) as error:
        line = ' '.join(str(error).split())
        return line if sample['img_path'] in line else f'{sample["img_path"]}: {line}'
    # A single system call keeps the lines of several processes apart.
    entry = json.dumps({'pair': _pair_identity(sample), 'stamp': stamp}) + '\n'
    handle = os.open(state, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(handle, entry.encode())
    finally:
        os.close(handle)
    return ''


def _pair_paths(sample: dict) -> list[str]:
    """Return the paths of the image and of its mask, if there is one."""
    return [sample[k] for k in ('img_path', 'seg_map_path') if sample.get(k)]


def _pair_identity(sample: dict) -> str:
    """Return the identity of a pair: its files and the translation of its ids."""
    paths = [os.path.abspath(path) for path in _pair_paths(sample)]
    return ' | '.join([*paths, str(sample.get('label_table'))])


def _sizes_and_times(sample: dict) -> list[int]:
    """Size in bytes and time of change in ns of the files; empty if one is missing."""
    try:
        stats = [os.stat(path) for path in _pair_paths(sample)]
    except OSError:
        return []
    return [n for s in stats for n in (s.st_size, s.st_mtime_ns)]


def _read_state(path: str) -> dict[str, list[int]]:
    """Read the records of the good pairs."""
    known = {}
    if os.path.isfile(path):
        with open(path, encoding='utf-8') as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    known[entry['pair']] = entry['stamp']
                except (ValueError, KeyError, TypeError):
                    pass  # A stopped run left this line unfinished, so its pair is read again.
    return known
