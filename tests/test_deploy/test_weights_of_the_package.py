"""What a newcomer gets without a config: the weights that come with the package."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import ROOT, run_tool

from sfnet_mm.config_files import weights_path

WEIGHTS = Path(ROOT) / 'weights'


def test_weights_are_small_safe_to_load_and_have_a_card():
    files = sorted(WEIGHTS.glob('*.pth'))
    found = Path(weights_path('camvid'))
    assert found.read_bytes() == (WEIGHTS / found.name).read_bytes()
    card = (WEIGHTS / 'README.md').read_text(encoding='utf-8')
    for path in files:
        assert path.stat().st_size < 8e6
        loaded = torch.load(path, map_location='cpu', weights_only=True)
        floats = [t for t in loaded['state_dict'].values() if t.is_floating_point()]
        assert floats and all(t.dtype == torch.float16 for t in floats)
        assert path.name in card and 'non-commercial' in card


def test_a_street_is_segmented_without_a_config(tmp_path):
    # Gray road below, blue sky above: what every street has.
    image = np.full((240, 320, 3), (250, 220, 190), np.uint8)
    image[140:] = (95, 95, 95)
    noise = np.random.default_rng(0).integers(-6, 7, image.shape)
    cv2.imwrite(str(tmp_path / 'street.png'), np.clip(image + noise, 0, 255).astype(np.uint8))
    run_tool('demo/predict', tmp_path / 'street.png', '--out-dir', tmp_path / 'out')
    mask = cv2.imread(str(tmp_path / 'out' / 'street_mask.png'), cv2.IMREAD_UNCHANGED)
    assert mask.shape == (240, 320)
    # CamVid: 0 is sky, 3 road.
    assert (mask[:100] == 0).mean() > 0.8
    assert (mask[190:] == 3).mean() > 0.8
    assert (tmp_path / 'out' / 'street_overlay.png').exists()


@pytest.mark.parametrize('suffix', ['py', 'json', 'yaml'])
def test_a_config_needs_its_checkpoint(capsys, suffix):
    """Otherwise the images would be segmented by the model of the package."""
    with pytest.raises(SystemExit) as caught:
        run_tool('demo/predict', f'config.{suffix}', 'a.jpg')
    assert caught.value.code == 2
    assert f'config.{suffix} needs a checkpoint' in capsys.readouterr().err.strip().split('\n')[-1]
