import copy

import pytest
import torch
from helpers import randomize_norms
from mmseg.models.backbones import ResNet, ResNetV1c
from torch import nn

from sfnet_mm.models.backbones import DFNet, SFResNet, STDCPyramid
from sfnet_mm.robustnet import InstanceWhitening, collect_covariances, insert_whitening

BN = dict(type='BN')
SLOTS = ('stem', 'layer1', 'layer2')
IDS = ['r18', 'r50', 'r18-v1c', 'sf-r18', 'stdc2']
# Channels of the three slots: RobustNet's for ResNet, the stages of the same stride for STDC.
FULL = [
    (lambda: ResNet(depth=18, norm_cfg=BN), [64, 64, 128]),
    (lambda: ResNet(depth=50, norm_cfg=BN), [64, 256, 512]),
    (lambda: ResNetV1c(depth=18, norm_cfg=BN), [64, 64, 128]),
    (lambda: SFResNet(depth=18, norm_cfg=BN), [128, 64, 128]),
    (lambda: STDCPyramid('STDCNet2', norm_cfg=BN), [32, 64, 256]),
]
THIN = dict(base_channels=8, stem_channels=8, norm_cfg=BN)
NARROW = [
    lambda: ResNet(depth=18, **THIN),
    lambda: ResNet(depth=50, **THIN),
    lambda: ResNetV1c(depth=18, **THIN),
    lambda: SFResNet(depth=18, **THIN),
    lambda: STDCPyramid('STDCNet2', channels=(8, 16, 32, 64, 128), norm_cfg=BN),
]


@pytest.fixture(params=NARROW, ids=IDS)
def backbone(request):
    # No branch may be switched off by its initialization.
    backbone = randomize_norms(request.param())
    backbone.eval()
    return backbone


@pytest.mark.parametrize(('build', 'channels'), FULL, ids=IDS)
def test_channels_and_parameters(build, channels):
    backbone = build()
    before = {name: p.shape for name, p in backbone.named_parameters()}
    layers = insert_whitening(backbone, SLOTS)
    after = {name: p.shape for name, p in backbone.named_parameters()}
    assert list(layers) == list(SLOTS)
    assert [layer.num_channels for layer in layers.values()] == channels
    assert set(after) <= set(before), 'whitening must not add parameters'
    replaced = channels[:2] if isinstance(backbone, STDCPyramid) else channels[:1]
    assert all(before[name] == after[name] for name in after)
    removed = sum(before[name].numel() for name in before if name not in after)
    assert removed == 2 * sum(replaced), 'only the replaced norms may go'


def test_weights_of_a_plain_backbone_load(backbone):
    weights = copy.deepcopy(backbone.state_dict())
    insert_whitening(backbone, SLOTS)
    result = backbone.load_state_dict(weights, strict=False)
    assert not result.missing_keys
    assert all('stem' in k or 'bn1' in k or 'stages' in k for k in result.unexpected_keys)


def test_only_the_slots_change(backbone):
    """With the norms put back and the added layers made transparent, it is the old network."""
    plain = copy.deepcopy(backbone)
    x = torch.randn(2, 3, 48, 64)
    with torch.no_grad():
        expected = plain(x)
        layers = insert_whitening(backbone, SLOTS)
        changed = backbone(x)
        for name, module in list(backbone.named_modules()):
            if module not in layers.values():
                continue
            try:
                substitute = plain.get_submodule(name)
            except AttributeError:
                substitute = nn.Identity()
            parent, _, child = name.rpartition('.')
            setattr(backbone.get_submodule(parent), child, substitute)
        restored = backbone(x)
    for a, b in zip(restored, expected):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert all((a - b).abs().max() > 1e-3 for a, b in zip(changed, expected))


def test_output_of_every_slot_is_standardized_and_survives_the_forward(backbone):
    """A ReLU in place behind a slot would overwrite the map that the loss reads."""
    layers = insert_whitening(backbone, SLOTS)
    maps = {}
    for name, layer in layers.items():
        layer.register_forward_hook(lambda m, i, out, name=name: maps.__setitem__(name, out))
    backbone.train()
    backbone(torch.randn(2, 3, 48, 64))
    for out in maps.values():
        assert out.min() < 0
        mean, var = out.mean(dim=(2, 3)), out.var(dim=(2, 3), correction=0)
        assert mean.abs().max() < 1e-4
        assert (var - 1).abs().max() < 2e-2


def test_statistics_without_gradients_are_those_of_training(backbone):
    """Without gradients the ReLU works in place, behind the covariances."""
    layers = insert_whitening(backbone, SLOTS)
    x = torch.randn(2, 3, 48, 64)
    with collect_covariances(layers) as expected:
        features = backbone(x)
    with torch.no_grad(), collect_covariances(layers) as got:
        for a, b in zip(backbone(x), features):
            torch.testing.assert_close(a, b)
    for name in SLOTS:
        torch.testing.assert_close(got[name], expected[name])
        assert (got[name].flatten(1).amin(1) < 0).all()


def test_layer_is_instance_normalization_in_training_and_at_test_time():
    layer = InstanceWhitening(3)
    x = 5 * torch.randn(2, 3, 8, 8) + 2
    expected = torch.nn.functional.instance_norm(x)
    torch.testing.assert_close(layer.train()(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.eval()(x), expected, rtol=1e-4, atol=1e-5)


def test_gradient_checkpointing_gives_the_same_gradients():
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(0)
        backbone = ResNet(depth=18, with_cp=with_cp, **THIN)
        insert_whitening(backbone, SLOTS)
        backbone.train()
        backbone(torch.randn(2, 3, 64, 64))[-1].square().sum().backward()
        gradients.append(backbone.layer1[0].conv1.weight.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize('slots', [('layer3',), ('layer4', 'stem')])
def test_deeper_slots(slots):
    for build in (NARROW[0], NARROW[-1]):
        backbone = build()
        backbone.eval()
        layers = insert_whitening(backbone, slots)
        assert list(layers) == sorted(slots, reverse=True)
        with collect_covariances(layers) as covariances:
            assert len(backbone(torch.randn(1, 3, 64, 64))) == 4
        assert {k: len(v[0]) for k, v in covariances.items()} == {
            k: layer.num_channels for k, layer in layers.items()
        }


@pytest.mark.parametrize(
    ('build', 'slots', 'message'),
    [
        (lambda: ResNet(depth=18, norm_cfg=BN), ('stem', 'layer9'), 'layer9'),
        (lambda: ResNet(depth=18, norm_cfg=BN), (), 'must be different ones of'),
        (lambda: ResNet(depth=18, norm_cfg=BN), ('stem', 'stem'), 'must be different ones of'),
        (lambda: DFNet(norm_cfg=BN), ('stem',), 'DFNet has no known place'),
        (
            lambda: ResNet(
                depth=18,
                norm_cfg=BN,
                num_stages=2,
                strides=(1, 2),
                dilations=(1, 1),
                out_indices=(0, 1),
            ),
            ('layer3',),
            'has no layer3, only stem, layer1, layer2',
        ),
    ],
)
def test_errors(build, slots, message):
    with pytest.raises(ValueError, match=message) as error:
        insert_whitening(build(), slots)
    assert '\n' not in str(error.value)


def test_whitened_twice():
    backbone = ResNet(depth=18, norm_cfg=BN)
    insert_whitening(backbone, ('stem',))
    with pytest.raises(ValueError, match='whitened already'):
        insert_whitening(backbone, ('layer1',))
