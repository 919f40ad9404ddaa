"""What all runtimes share."""

import warnings

import numpy as np
import pytest

from sfnet_mm.deploy.runtimes import Runtime
from sfnet_mm.deploy.runtimes.files import check_meta, decode_entries
from sfnet_mm.utils import timer

META = dict(output='logits', size=None, num_classes=2, align_corners=True)
META.update(input='normalized', mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True)


def test_metadata_of_other_tools_are_left_out():
    own = dict(sfnet_mm='"1"', input='"raw"', output='"logits"', size='[2, 3]')
    found = check_meta(decode_entries(dict(own, pre_process='onnxruntime.quant')), 'model.onnx')
    assert found == dict(sfnet_mm='1', input='raw', output='logits', size=[2, 3])
    with pytest.raises(ValueError, match="model.onnx has lost the entry 'size'"):
        check_meta(decode_entries(dict(own, size='[2, ')), 'model.onnx')


@pytest.mark.filterwarnings('ignore:size 64x64 leaves')
@pytest.mark.parametrize(
    ('slide', 'runs'), [(None, 1), (dict(crop_size=(64, 64), stride=(64, 64)), 6)]
)
@pytest.mark.parametrize('call', ['predict', 'predict_logits'])
def test_time_of_the_network_is_that_of_all_its_runs_for_the_latest_image(
    call, slide, runs, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr(timer.time, 'perf_counter', lambda: now[0])

    class OneSecond(Runtime):
        def infer(self, data):
            now[0] += 1
            return data[:, :2]

        def prepare(self, image):
            now[0] += 100
            return super().prepare(image)

    runtime = OneSecond(dict(META, slide=slide))
    for _ in range(2):
        getattr(runtime, call)(np.zeros((128, 192, 3), np.uint8))
        assert runtime.network_ms == 1000 * runs


@pytest.mark.parametrize(
    ('rule', 'tested'),
    [
        (dict(pipeline=[dict(type='Resize', scale_factor=0.5, keep_ratio=True)]), '64x96'),
        (dict(padding=dict(size=None, size_divisor=100, value=0)), '200x200'),
    ],
)
def test_graph_of_another_size_than_that_of_the_test_warns_although_it_fits_the_image(rule, tested):
    class Colors(Runtime):
        def infer(self, data):
            return data[:, :2]

    image = np.zeros((128, 192, 3), np.uint8)
    with pytest.warns(UserWarning, match=f'{tested} runs at 128x192, the size of the graph'):
        Colors(dict(META, size=(128, 192), **rule)).predict(image)
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*runs at')
        Colors(dict(META, size=(128, 192))).predict(image)
