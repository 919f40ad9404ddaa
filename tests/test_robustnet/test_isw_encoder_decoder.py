import copy

import pytest
import torch
from helpers import has_hooks, segmentation_samples
from mmseg.registry import MODELS

from sfnet_mm.robustnet import collect_covariances

MODEL = dict(
    type='ISWEncoderDecoder',
    backbone=dict(
        type='ResNetV1c',
        depth=18,
        base_channels=8,
        stem_channels=8,
        num_stages=2,
        strides=(1, 2),
        dilations=(1, 1),
        out_indices=(0, 1),
        norm_cfg=dict(type='BN'),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=16,
        in_index=1,
        channels=8,
        num_convs=1,
        num_classes=2,
        dropout_ratio=0,
        norm_cfg=dict(type='BN'),
    ),
    test_cfg=dict(mode='whole'),
)
SLOTS = ('stem', 'layer1', 'layer2')


def build(**kwargs):
    model = MODELS.build(copy.deepcopy(dict(MODEL, **kwargs)))
    model.init_weights()
    model.train()
    return model


def batch(size=64):
    return torch.randn(2, 3, size, size), segmentation_samples(2, size, size, 2)


def some_masks(model):
    generator = torch.Generator().manual_seed(0)
    return {
        slot: (torch.rand(mask.shape, generator=generator) < 0.4).float().triu(1)
        for slot, mask in model.whitening_masks.items()
    }


def test_isw_is_silent_until_masks_are_set():
    model = build()
    inputs, samples = batch()
    assert 'loss_isw' not in model.loss(inputs, samples)
    model.set_whitening_masks(some_masks(model))
    losses = model.loss(inputs, samples)
    assert losses['loss_isw'] > 0
    assert losses['loss_isw'].requires_grad


@pytest.mark.parametrize(
    ('kind', 'margins'), [('IW', [0, 0, 0]), ('IRW', [0, 0, 3]), ('ISW', [0, 0, 0])]
)
def test_loss_is_the_weighted_mean_over_layers(kind, margins):
    """Against the maps themselves, read by hooks of the test. 8, 8, 16 channels: 28, 28, 120."""
    model = build(kind=kind, loss_weight=0.5)
    masks = {slot: torch.ones(c, c).triu(1) for slot, c in zip(SLOTS, (8, 8, 16))}
    if kind == 'ISW':
        masks = some_masks(model)
        model.set_whitening_masks(masks)
    maps = {}
    for slot, layer in model.whitening_layers.items():
        layer.register_forward_hook(lambda m, i, out, slot=slot: maps.__setitem__(slot, out))
    losses = model.loss(*batch())
    terms = []
    for slot, margin in zip(SLOTS, margins):
        x = maps[slot].detach().double().flatten(2)
        for image in x:
            cov = (image @ image.T / (image.shape[1] - 1)).abs()
            excess = sum(cov[i, j] for i, j in masks[slot].nonzero().tolist()) - margin
            terms.append(max(0, excess / masks[slot].sum()))
    expected = 0.5 * sum(terms) / len(terms)
    assert losses[f'loss_{kind.lower()}'].item() == pytest.approx(float(expected), rel=1e-4)


def test_the_host_losses_are_untouched():
    torch.manual_seed(1)
    model = build()
    inputs, samples = batch()
    before = model.loss(inputs, samples)
    model.set_whitening_masks(some_masks(model))
    after = model.loss(inputs, samples)
    torch.testing.assert_close(after['decode.loss_ce'], before['decode.loss_ce'])


def test_masks_are_saved_and_no_parameter_is_added():
    model = build()
    model.set_whitening_masks(some_masks(model))
    other = build()
    other.load_state_dict(model.state_dict())
    assert other.whitening_selected
    for slot, mask in model.whitening_masks.items():
        assert torch.equal(mask, other.whitening_masks[slot])
    plain = build(type='EncoderDecoder')
    removed = set(dict(plain.named_parameters())) - set(dict(model.named_parameters()))
    assert set(dict(model.named_parameters())) <= set(dict(plain.named_parameters()))
    assert removed == {'backbone.stem.7.weight', 'backbone.stem.7.bias'}


def test_a_copy_collects_from_its_own_layers():
    """An averaged (EMA) model is a deep copy."""
    model = build()
    model.set_whitening_masks(some_masks(model))
    clone = copy.deepcopy(model)
    own = set(clone.backbone.modules())
    assert all(layer in own for layer in clone.whitening_layers.values())
    assert 'loss_isw' in clone.loss(*batch())


def test_inference_carries_no_hook_and_ignores_the_masks():
    model = build()
    inputs, samples = batch()
    model.loss(inputs, samples)
    model.eval()
    with torch.no_grad():
        before = model(inputs)
        model.set_whitening_masks(some_masks(model))
        assert torch.equal(model(inputs), before)
    assert not any(has_hooks(layer) for layer in model.whitening_layers.values())


def test_isw_loss_alone_decorrelates_the_selected_channels():
    """Halves the selected covariances of a fixed batch within 100 steps; the diagonal stays 1."""
    model = build(slots=SLOTS)
    model.backbone.init_weights()
    inputs, _ = batch(size=272)  # layer2 has 34 x 34 pixels: its diagonal is off by less than 1e-3
    inputs = inputs + 2 * inputs.mean(dim=1, keepdim=True)  # correlated colors, as in an image
    masks = some_masks(model)
    model.set_whitening_masks(masks)

    def covariances():
        with collect_covariances(model.whitening_layers) as found:
            model.backbone(inputs)
        return found

    def selected():
        with torch.no_grad():
            return {s: (c.abs() * masks[s]).sum() for s, c in covariances().items()}

    start = selected()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(50):
        optimizer.zero_grad()
        sum(
            (c.abs() * masks[s]).sum(dim=(1, 2)).mean() / masks[s].sum()
            for s, c in covariances().items()
        ).backward()
        optimizer.step()
    end = selected()
    for slot in SLOTS:
        assert end[slot] < 0.5 * start[slot], slot
    with torch.no_grad():
        for covariance in covariances().values():
            diagonal = covariance.diagonal(dim1=1, dim2=2)
            assert (diagonal - 1).abs().max() < 1e-3


def test_mixed_precision_matches_float32():
    model = build(kind='IW')
    inputs, samples = batch()
    full = model.loss(inputs, samples)['loss_iw']
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = model.loss(inputs, samples)['loss_iw']
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, full, rtol=0.05, atol=0)


@pytest.mark.parametrize(
    ('kwargs', 'message'),
    [
        (dict(kind='WI'), "kind='WI' is not one of IW, IRW, ISW"),
        (dict(relax_denominator=0), 'relax_denominator=0'),
        (dict(slots=('stage1',)), 'stage1'),
    ],
)
def test_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build(**kwargs)


@pytest.mark.gpu
@pytest.mark.parametrize('kind', ['IW', 'IRW', 'ISW'])
def test_whitening_on_the_device_is_that_of_float64(kind, gpu_device):
    model = build(kind=kind)
    model.set_whitening_masks(some_masks(model))
    exact = copy.deepcopy(model).double()
    model = model.to(gpu_device)
    inputs, samples = batch()
    expected = exact.loss(inputs.double(), samples)[f'loss_{kind.lower()}']
    loss = model.loss(inputs.to(gpu_device), [s.to(gpu_device) for s in samples])
    loss = loss[f'loss_{kind.lower()}']
    assert loss.device.type == gpu_device.type
    assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
    expected.backward()
    loss.backward()
    ours, value = (m.backbone.stem[0].weight.grad for m in (model, exact))
    torch.testing.assert_close(
        ours.cpu().double(), value, rtol=1e-2, atol=1e-3 * value.abs().max().item()
    )
