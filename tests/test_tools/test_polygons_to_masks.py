"""``polygons_to_masks.py`` on drawn annotations, against the inside of each shape."""

import json

import numpy as np
import pytest
from helpers import load_tool
from PIL import Image

SIZE = (30, 40)
Y, X = np.mgrid[: SIZE[0], : SIZE[1]]
SQUARE = (X >= 5) & (X <= 24) & (Y >= 5) & (Y <= 24)
DISK = np.hypot(X - 15, Y - 15) <= 6
CLASSES = ['--classes', 'background', 'leaf', 'fruit']


@pytest.fixture(scope='module')
def tool():
    return load_tool('dataset_converters/polygons_to_masks').main


def labelme(shapes):
    return dict(shapes=shapes, imageHeight=SIZE[0], imageWidth=SIZE[1], imagePath='a.jpg')


def shape(label, kind, *points):
    return dict(label=label, shape_type=kind, points=points)


LEAF = shape('leaf', 'rectangle', (5, 5), (24, 24))
FRUIT = shape('fruit', 'circle', (15, 15), (21, 15))


def write(root, name, data):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(json.dumps(data))
    return str(root)


def read(path):
    with Image.open(path) as mask:
        assert mask.mode == 'L'
        return np.array(mask)


def expected(rest):
    return np.where(DISK, 2, np.where(SQUARE, 1, rest))


@pytest.mark.parametrize(('rest', 'value'), [('ignore', 255), ('background', 0)])
def test_labelme_shapes_lie_over_each_other_in_their_order(tool, tmp_path, capsys, rest, value):
    folder = write(tmp_path / 'labels', 'inner/a.json', labelme([LEAF, FRUIT]))
    tool([folder, f'{tmp_path}/masks', *CLASSES, '--rest', rest])
    mask = read(tmp_path / 'masks/inner/a.png')
    # Pixels on the outline of the disk may fall on either side.
    clear = abs(np.hypot(X - 15, Y - 15) - 6) > 1.5
    np.testing.assert_array_equal(mask[clear], expected(value)[clear])
    assert clear.mean() > 0.85
    assert '1 masks written' in capsys.readouterr().out


def coco(*annotations, file_name='a.jpg'):
    names = ['background', 'leaf', 'fruit']
    return dict(
        images=[dict(id=7, file_name=file_name, height=SIZE[0], width=SIZE[1])],
        categories=[dict(id=10 * i, name=name) for i, name in enumerate(names)],
        annotations=[dict(id=i, image_id=7, **a) for i, a in enumerate(annotations, 1)],
    )


def test_coco_polygons_and_run_lengths(tool, tmp_path):
    pytest.importorskip('pycocotools')
    runs = np.flatnonzero(np.diff(DISK.ravel('F'), prepend=0, append=0))
    counts = np.diff([0, *runs, DISK.size]).tolist()
    fruit = dict(category_id=20, segmentation=dict(counts=counts, size=SIZE), iscrowd=1)
    leaf = dict(category_id=10, segmentation=[[5, 5, 25, 5, 25, 25, 5, 25]], iscrowd=0)
    write(tmp_path, 'coco.json', coco(fruit, leaf, file_name='inner/a.jpg'))
    tool([f'{tmp_path}/coco.json', f'{tmp_path}/masks', *CLASSES, '--rest', 'background'])
    # The small shape lies over the large one, although it comes first.
    np.testing.assert_array_equal(read(tmp_path / 'masks/inner/a.png'), expected(0))


WRONG = {
    'shapes of stone: add': labelme([shape('stone', 'polygon', (0, 0), (9, 0), (9, 9))]),
    "has a point of 'leaf', which covers no area": labelme([shape('leaf', 'point', (1, 1))]),
    'is not a file of LabelMe': dict(images=[]),
}


@pytest.mark.parametrize('message', WRONG)
def test_what_is_wrong_is_one_line(tool, tmp_path, message):
    folder = write(tmp_path / 'labels', 'a.json', WRONG[message])
    with pytest.raises(SystemExit, match=f'^error: .*a.json .*{message}'.replace('.*is no', '.*')):
        tool([folder, f'{tmp_path}/masks', *CLASSES])
    assert not (tmp_path / 'masks').exists()


def test_a_name_that_leads_out_of_the_folder_is_refused(tool, tmp_path):
    pytest.importorskip('pycocotools')
    write(tmp_path, 'coco.json', coco(file_name='../../a.jpg'))
    with pytest.raises(SystemExit, match='^error: .*outside of its folder'):
        tool([f'{tmp_path}/coco.json', f'{tmp_path}/masks', *CLASSES])


def test_other_files_are_named(tool, tmp_path):
    write(tmp_path, 'coco.json', {})
    with pytest.raises(SystemExit, match='^error: .*is not a COCO file'):
        tool([f'{tmp_path}/coco.json', f'{tmp_path}/masks', *CLASSES])
    (tmp_path / 'empty').mkdir()
    with pytest.raises(SystemExit, match='^error: .*holds no .json'):
        tool([f'{tmp_path}/empty', f'{tmp_path}/masks', *CLASSES])
