"""Segmentors with a single logit, whose class 1 is where its probability exceeds a threshold."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deploy_helpers import SIZE, needs_onnx, predicted_by_mmseg, small_model, smooth_image

from sfnet_mm.deploy import export_onnx, load_runtime, optimize
from sfnet_mm.deploy.export.export_model import make_export_model, make_reference
from sfnet_mm.deploy.export.parity import parity
from sfnet_mm.deploy.inference.upsampled_argmax import upsampled_argmax

LOSS = dict(type='CrossEntropyLoss', use_sigmoid=True)


@pytest.fixture(scope='module', params=[2, 1], ids=['two_classes', 'one_class'])
def binary(request, tmp_path_factory):
    """Config, checkpoint and model; of two classes, ``out_channels`` makes one logit."""
    head = dict(threshold=0.4, loss_decode=LOSS)
    if request.param == 2:
        head['out_channels'] = 1
    folder = str(tmp_path_factory.mktemp('binary'))
    return small_model(folder, num_classes=request.param, head=head)


@pytest.fixture(scope='module')
def expected(binary):
    mask = predicted_by_mmseg(*binary[:2], smooth_image())
    assert 0.02 < mask.mean() < 0.98
    return mask


def test_torch_runtime_gives_the_mask_of_mmseg(binary, expected):
    got = load_runtime('torch', *binary[:2]).predict(smooth_image())
    assert got.dtype == np.uint8 and (got == expected).mean() > 0.999


def test_graph_gives_the_mask_of_mmseg(binary, expected, tmp_path):
    needs_onnx('openvino')
    path = str(tmp_path / 'model.onnx')
    outputs = {1: ('logits', 'onnxruntime'), 2: ('argmax', 'openvino')}
    output, form = outputs[binary[2].num_classes]
    export_onnx(binary[2], path, SIZE, output, runtime=form)
    for name in ('onnxruntime', 'openvino'):
        got = load_runtime(name, path).predict(smooth_image())
        assert (got == expected).mean() > 0.999


def test_threshold_is_that_of_the_probability():
    logits = torch.tensor([-1.0, -0.5, 0.0, 2.0]).view(1, 1, 2, 2)
    # sigmoid: 0.27, 0.38, 0.5, 0.88
    assert upsampled_argmax(logits, None, threshold=0.4).flatten().tolist() == [0, 0, 1, 1]
    assert upsampled_argmax(logits, None, threshold=0.3).flatten().tolist() == [0, 1, 1, 1]
    full = F.interpolate(logits, (40, 56), mode='bilinear', align_corners=True)
    assert upsampled_argmax(logits, (40, 56), threshold=0.6).equal((full.sigmoid() > 0.6)[:, 0])


def test_what_a_file_is_compared_with_is_mmsegs_own(binary, monkeypatch):
    """Not another form of the same mistake."""
    wrong = 'sfnet_mm.deploy.inference.upsampled_argmax.classes_of'
    monkeypatch.setattr(wrong, lambda logits, threshold=None: logits.argmax(1))
    graph, expected = make_export_model(binary[2]), make_reference(binary[2])
    image = graph.sample(1, SIZE)
    with torch.no_grad():
        found = parity(expected(image).numpy(), graph(image).numpy(), SIZE)
    assert not found.within('float32')


def test_parity_of_logits_compares_classes_by_the_threshold():
    ones = np.ones((1, 1, 2, 2), np.float32)
    assert parity(ones, -ones, (2, 2), 0.5).agreement == 0
    assert parity(ones, -ones, (2, 2), 0.1).agreement == 1


def test_inference_form_has_the_classes_of_mmseg(binary):
    image = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        logits = binary[2].encode_decode(image, [dict(img_shape=image.shape[2:])])
        got = optimize(binary[2], output='argmax', verbose=False)(image)
    assert (got[0] == binary[2].postprocess_result(logits)[0].pred_sem_seg.data[0]).all()
