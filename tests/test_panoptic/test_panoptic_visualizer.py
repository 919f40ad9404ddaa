import numpy as np
import pytest
import torch
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData

META = dict(classes=('car', 'road'), palette=[(0, 0, 142), (128, 64, 128)])


def draw(values, tmp_path):
    visualizer = VISUALIZERS.build(dict(type='PanopticVisualizer', name=tmp_path.name))
    visualizer.dataset_meta = META
    sample = DetDataSample(pred_panoptic_seg=PixelData(sem_seg=torch.as_tensor(values)[None]))
    image = np.full((64, 96, 3), 200, dtype=np.uint8)
    visualizer.add_datasample('x', image, sample, draw_gt=False, out_file=str(tmp_path / 'x.png'))
    return visualizer.get_image()


@pytest.mark.parametrize('void', [2, 0])
def test_map_without_segments_is_the_image(tmp_path, void):
    drawn = draw(np.full((64, 96), void), tmp_path)
    assert (drawn == 200).all() and (tmp_path / 'x.png').is_file()


@pytest.mark.parametrize('void', [2, 0])
def test_void_stays_uncolored(tmp_path, void):
    # The metric of the host overwrites void with 0 in the result that is drawn after it.
    values = np.full((64, 96), void)
    values[32:] = 1
    values[40:60, 10:40] = 1000
    drawn = draw(values, tmp_path)
    assert (drawn[:25, 60:] == 200).all()
    assert not (drawn[50:, 60:] == 200).all()
