"""README: short, and its three lines of Python run."""

import numpy as np
from doc_blocks import blocks, run
from drawn_folder import draw_pair
from helpers import read_text
from PIL import Image


def test_the_three_lines_run_on_a_picture(tmp_path):
    image, _ = draw_pair(np.random.default_rng(0))
    Image.fromarray(image).save(tmp_path / 'street.jpg')
    block = next(b for b in blocks('README.md') if 'sfnet_mm.predict' in b.text)
    after = 'print(mask.shape, mask.dtype, model.num_classes, names)'
    printed = run(block._replace(text=f'{block.text}{after}\n'), tmp_path)
    assert f'{image.shape[:2]} uint8 7 [' in printed and "'sfnet_lite_stdc1_uds'" in printed


def test_readme_is_short():
    assert len(read_text('README.md').splitlines()) < 150
