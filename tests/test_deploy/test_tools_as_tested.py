"""predict.py and draw_flow.py show what mmseg's ``inference_model`` predicts with a config."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from deploy_helpers import CROPS, predicted_by_mmseg, small_model, smooth_image
from helpers import run_tool

WAYS = {
    'cropped': (3, dict(pipeline=CROPS)),
    'binary': (3, dict(num_classes=2, head=dict(out_channels=1, threshold=0.4))),
    'four_bands': (4, dict(in_channels=4)),
}


@pytest.mark.parametrize('way', WAYS)
def test_tools_show_the_mask_of_mmseg(way, tmp_path):
    channels, options = WAYS[way]
    config, checkpoint, _ = small_model(str(tmp_path), **options)
    if channels != 3:
        text = Path(config).read_text()
        load = "color_type='unchanged', type='LoadImageFromFile'"
        text = text.replace("type='LoadImageFromFile'", load)
        Path(config).write_text(text)
    image, path = smooth_image((128, 192), channels), str(tmp_path / 'street.png')
    cv2.imwrite(path, image)
    expected = predicted_by_mmseg(config, checkpoint, path)
    for tool in ('demo/predict', 'analysis_tools/draw_flow'):
        run_tool(tool, config, checkpoint, path, '--out-dir', tmp_path / Path(tool).name)
    mask = cv2.imread(str(tmp_path / 'predict' / 'street_mask.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == expected.shape and (mask == expected).mean() > 0.999
    drawn = cv2.imread(str(tmp_path / 'predict' / 'street_overlay.png'))
    assert drawn.shape == (*expected.shape, 3)
    sheet = cv2.imread(str(tmp_path / 'draw_flow' / 'street.png'))
    assert sheet is not None and np.ptp(sheet) > 0
