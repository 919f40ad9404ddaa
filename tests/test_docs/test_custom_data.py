"""``docs/custom_data.md``: its blocks, run one after the other on a drawn folder."""

import os.path as osp
import re
import sys
from importlib import metadata
from importlib.util import find_spec

import numpy as np
import pytest
from doc_blocks import blocks, run, write
from drawn_folder import SHORTER, SIZE, draw_folder
from PIL import Image

import sfnet_mm
from sfnet_mm.compat import host_family

PAGE = 'docs/custom_data.md'
pytestmark = pytest.mark.slow


def block(text, number=0):
    """The block of the page that holds a text."""
    return [b for b in blocks(PAGE) if b.kind in ('runs', 'file') and text in b.text][number]


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A folder after the steps up to the test of the trained model, and what they printed."""
    root = tmp_path_factory.mktemp('custom_data')
    draw_folder(root / 'data' / 'mine')
    printed = [run(block('check_dataset.py'), root), run(block('random.Random'), root)]
    write(block('_base_'), root, *SHORTER)
    printed.append(run(block('tools/train.py'), root))
    return root, printed


def test_the_check_finds_nothing_and_recommends_what_the_config_says(folder):
    root, printed = folder
    assert 'Nothing is wrong with 20 images and their masks.' in printed[0]
    assert 'num_classes = 3\nignore_index = 255\nreduce_zero_label = False\n' in printed[0]
    assert (root / 'masks.png').stat().st_size > 10_000
    names = [(root / f'data/mine/{n}.txt').read_text().split() for n in ('train', 'val')]
    assert list(map(len, names)) == [16, 4]
    assert sorted(sum(names, [])) == sorted(p.stem for p in root.glob('data/mine/images/*'))


def test_the_log_names_what_the_weights_lack_and_the_scores_of_the_classes(folder):
    _, printed = folder
    assert re.search(r'size mismatch for decode_head\.conv_seg\.weight.*\[11,.*\[3,', printed[2])
    assert set(re.findall('mismatch for ([a-z_.]+):', printed[2])) == {
        'decode_head.conv_seg.weight',
        'decode_head.conv_seg.bias',
    }
    for name in ('background', 'leaf', 'fruit'):
        assert re.search(rf'\| +{name} +\|', printed[2])


def test_pictures_and_masks_of_all_images_appear(folder):
    root, _ = folder
    assert len(list(root.glob('work_dirs/mine/shown/**/*.png'))) >= 4
    masks = list((root / 'predictions').glob('*_mask.png'))
    assert len(masks) == 20
    with Image.open(root / 'predictions/a_mask.png') as mask:
        array = np.array(mask)
    assert array.shape == SIZE and set(np.unique(array)) <= {0, 1, 2}


@pytest.mark.skipif(
    not all(map(find_spec, ('onnx', 'onnxscript', 'onnxruntime'))),
    reason='the export needs onnx, onnxscript and onnxruntime: requirements/deploy.txt',
)
def test_the_exported_model_gives_the_masks_of_torch(folder):
    root, _ = folder
    size = ('360x480', '72x96')
    run(block('export_onnx.py'), root, size)
    published = run(block('sfnet_mm.predict'), root)
    assert not published
    for name in ('a', 'k'):
        masks = []
        for out in ('predictions', 'predictions_onnx'):
            with Image.open(root / out / f'{name}_mask.png') as mask:
                masks.append(np.array(mask))
        # The published weights have 16 bits, those of the first prediction 32.
        assert (masks[0] == masks[1]).mean() > 0.98


def installed_beside_mim():
    # Metadata of the source tree may be found, too.
    found = metadata.distributions(name='sfnet_mm')
    same = [d for d in found if d.version == sfnet_mm.__version__]
    tools = any(osp.isdir(d.locate_file('sfnet_mm/.mim')) for d in same)
    return tools and osp.exists(osp.join(osp.dirname(sys.executable), 'mim'))


def test_the_same_with_an_installed_package(tmp_path):
    if host_family() == 'OneDL':
        pytest.skip('onedl-mim 0.5.1 does not find installed packages: see test_mim.py')
    if not installed_beside_mim():
        pytest.skip('this version of sfnet_mm, or mim, is not installed: make install')
    draw_folder(tmp_path / 'data' / 'mine')
    run(block('random.Random'), tmp_path)
    write(block('_base_'), tmp_path, *SHORTER)
    printed = run(block('mim train'), tmp_path, installed=True)
    assert 'Nothing is wrong' in printed and re.search(r'mIoU: +\d', printed)
    assert (tmp_path / 'mine.pth').exists()
    assert len(list((tmp_path / 'predictions').glob('*_mask.png'))) == 20
