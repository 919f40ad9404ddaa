import json
import os.path as osp

import numpy as np
import pytest
import torch
from helpers import ROOT, run_tool
from mmengine.config import Config
from mmengine.registry import DefaultScope

pytest.importorskip('mmdet')

from sfnet_mm.benchmark.backends import Settings, panoptic_form
from sfnet_mm.benchmark.models import run_benchmark
from sfnet_mm.deploy.runtimes import Runtime
from sfnet_mm.panoptic.export import load_panoptic

CONFIG = osp.join(ROOT, 'configs', 'panoptic', 'sfnet_knet_stdc1_minicityscapes.py')
SIZE = (64, 128)


@pytest.mark.parametrize(
    'backend, size', [('authors', SIZE), ('native', SIZE), ('native', (50, 99))]
)
def test_form_gives_the_map_that_the_detector_predicts(backend, size):
    from mmdet.structures import DetDataSample

    torch.manual_seed(0)
    model = load_panoptic(CONFIG)
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_var.uniform_(0.5, 2)
            m.running_mean.normal_()
    image = torch.randn(1, 3, *size)
    padded = torch.zeros(1, 3, 64, 128)
    padded[:, :, : size[0], : size[1]] = image
    meta = dict(batch_input_shape=(64, 128), img_shape=size, ori_shape=size, scale_factor=(1, 1))
    with torch.no_grad():
        expected = model.predict(padded, [DetDataSample(metainfo=meta)])[0].pred_panoptic_seg
        result = panoptic_form(model, backend)(image)
    assert result.shape == (1, *size) and len(result.unique()) > 1
    assert (result == expected.sem_seg).float().mean() > 0.999


def test_what_is_built_after_a_panoptic_model_is_of_the_scope_before():
    with DefaultScope.overwrite_default_scope('mmseg'):
        load_panoptic(CONFIG)
        assert DefaultScope.get_current_instance().scope_name == 'mmseg'


def test_panoptic_models_are_timed_and_say_what_they_cannot():
    timed, refused = run_benchmark(
        {'knet': Config.fromfile(CONFIG)},
        ['native', 'openvino'],
        Settings(size=SIZE, rounds=2, warmup=0),
    )
    assert len(timed.milliseconds) == 2 and min(timed.milliseconds) > 0
    assert timed.parameters == sum(p.numel() for p in load_panoptic(CONFIG).parameters())
    assert timed.macs > 1e8
    assert 'panoptic models are timed' in refused.failure and not refused.milliseconds


def test_runtime_of_a_panoptic_graph_refuses_to_predict_classes():
    runtime = Runtime(json.loads('{"output": "panoptic", "size": [64, 128]}'))
    with pytest.raises(ValueError, match='masks of a panoptic model'):
        runtime.predict(np.zeros((64, 128, 3), np.uint8))


@pytest.mark.slow
def test_a_panoptic_model_is_exported_up_to_its_masks(capsys, tmp_path):
    for name in ('onnx', 'onnxscript', 'onnxruntime'):
        pytest.importorskip(name)
    import onnxruntime

    path = tmp_path / 'panoptic.onnx'
    run_tool('deployment/export_onnx', CONFIG, 'none', path, '--size', '64x128')
    assert 'done' in capsys.readouterr().out
    session = onnxruntime.InferenceSession(str(path))
    image = np.random.default_rng(0).normal(size=(1, 3, *SIZE)).astype(np.float32)
    scores, masks = session.run(['scores', 'masks'], {'image': image})
    assert scores.shape[:2] == masks.shape[:2] and masks.shape[2:] == (16, 32)
    assert masks.min() >= 0 and masks.max() <= 1 and scores.min() >= 0 and scores.max() <= 1
