"""The centroid index: what is in it, and how it is kept on disk."""

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from PIL import Image
from uniform_streets import blobs, count_loads, dataset, scan, uniform, write

from sfnet_mm.datasets.wrappers import CentroidIndex, class_centroids, tile_edges


@pytest.mark.parametrize('shape, tile', [((32, 64), 32), ((48, 96), 16), ((40, 40), 40)])
def test_centroids_are_those_of_a_scan_per_class_and_tile(shape, tile):
    mask = blobs(1, shape, 5)
    assert [tuple(row) for row in class_centroids(mask, tile, 5)] == scan(mask, tile, 5)


def test_centroids_of_noise_and_of_one_class():
    noise = np.random.default_rng(0).integers(0, 7, (24, 24)).astype(np.uint8)
    assert [tuple(r) for r in class_centroids(noise, 12, 5)] == scan(noise, 12, 5)
    assert class_centroids(np.full((6, 9), 3, np.uint8), 9, 5).tolist() == [[3, 4, 2]]
    assert class_centroids(np.full((6, 9), 255, np.uint8), 9, 5).shape == (0, 3)


@pytest.mark.parametrize('size, tile', [(720, 1024), (1280, 1024), (1080, 1024), (7, 3), (5, 5)])
def test_tiles_cover_the_image_and_stay_inside(size, tile):
    edges = tile_edges(size, tile)
    assert edges[0] == 0 and edges[-1] == size
    assert (np.diff(edges) > 0).all() and np.diff(edges).max() <= tile


def test_an_image_of_720_rows_has_centroids():
    mask = np.zeros((720, 1280), np.uint8)
    mask[700:, 1200:] = 2
    found = class_centroids(mask, 1024, 19)
    assert set(found[:, 0]) == {0, 2}
    assert [2, 1239, 709] in found.tolist()


def test_index_is_built_once_and_again_when_something_changes(streets, monkeypatch, tmp_path):
    loads = count_loads(monkeypatch)

    def loaded(**kwargs):
        loads.clear()
        uniform(dataset(streets), **kwargs)
        return len(loads)

    assert loaded() == 60
    assert loaded() == 0
    assert loaded(fraction=0.1, seed=9) == 0
    assert loaded(tile=16) == 60
    assert loaded(num_classes=4) == 60
    assert loaded(index_dir=str(tmp_path / 'elsewhere')) == 60
    assert (tmp_path / 'elsewhere').is_dir()
    # The same number of bytes, another time.
    os.utime(streets / 'ann' / '003.png', (1, 1))
    assert loaded() == 60
    stored = list((streets / 'ann' / '.centroids').iterdir())
    # No part or temporary file is left; the empty lock files are.
    assert {f.suffix for f in stored} <= {'.npz', '.lock'}


def test_index_depends_on_the_label_space(streets, monkeypatch):
    loads = count_loads(monkeypatch)
    uniform(dataset(streets))
    loads.clear()
    data = uniform(dataset(streets, reduce_zero_label=True))
    assert len(loads) == 60 and data.present.tolist() == [0, 1, 2, 3]


def test_a_broken_index_or_one_of_other_data_is_built_anew(streets, monkeypatch):
    uniform(dataset(streets))
    (path,) = (streets / 'ann' / '.centroids').glob('*.npz')
    good = path.read_bytes()
    loads = count_loads(monkeypatch)
    foreign = CentroidIndex(*(np.zeros(3, dtype) for dtype in 'iBii'))
    foreign.write(path, 'key of other data')
    for content in (path.read_bytes(), good[:100], b'', b'text'):
        path.write_bytes(content)
        loads.clear()
        assert uniform(dataset(streets)).present.tolist() == [0, 1, 2, 3, 4]
        assert len(loads) == 60


def test_an_interrupted_build_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr('sfnet_mm.datasets.wrappers.centroid_index.CHUNK', 4)
    folder = write(tmp_path / 'data', [blobs(i, (16, 16), 3) for i in range(12)])
    infos = [dict(seg_map_path=str(folder / 'ann' / f'{i:03d}.png')) for i in range(12)]
    loads = []

    def load(info, last=None):
        loads.append(info['seg_map_path'])
        if info is last:
            raise ValueError('cannot be read')
        return np.asarray(Image.open(info['seg_map_path']))

    with pytest.raises(ValueError, match='cannot be read'):
        CentroidIndex.read_or_build(infos, lambda i: load(i, infos[9]), 16, 3, workers=1)
    assert len(loads) == 10
    loads.clear()
    index = CentroidIndex.read_or_build(infos, load, 16, 3, workers=1)
    assert loads == [i['seg_map_path'] for i in infos[8:]]
    assert sorted(set(index.mask.tolist())) == list(range(12))


def _load_slowly(info):
    time.sleep(0.1)
    return np.asarray(Image.open(info['seg_map_path']))


def _index(infos, queue=None):
    index = CentroidIndex.read_or_build(infos, _load_slowly, 16, 3, workers=1)
    if queue is not None:
        queue.put(len(index))


def test_ranks_wait_for_the_builder_and_take_over_when_it_dies(tmp_path, monkeypatch):
    monkeypatch.setattr('sfnet_mm.datasets.wrappers.centroid_index.CHUNK', 2)
    folder = write(tmp_path / 'data', [blobs(i, (16, 16), 3) for i in range(10)])
    infos = [dict(seg_map_path=str(folder / 'ann' / f'{i:03d}.png')) for i in range(10)]
    context = multiprocessing.get_context('fork')
    queue = context.Queue()
    builder = context.Process(target=_index, args=(infos,))
    builder.start()
    while not list(folder.glob('ann/.centroids/*.parts/2.npy')):
        time.sleep(0.01)
        assert builder.is_alive()
    others = [context.Process(target=_index, args=(infos, queue)) for _ in range(2)]
    for process in others:
        process.start()
    os.kill(builder.pid, signal.SIGKILL)
    builder.join()
    sizes = {queue.get(timeout=20) for _ in others}
    for process in others:
        process.join()
    assert sizes == {sum(len(class_centroids(_load_slowly(i), 16, 3)) for i in infos)}
    left = (path.suffix for path in (folder / 'ann' / '.centroids').iterdir())
    assert set(left) <= {'.npz', '.lock'}
