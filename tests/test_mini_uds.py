"""The drawn data set: layouts, labels, repeatability, and runs that are killed."""

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmseg.registry import DATASETS
from PIL import Image

from sfnet_mm.datasets import ensure_mini_uds
from sfnet_mm.datasets.label_maps import IDD_NAME_TO_ID
from sfnet_mm.mini_uds.domains import DOMAINS

TRAIN, VAL = 3, 1
FORK = multiprocessing.get_context('fork')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp('data') / 'mini_uds'
    return Path(ensure_mini_uds(root, TRAIN, VAL, workers=2))


def load(root, split):
    pipeline = [
        dict(type='LoadImageWhole'),
        dict(type='LoadMappedAnnotations'),
        dict(type='PackSegInputs', meta_keys=('img_path', 'source')),
    ]
    cfg = dict(type='MiniUDSDataset', data_root=str(root), split=split, train=TRAIN, val=VAL)
    dataset = DATASETS.build(dict(cfg, pipeline=pipeline))
    return [dataset[i] for i in range(len(dataset))]


def snapshot(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob('*'))
        if path.is_file()
    }


def test_every_class_occurs_and_the_sources_are_four(root):
    for split, count in (('train', TRAIN), ('val', VAL)):
        samples = load(root, split)
        sources = [sample['data_samples'].source for sample in samples]
        assert {s: sources.count(s) for s in sources} == {d.name: count for d in DOMAINS}
    labels = [np.unique(s['data_samples'].gt_sem_seg.data) for s in load(root, 'train')]
    assert set(range(19)) <= set(np.concatenate(labels).tolist())


def test_domains_differ(root):
    samples = load(root, 'train')
    sizes = {sample['data_samples'].source: sample['inputs'].shape[-2:] for sample in samples}
    assert len(set(sizes.values())) == len(sizes) == 4


def test_idd_masks_hold_the_topmost_polygon(root):
    """Even-odd test of every pixel that no outline passes near."""
    file = next((root / 'idd' / 'gtFine' / 'train').rglob('*_polygons.json'))
    annotation = json.loads(file.read_text())
    mask = np.asarray(
        Image.open(str(file).replace('_gtFine_polygons.json', '_gtFine_labelids.png'))
    )
    assert mask.shape == (annotation['imgHeight'], annotation['imgWidth'])
    expected = np.full(mask.shape, IDD_NAME_TO_ID['unlabeled'])
    near = np.zeros(mask.shape, np.uint8)
    y, x = (axis.astype(float) for axis in np.mgrid[: mask.shape[0], : mask.shape[1]])
    for item in annotation['objects']:
        points = np.array(item['polygon'])
        inside = np.zeros(mask.shape, bool)
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0)):
            if y0 != y1:
                crosses = (y0 > y) != (y1 > y)
                inside ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
        expected[inside] = IDD_NAME_TO_ID[item['label']]
        cv2.polylines(near, [np.rint(points).astype(np.int32)], True, 1, thickness=3)
    sure = near == 0
    assert sure.mean() > 0.4
    np.testing.assert_array_equal(mask[sure], expected[sure])


def test_instance_ids_belong_to_the_labels(root):
    for path in (root / 'cityscapes').rglob('*_instanceIds.png'):
        instances = np.asarray(Image.open(path)).astype(np.int64)
        labels = np.asarray(Image.open(str(path).replace('instanceIds', 'labelIds')))
        np.testing.assert_array_equal(
            np.where(instances >= 1000, instances // 1000, instances), labels
        )
        with_instances = labels[instances >= 1000]
        assert set(np.unique(with_instances)) <= {24, 25, 26, 27, 28, 31, 32, 33}
        assert not np.isin(labels[instances < 1000], [24, 25, 26, 27, 28, 31, 32, 33]).any()
        cars = np.unique(instances[labels == 26]) % 1000
        assert len(set(cars)) == len(cars)


def test_labels_lie_where_the_picture_shows_them(root):
    """Sky over road, bright over dark; leaves are green, bricks are red."""
    pixels = {}
    for sample in load(root, 'train'):
        if sample['data_samples'].source == 'mapillary':
            label = sample['data_samples'].gt_sem_seg.data[0].numpy()
            image = sample['inputs'].numpy().astype(float)
            for k in (0, 3, 8, 10):
                pixels.setdefault(k, []).append(image[:, label == k])
    mean = {k: np.concatenate(v, axis=1).mean(axis=1) for k, v in pixels.items()}  # BGR
    assert mean[10].sum() > mean[0].sum() + 100
    assert mean[8].argmax() == 1
    assert mean[3].argmax() == 2


def test_pictures_do_not_depend_on_who_draws_them(root, tmp_path):
    again = Path(ensure_mini_uds(tmp_path / 'again', TRAIN, VAL, workers=1))
    assert snapshot(again) == snapshot(root)
    other = Path(ensure_mini_uds(tmp_path / 'other', 1, 1, seed=1, workers=1))
    name = 'bdd/images/10k/train/00000000-0a1b.jpg'
    assert (other / name).read_bytes() != (root / name).read_bytes()


def test_complete_data_is_left_alone(root, capsys):
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    ensure_mini_uds(root, TRAIN, VAL)
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before
    assert capsys.readouterr().out == ''


def test_incomplete_data_is_replaced(tmp_path, capsys):
    root = Path(ensure_mini_uds(tmp_path / 'data', 1, 1, workers=1))
    assert capsys.readouterr().out.count('mini_uds: drawing') == 1
    whole = snapshot(root)
    next((root / 'idd').rglob('*.jpg')).unlink()
    ensure_mini_uds(root, 1, 1, workers=1)
    assert snapshot(root) == whole
    assert 'in place of' in capsys.readouterr().out


def _draw_many(root, workers):
    ensure_mini_uds(root, 500, 1, workers=workers)


@pytest.mark.parametrize('workers', [1, 2])
def test_a_killed_run_leaves_nothing_to_train_on(tmp_path, workers):
    root = tmp_path / 'data'
    process = FORK.Process(target=_draw_many, args=(root, workers))
    process.start()
    deadline = time.time() + 60
    while not list(tmp_path.rglob('*_labelIds.png')):
        assert time.time() < deadline and process.is_alive()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not root.exists()
    # The workers of the killed run must not keep its lock.
    ensure_mini_uds(root, 1, 1, workers=1)
    assert len(list(root.rglob('*_labelIds.png'))) == 2
    assert not [path for path in tmp_path.iterdir() if path.name.startswith('.data.partial')]


def _ensure(root, queue):
    ensure_mini_uds(root, 1, 1, workers=1)
    queue.put(sorted(snapshot(root)))


def test_two_processes_make_it_once(tmp_path, capfd):
    queue = FORK.Queue()
    processes = [FORK.Process(target=_ensure, args=(tmp_path / 'data', queue)) for _ in range(2)]
    for process in processes:
        process.start()
    seen = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert seen[0] == seen[1] and 'mini_uds.json' in seen[0]
    assert capfd.readouterr().out.count('mini_uds: drawing') == 1


def test_foreign_folder_is_left_alone(tmp_path):
    mine = tmp_path / 'data' / 'mine.txt'
    mine.parent.mkdir()
    mine.write_text('x')
    for root in (mine.parent, mine):
        with pytest.raises(FileExistsError, match='not made by mini_uds'):
            ensure_mini_uds(root, 1, 1)
    # Nothing is left beside it either, such as a lock.
    assert sorted(tmp_path.rglob('*')) == [mine.parent, mine] and mine.read_text() == 'x'


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match='train=0'):
        ensure_mini_uds(tmp_path / 'data', train=0)
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='mini_uds: cannot write') as caught:
        ensure_mini_uds(tmp_path / 'file' / 'data', 1, 1)
    assert '\n' not in str(caught.value)
