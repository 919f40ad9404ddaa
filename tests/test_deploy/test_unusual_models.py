"""Models with another normalization, other channels, no mean, or very many classes."""

import warnings

import numpy as np
import pytest
import torch
from deploy_helpers import (
    FULL,
    SIZE,
    needs_onnx,
    predicted_by_mmseg,
    small_config,
    small_model,
    smooth_image,
)
from helpers import build_segmentor, randomize_norms, run_tool
from mmengine.model import revert_sync_batchnorm
from mmseg.registry import MODELS

from sfnet_mm.deploy import export_onnx, load_model, load_runtime, optimize
from sfnet_mm.deploy.export.export_model import make_export_model, make_reference
from sfnet_mm.visualization import overlay

NORMS = {
    'BN': dict(type='BN'),
    'SyncBN': dict(type='SyncBN'),
    'GN': dict(type='GN', num_groups=1),
    'IN': dict(type='IN'),
    'IN_affine': dict(type='IN', affine=True),
    'none': None,
}
BARE = dict(type='SegDataPreProcessor', bgr_to_rgb=True)


@pytest.mark.parametrize('head, mode', [({}, 'sppm'), (FULL, 'ppm')], ids=['lite', 'full'])
@pytest.mark.parametrize('norm', NORMS)
def test_inference_form_of_any_normalization(norm, head, mode):
    norm = NORMS[norm]
    head = dict(head, context=dict(type='PyramidContext', mode=mode))
    model = build_segmentor(small_config(norm_cfg=norm, head=head))
    if norm and norm['type'] == 'SyncBN':
        model = revert_sync_batchnorm(model)
    randomize_norms(model).eval()
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    image = torch.randn(1, 3, 101, 165)
    with torch.no_grad():
        expected = model.encode_decode(image, [dict(img_shape=image.shape[2:])])
        form = optimize(model, True, verbose=False)
        torch.testing.assert_close(
            form(image), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )
    # Nothing stands in the way where nothing is left between the convolutions.
    plain = norm is None or norm['type'] in ('BN', 'SyncBN')
    assert any('not rearranged' in line for line in form.report) != plain


@pytest.mark.parametrize('conv', ['ConvWS', 'ConvAWS'])
def test_convolutions_that_standardize_their_weights(conv, tmp_path):
    config, checkpoint, _ = small_model(str(tmp_path), head=dict(conv_cfg=dict(type=conv)))
    image = smooth_image()
    expected = predicted_by_mmseg(config, checkpoint, image)
    assert (load_runtime('torch', config, checkpoint).predict(image) == expected).mean() > 0.999


@pytest.mark.parametrize('norm', ['GN', 'IN', 'none'])
def test_exported_graph_of_any_normalization(norm, tmp_path):
    """Compared with mmseg by the export itself."""
    needs_onnx()
    path = tmp_path / 'model.onnx'
    *_, model = small_model(str(tmp_path), norm_cfg=NORMS[norm])
    export_onnx(model, str(path), (96, 136))
    assert path.is_file()


@pytest.mark.parametrize('channels', [1, 4])
def test_other_channels(channels, tmp_path):
    needs_onnx()
    config, checkpoint, model = small_model(str(tmp_path), in_channels=channels)
    image, path = smooth_image(channels=channels), str(tmp_path / 'model.onnx')
    expected = predicted_by_mmseg(config, checkpoint, image)
    export_onnx(model, path, SIZE, normalize=channels == 4)
    runtimes = [load_runtime('torch', config, checkpoint), load_runtime('onnxruntime', path)]
    for runtime in runtimes:
        assert runtime.channels == channels
        assert (runtime.predict(image) == expected).mean() > 0.999
        with pytest.raises(ValueError, match=rf'expected \(H, W, {channels}\)'):
            runtime.predict(smooth_image())
    if channels == 1:
        assert (runtimes[0].predict(image[..., 0]) == expected).mean() > 0.999
    deep = image.astype(np.uint16)
    assert (runtimes[0].predict(deep) == expected).mean() > 0.999


def test_preprocessor_without_mean(tmp_path):
    config, checkpoint, model = small_model(str(tmp_path), data_preprocessor=BARE)
    image = smooth_image()
    expected = predicted_by_mmseg(config, checkpoint, image)
    assert (load_runtime('torch', config, checkpoint).predict(image) == expected).mean() > 0.999
    graph, host = (form(model, normalize=True) for form in (make_export_model, make_reference))
    with torch.no_grad():
        for form in (graph, host):
            got = form(torch.from_numpy(image[None]))[0].numpy()
            assert (got == expected).mean() > 0.999


def test_more_classes_than_a_byte_holds(tmp_path):
    config, checkpoint, _ = small_model(str(tmp_path), num_classes=300)
    image = smooth_image()
    expected = predicted_by_mmseg(config, checkpoint, image)
    runtime = load_runtime('torch', config, checkpoint)
    mask = runtime.predict(image)
    assert expected.max() > 255 and mask.dtype == np.uint16
    assert (mask == expected).mean() > 0.999
    drawn = overlay(image, mask, runtime.palette, 1.0)
    assert (drawn == np.asarray(runtime.palette)[mask]).all()


def test_get_flops_takes_other_channels(tmp_path, capsys):
    path = str(tmp_path / 'four_bands.py')
    small_config(in_channels=4, norm_cfg=dict(type='IN')).dump(path)
    run_tool('analysis_tools/get_flops', path, '--size', '128x128')
    assert 'four_bands' in capsys.readouterr().out


def test_channels_of_a_checkpoint_are_those_of_the_backbone():
    model = load_model(small_config(in_channels=5))
    assert optimize(model, verbose=False)(torch.zeros(1, 5, 64, 64)).shape == (1, 3, 64, 64)


def head_of_mmseg(**head):
    model = small_config().model
    channels = model.decode_head.in_channels[-1]
    stage = dict(in_channels=channels, in_index=-1)
    if head['type'] == 'EncHead':
        stage = dict(in_channels=[channels], in_index=[-1])
    model.decode_head = dict(stage, channels=8, num_classes=5, **head)
    return MODELS.build(model).eval()


@pytest.mark.parametrize('output_size', ['full', 'stride'])
@pytest.mark.parametrize(
    'head', [dict(type='DAHead', pam_channels=4), dict(type='EncHead', num_codes=4)]
)
def test_heads_that_compute_more_than_they_test(head, output_size):
    model, image = head_of_mmseg(**head), torch.randn(1, 3, 64, 96)
    meta = dict(img_shape=(64, 96), pad_shape=(64, 96))
    features = model.extract_feat(image)
    with torch.no_grad():
        expected = model.decode_head(features)[0]
        if output_size == 'full':
            expected = model.encode_decode(image, [meta])
        for form in (
            optimize(model, output_size=output_size, verbose=False),
            make_reference(model, 'logits', output_size),
        ):
            torch.testing.assert_close(form(image), expected, rtol=1e-4, atol=1e-5)


def test_head_with_a_test_of_its_own_is_refused():
    model = head_of_mmseg(type='FCNHead')
    kind = type('RefiningHead', (type(model.decode_head),), {'predict': lambda self: None})
    model.decode_head.__class__ = kind
    with pytest.raises(ValueError, match=r'RefiningHead tests by a predict\(\) of its own'):
        optimize(model, verbose=False)


def test_only_the_context_pooling_needs_large_images(tmp_path):
    """An FCN is segmented at any size, and nothing warns of cells that it does not have."""
    needs_onnx()
    head = dict(type='FCNHead', in_channels=32, in_index=3, num_convs=1, concat_input=False)
    config, checkpoint, model = small_model(str(tmp_path), head=head)
    image = smooth_image()[:48, :56]
    path = str(tmp_path / 'model.onnx')
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        export_onnx(model, path, (48, 56))
        expected = predicted_by_mmseg(config, checkpoint, image)
        for runtime in (
            load_runtime('torch', config, checkpoint),
            load_runtime('onnxruntime', path),
        ):
            assert (runtime.predict(image) == expected).mean() > 0.999
