"""Converted checkpoints of the authors give the authors' logits.

``authors_reference`` computes them from the same tensors in plain torch; the model here is the
one of the config that the converter names.
"""

import pytest
import torch
from authors_reference import AuthorsModel
from helpers import build_segmentor, load_config

from sfnet_mm.converters.sfsegnets import convert
from sfnet_mm.utils.config_parts import merge_options

# Not a multiple of 32, so that no map is an exact half of the one before.
IMAGE = (1, 3, 43, 75)


def model_of_config(family, config):
    """The segmentor of a config with the options that the converter prints, ready for the CPU."""
    cfg = load_config(config)
    merge_options(cfg, family.options())
    return build_segmentor(cfg).eval()


def converted(authors):
    result = convert(authors.checkpoint())
    model = model_of_config(result.family, result.family.configs()[0]).double()
    missing, unknown = model.load_state_dict(result.state_dict, strict=False)
    # Configs train with deep supervision, whose layers most of the authors' files lack.
    assert not unknown and all(name.startswith('decode_head.dsn.') for name in missing)
    return model


def relative_error(value, expected):
    assert value.shape == expected.shape
    return ((value - expected).abs().max() / expected.abs().max()).item()


def image(dtype=torch.float64):
    return torch.randn(*IMAGE, generator=torch.Generator().manual_seed(1)).to(dtype)


@pytest.mark.parametrize(
    'name',
    [
        'sfnet_r18',
        'sfnet_r50',
        'sfnet_df1',
        'sfnet_df2',
        'sfnet_stdc1',
        'sfnet-lite_r18',
        'sfnet-lite_stdc1',
        'sfnet-lite_stdc2',
        'sfnet-lite-conv_stdc1',
        'fpn-ppm_stdc1',
        'dfseg_df1',
    ],
)
@torch.no_grad()
def test_logits_in_float64_and_float32(name):
    authors = AuthorsModel(name)
    model = converted(authors)
    expected, _ = authors(image())
    maps = authors.features(image())
    for value, reference in zip(model.backbone(image()), maps):
        assert relative_error(value, reference) < 1e-10
    assert relative_error(model(image(), mode='tensor'), expected) < 1e-10
    model.float()
    assert relative_error(model(image(torch.float32), mode='tensor').double(), expected) < 1e-4


@torch.no_grad()
def test_logits_of_deep_supervision():
    """The authors' convolution has a bias, which is folded into BN here."""
    authors = AuthorsModel('sfnet-dsn_r18')
    model = converted(authors)
    expected, supervised = authors(image())
    head = model.decode_head
    inputs = model.backbone(image())
    assert relative_error(head(inputs), expected) < 1e-10
    features = head.fpn.top_down(inputs)
    assert len(head.dsn) == len(supervised) == 3
    for level, logits in enumerate(supervised):
        assert relative_error(head.dsn[level]((features[level],)), logits) < 1e-10


@torch.no_grad()
def test_prediction_at_image_size():
    """The authors upsample their logits to the image bilinearly with aligned corners."""
    authors = AuthorsModel('sfnet-lite_stdc1', dtype=torch.float32)
    model = converted(authors).float()
    x = image(torch.float32)
    expected = torch.nn.functional.interpolate(
        authors(x)[0], size=IMAGE[2:], mode='bilinear', align_corners=True
    )
    metas = [dict(ori_shape=IMAGE[2:], img_shape=IMAGE[2:], pad_shape=IMAGE[2:])]
    logits = model.inference(x, metas)
    assert relative_error(logits, expected) < 1e-4
    assert (logits.argmax(1) == expected.argmax(1)).float().mean() > 0.999


@torch.no_grad()
def test_inputs_are_normalized_as_by_the_authors():
    """RGB in [0, 1], the ImageNet mean and deviation; OpenMMLab's pipelines load BGR."""
    model = model_of_config(
        convert(AuthorsModel('sfnet-lite_stdc1', dtype=torch.float32).checkpoint()).family,
        'configs/sfnet_lite_stdc1_cityscapes.py',
    )
    bgr = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    out = model.data_preprocessor(dict(inputs=[bgr]), False)['inputs'][0, :, :8, :8]
    rgb = bgr.flip(0).double() / 255
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    torch.testing.assert_close(out.double(), (rgb - mean) / std, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    'name, change',
    [
        ('sfnet_df1', 'x and y of the flow exchanged'),
        ('sfnet_df1', 'flow of the paper, twice as long'),
        ('sfnet-lite_stdc1', 'x and y of the flow exchanged'),
        ('sfnet-lite_stdc1', 'gate on the fine map'),
    ],
)
@torch.no_grad()
def test_the_comparison_would_see_another_convention(name, change):
    """Else the random weights above would prove nothing."""
    authors = AuthorsModel(name)
    expected, _ = authors(image())
    for key, value in authors.state.items():
        if key.endswith('flow_make.weight') and 'twice' in change:
            value.mul_(2)
        elif key.endswith('flow_make.weight') and 'exchanged' in change:
            value.copy_(value[[1, 0] if len(value) == 2 else [1, 0, 3, 2]].clone())
        elif key.endswith('flow_gate.0.weight') and 'gate' in change:
            value.neg_()
    assert relative_error(authors(image())[0], expected) > 1e-2
