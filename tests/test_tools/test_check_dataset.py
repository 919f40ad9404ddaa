"""``check_dataset.py``: thirteen broken folders, each named in one line, and a good one."""

import json
import re

import numpy as np
import pytest
from helpers import run_tool
from mmcv import imwrite
from PIL import Image

from sfnet_mm.datasets.folder_advice import class_weights

TOOL = 'dataset_converters/check_dataset'
SIZE = (40, 70)
COLORS = np.array([(0, 0, 0), (128, 64, 128), (0, 0, 142)], np.uint8)


def ids(i=0):
    """Three classes and an ignored corner."""
    mask = np.zeros(SIZE, np.uint8)
    mask[10:20], mask[20:, : 20 + i], mask[:4, :4] = 1, 2, 255
    return mask


@pytest.fixture
def folder(tmp_path):
    """Four good pairs, one of them in a folder inside."""
    rng = np.random.default_rng(0)
    for i, name in enumerate(('a', 'b', 'inner/c', 'd')):
        imwrite(rng.integers(0, 256, (*SIZE, 3), np.uint8), tmp_path / f'images/{name}.jpg')
        imwrite(ids(i), tmp_path / f'masks/{name}.png')
    return tmp_path


def check(folder, capsys, *options):
    """Whether something is wrong, lines of troubles, and everything that was printed."""
    code = 0
    try:
        run_tool(TOOL, f'{folder}/images', f'{folder}/masks', '--workers', 0, *options)
    except SystemExit as e:
        if 'the lines above name them' not in str(e):
            raise
        code = 1
    out = capsys.readouterr().out
    return code, [line for line in out.splitlines() if line.startswith('wrong: ')], out


def save_mask(array, **options):
    return lambda root: Image.fromarray(array, **options).save(root / 'masks/b.png')


def save_palette(root):
    mask = Image.fromarray(ids())
    # With fewer colors the PNG would have fewer bits, and 255 would be lost.
    mask.putpalette(np.resize(COLORS, (256, 3)).tobytes())
    assert mask.mode == 'P'
    mask.save(root / 'masks/b.png')


def save_turned(root):
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(root / 'images/b.jpg') as image:
        image.copy().save(root / 'images/b.jpg', exif=exif)


def cut(root):
    path = root / 'images/b.jpg'
    path.write_bytes(path.read_bytes()[:-300])


def each_mask(change):
    def change_all(root):
        for path in root.glob('masks/**/*.png'):
            with Image.open(path) as mask:
                array = change(np.array(mask))
            Image.fromarray(array).save(path)

    return change_all


def save_as_png(root):
    with Image.open(root / 'images/b.jpg') as image:
        image.save(root / 'images/b.png')
    (root / 'images/b.jpg').unlink()


OUTSIDE = np.where(ids() == 1, 7, ids()).astype(np.uint8)
BROKEN = {
    'no mask': (lambda root: (root / 'masks/b.png').unlink(), 'images/b.jpg'),
    'no image': (lambda root: (root / 'images/b.jpg').unlink(), 'masks/b.png'),
    'size': (save_mask(ids()[:-1]), r'masks/b.png \(39x70, its image 40x70\)'),
    'EXIF': (save_turned, r'images/b.jpg \(orientation 6\)'),
    'colors': (save_mask(COLORS[ids() % 3]), 'masks/b.png'),
    'palette': (save_palette, 'masks/b.png'),
    'more than 8 bits': (save_mask(ids().astype(np.uint16)), 'masks/b.png'),
    'alpha': (save_mask(np.dstack([ids(), ids() * 0 + 255])), 'masks/b.png'),
    'among the 3 classes': (save_mask(OUTSIDE), r'masks/b.png \(holds 7\)'),
    'no mask in .*masks holds class 1': (
        each_mask(lambda m: np.where(m == 1, 0, m).astype(np.uint8)),
        '1 of 3 classes',
    ),
    'only 0 and 255': (
        each_mask(lambda m: np.where(m > 0, 255, 0).astype(np.uint8)),
        r'masks/a.png, .*masks/b.png, .*masks/d.png and 1 more',
    ),
    'truncated': (cut, 'images/b.jpg'),
    r'one suffix \(img_suffix\), and most end in .jpg': (save_as_png, '1 file: .*images/b.png'),
}


@pytest.mark.parametrize('text', BROKEN)
def test_a_trouble_is_one_line_that_names_the_file(folder, capsys, text):
    change, named = BROKEN[text]
    change(folder)
    options = [] if '255' in text else ['--classes', '3']
    code, lines, _ = check(folder, capsys, *options)
    assert code == 1
    assert len(lines) == 1, lines
    assert re.search(text, lines[0]) and re.search(named, lines[0]), lines


def test_nothing_is_wrong_with_a_good_folder(folder, capsys):
    code, lines, out = check(folder, capsys, '--picture', f'{folder}/sheet.png')
    assert code == 0 and not lines
    assert 'Nothing is wrong with 4 images' in out
    assert 'num_classes = 3\nignore_index = 255\nreduce_zero_label = False\n' in out
    assert 'crop_size = (32, 64)' in out
    pixels = np.array([sum((ids(i) == c).sum() for i in range(4)) for c in range(3)])
    shares = [float(s) for s in re.findall(r'class \d: +([\d.]+)%', out)]
    np.testing.assert_allclose(shares, 100 * pixels / pixels.sum(), atol=0.006)
    with Image.open(folder / 'sheet.png') as sheet:
        assert sheet.width > 4 * 400


def test_weights_are_enets_with_a_mean_of_one():
    weights = class_weights(np.array([900, 0, 90, 10]))
    raw = [1 / np.log(1.02 + p) for p in (0.9, 0.09, 0.01)]
    np.testing.assert_allclose(weights[[0, 2, 3]], np.array(raw) / np.mean(raw))
    assert weights[1] == 1


def test_ids_from_one_on_are_told_by_reduce_zero_label(folder, capsys):
    each_mask(lambda m: np.where(m < 3, m + 1, m).astype(np.uint8))(folder)
    code, lines, out = check(folder, capsys, '--classes', '3')
    assert code == 1 and '--reduce-zero-label' in '\n'.join(lines)
    _, _, out = check(folder, capsys)
    assert 'num_classes = 3\nignore_index = 255\nreduce_zero_label = True\n' in out
    code, lines, out = check(folder, capsys, '--classes', '3', '--reduce-zero-label')
    assert (code, lines) == (0, [])
    weights = json.loads(re.search('class_weight = (.*)', out)[1])
    assert len(weights) == 3


def table(folder, *lines):
    (folder / 'colors.txt').write_text('\n'.join(lines))
    return str(folder / 'colors.txt')


def read(path):
    with Image.open(path) as mask:
        assert mask.mode == 'L'
        return np.array(mask)


def test_fix_writes_ids_of_colors_and_ends_with_nothing_wrong(folder, capsys):
    colors = np.vstack([COLORS, [[255, 255, 255]]]).astype(np.uint8)
    each_mask(lambda m: colors[np.where(m > 2, 3, m)])(folder)
    lines = [f'{r}, {g} {b} {i}  # class {i}' for i, (r, g, b) in enumerate(COLORS)]
    colors = table(folder, '# R G B ID', *lines, '255 255 255 255')
    fix = ['--classes', '3', '--fix', f'{folder}/clean', '--colors', colors]
    code, _, out = check(folder, capsys, *fix)
    assert code == 0 and 'Nothing is wrong' in out
    for i, name in enumerate(('a', 'b', 'inner/c', 'd')):
        np.testing.assert_array_equal(read(folder / f'clean/{name}.png'), ids(i))
    assert len([p for p in folder.glob('clean/**/*') if p.is_file()]) == 4


@pytest.mark.parametrize('text', ['palette', 'more than 8 bits', 'alpha'])
def test_fix_keeps_the_ids_of_other_kinds(folder, capsys, text):
    BROKEN[text][0](folder)
    code, _, _ = check(folder, capsys, '--classes', '3', '--fix', f'{folder}/clean')
    assert code == 0
    np.testing.assert_array_equal(read(folder / 'clean/b.png'), ids())


def test_fix_writes_binary_masks_as_two_classes(folder, capsys):
    BROKEN['only 0 and 255'][0](folder)
    code, _, _ = check(folder, capsys, '--fix', f'{folder}/clean')
    assert code == 0
    np.testing.assert_array_equal(read(folder / 'clean/a.png'), ids() > 0)


def test_fix_leaves_out_what_the_table_lacks_and_names_it(folder, capsys):
    BROKEN['colors'][0](folder)
    colors = table(folder, '0 0 0 0', '128 64 128 1')
    fix = ['--classes', '3', '--fix', f'{folder}/clean', '--colors', colors]
    code, _, out = check(folder, capsys, *fix)
    assert code == 1 and 'masks/b.png holds the color 0 0 142, which the table lacks' in out
    assert not (folder / 'clean/b.png').exists() and (folder / 'clean/a.png').exists()


def test_fix_changes_ids_by_the_table(folder, capsys):
    BROKEN['among the 3 classes'][0](folder)
    fix = ['--classes', '3', '--fix', f'{folder}/clean']
    code, _, out = check(folder, capsys, *fix)
    assert code == 1 and 'not written: ' in out and 'holds the id 7' in out
    code, _, _ = check(folder, capsys, *fix, '--colors', table(folder, '7 255'))
    assert code == 0
    expected = np.where(OUTSIDE == 7, 255, OUTSIDE)
    np.testing.assert_array_equal(read(folder / 'clean/b.png'), expected)


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        (['1 2 3'], r'line 1.*neither "R G B ID"'),
        (['1 2 3 0', '1 2 3 1'], 'line 2.*contradicts'),
        (['1 2 300 0'], 'above 255'),
        (['# nothing'], 'is empty'),
    ],
)
def test_a_wrong_table_is_one_line(folder, capsys, lines, message):
    with pytest.raises(SystemExit, match=f'^error: .*{message}'):
        check(folder, capsys, '--fix', f'{folder}/clean', '--colors', table(folder, *lines))
    assert not (folder / 'clean').exists()


def test_wrong_folders_are_one_line(folder, capsys):
    with pytest.raises(SystemExit, match='error: .*--fix .* is in '):
        check(folder, capsys, '--fix', f'{folder}/masks/clean')
    with pytest.raises(SystemExit, match='error: .*--img-suffix and --seg-map-suffix'):
        run_tool(TOOL, f'{folder}/images', f'{folder}/images')
    with pytest.raises(SystemExit, match='error: the folder .*none does not exist'):
        run_tool(TOOL, f'{folder}/none', f'{folder}/masks')


def test_suffixes_as_in_mmseg(folder, capsys):
    for path in list(folder.glob('masks/**/*.png')):
        path.rename(path.with_name(path.stem + '_L.png'))
    code, lines, _ = check(folder, capsys)
    assert code == 1 and len(lines) == 2 and all('--seg-map-suffix' in line for line in lines)
    code, lines, _ = check(folder, capsys, '--seg-map-suffix', '_L.png')
    assert (code, lines) == (0, [])
