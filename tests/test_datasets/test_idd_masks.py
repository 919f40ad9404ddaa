"""India Driving: masks from polygons, interrupted and faulty runs."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from helpers import run_tool
from mmcv import imwrite
from PIL import Image

from sfnet_mm.datasets.idd_masks import convert_idd, mask_path_of
from sfnet_mm.datasets.label_maps import IDD_LABELS
from sfnet_mm.datasets.polygons import draw_polygons

SKY = {'label': 'sky', 'polygon': [[0, 0], [19, 0], [19, 9], [0, 9]]}
ROAD = {'label': 'road', 'polygon': [[0, 6], [19, 6], [19, 9], [0, 9]]}
CAR = {'label': 'car', 'polygon': [[4, 4], [8, 4], [8, 7], [4, 7]]}


def write(root, name, objects, split='train', size=(10, 20), image_size=None):
    height, width = image_size or size
    image = root / 'leftImg8bit' / split / '0' / f'{name}_leftImg8bit.png'
    imwrite(np.zeros((height, width, 3), np.uint8), image)
    path = root / 'gtFine' / split / '0' / f'{name}_gtFine_polygons.json'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({'imgHeight': size[0], 'imgWidth': size[1], 'objects': objects}))
    return path


def read(polygons):
    return np.asarray(Image.open(mask_path_of(str(polygons))))


def convert(root, **kwargs):
    return convert_idd(root, splits=('train',), workers=1, **kwargs)


def test_later_polygons_cover_earlier_ones(tmp_path):
    path = write(tmp_path, 'a', [SKY, ROAD, CAR])
    assert convert(tmp_path) == (1, 0, [])
    expected = np.full((10, 20), IDD_LABELS.index('sky'))
    expected[6:] = IDD_LABELS.index('road')
    expected[4:8, 4:9] = IDD_LABELS.index('car')
    np.testing.assert_array_equal(read(path), expected)


def test_uncovered_deleted_and_degenerate(tmp_path):
    objects = [
        dict(SKY, deleted=1),
        {'label': 'pole', 'polygon': [[1, 1], [5, 1]]},
        dict(CAR, label='cargroup'),
    ]
    path = write(tmp_path, 'a', objects)
    assert convert(tmp_path)[2] == []
    ids, counts = np.unique(read(path), return_counts=True)
    assert dict(zip(ids.tolist(), counts.tolist())) == {12: 20, 35: 180}


def test_triangle_equals_half_planes():
    a, b, c = np.array([3.2, 2.1]), np.array([28.4, 9.7]), np.array([8.9, 24.6])
    mask = draw_polygons([{'label': 'x', 'polygon': [a, b, c]}], (30, 32), {'x': 1}, 0)
    y, x = np.mgrid[:30, :32]
    signed = []
    for p, q in ((a, b), (b, c), (c, a)):
        along = (q - p) / np.hypot(*(q - p))
        signed.append(along[0] * (y - p[1]) - along[1] * (x - p[0]))
    distance = np.min(signed, axis=0)
    # A rasterizer may decide about the pixels that the edge touches.
    assert (mask[distance > 1] == 1).all()
    assert (mask[distance < -1] == 0).all()


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path):
    done, open_ = (write(tmp_path, name, [SKY]) for name in 'ab')
    convert(tmp_path)
    kept = Path(mask_path_of(str(done)))
    kept.write_bytes(b'kept')
    os.remove(mask_path_of(str(open_)))
    assert convert(tmp_path) == (1, 1, [])
    assert kept.read_bytes() == b'kept'
    assert convert(tmp_path, force=True) == (2, 0, [])
    assert read(done).shape == (10, 20)
    assert not list(tmp_path.rglob('*.partial'))


def test_bad_files_are_named_and_the_others_converted(tmp_path):
    good = write(tmp_path, 'good', [SKY])
    write(tmp_path, 'label', [dict(CAR, label='tank')])
    write(tmp_path, 'points', [dict(CAR, polygon=[[1, 2], [3, 'x'], [4, 5]])])
    write(tmp_path, 'size', [SKY], image_size=(11, 20))
    write(tmp_path, 'json', []).write_text('{"imgHeight": 10')
    written, kept, errors = convert(tmp_path)
    assert (written, kept) == (1, 0) and read(good).shape == (10, 20)
    assert all('\n' not in line for line in errors)
    by_name = {Path(line.split(':')[0]).name.split('_')[0]: line for line in errors}
    assert set(by_name) == {'label', 'points', 'size', 'json'}
    assert "'tank'" in by_name['label'] and 'car' in by_name['points']
    assert '10x20' in by_name['size'] and '11x20' in by_name['size']
    assert len(list(tmp_path.rglob('*_labelids.png'))) == 1


def test_folder_without_polygons(tmp_path):
    with pytest.raises(FileNotFoundError, match='gtFine/train.*give the folder'):
        convert(tmp_path)


def test_command(tmp_path, capsys):
    write(tmp_path, 'a', [SKY])
    write(tmp_path, 'b', [dict(CAR, label='tank')])
    with pytest.raises(SystemExit, match='^error: 1 masks were not drawn'):
        run_tool('dataset_converters/idd', tmp_path, '--splits', 'train', '--workers', 1)
    out = capsys.readouterr()
    assert '1 masks written, 0 were there already, 1 failed' in out.out
    assert out.err.count('\n') == 1 and 'tank' in out.err
