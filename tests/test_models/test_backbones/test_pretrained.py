"""ImageNet weights: all of them are taken, or one line says which are not."""

import re

import pytest
import torch
from helpers import config_paths, load_config, randomize_norms
from mmseg.models.backbones import ResNetV1c, STDCNet
from mmseg.registry import MODELS

STDC = dict(
    in_channels=3,
    channels=(32, 64, 256, 512, 1024),
    bottleneck_type='cat',
    norm_cfg=dict(type='BN'),
)
# Name -> the host's module, of which the published file is, and the backbone of this package.
PAIRS = {
    'R18': (lambda: ResNetV1c(depth=18), dict(type='SFResNet', depth=18)),
    'R50': (lambda: ResNetV1c(depth=50), dict(type='SFResNet', depth=50)),
    'R101': (lambda: ResNetV1c(depth=101), dict(type='SFResNet', depth=101)),
    'R18 of the width of the authors': (
        lambda: ResNetV1c(depth=18, stem_channels=128),
        dict(type='SFResNet', depth=18),
    ),
    'STDC1': (
        lambda: STDCNet('STDCNet1', act_cfg=dict(type='ReLU'), with_final_conv=True, **STDC),
        dict(type='STDCPyramid', stdc_type='STDCNet1'),
    ),
    'STDC2': (
        lambda: STDCNet('STDCNet2', act_cfg=dict(type='ReLU'), with_final_conv=False, **STDC),
        dict(type='STDCPyramid', stdc_type='STDCNet2'),
    ),
}


def built(cfg, path):
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    return MODELS.build(dict(cfg, norm_cfg=dict(type='BN'), init_cfg=init_cfg))


@pytest.mark.parametrize('name', PAIRS)
def test_every_tensor_of_a_file_of_the_host_is_taken(name, tmp_path):
    torch.manual_seed(0)
    make, cfg = PAIRS[name]
    host = randomize_norms(make())
    host.eval()
    torch.save(host.state_dict(), tmp_path / 'host.pth')
    if cfg['type'] == 'SFResNet':
        cfg = dict(cfg, conv2_dilations=(1, 1, 1, 1))  # the host's
    backbone = built(cfg, tmp_path / 'host.pth')
    backbone.init_weights()
    own, state = backbone.state_dict(), host.state_dict()
    for key, value in state.items():
        if 'final_conv' in key or key not in own:
            continue
        window = own[key][tuple(slice(n) for n in value.shape)]
        assert torch.equal(window, value), key
    extra = [k for k in own if k not in state and 'num_batches' not in k]
    assert all(k.startswith('layer1.0.downsample') for k in extra), extra
    # The same function, though the stem is wider than that of the file.
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected, got = host(image), backbone.eval()(image)
    # The host's STDC has no map of stride 4; one of the two ends in another convolution.
    got = got[len(got) - len(expected) :]
    last = -1 if any('final_conv' in key for key in state) else None
    for a, b in list(zip(expected, got))[:last]:
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4)


def test_channels_that_a_narrow_stem_lacks_learn(tmp_path):
    torch.manual_seed(0)
    torch.save(ResNetV1c(depth=18).state_dict(), tmp_path / 'host.pth')
    backbone = built(dict(type='SFResNet', depth=18), tmp_path / 'host.pth')
    backbone.init_weights()
    backbone(torch.rand(2, 3, 64, 64))[-1].square().mean().backward()
    assert backbone.layer1[0].conv1.weight[:, 64:].abs().max() == 0
    assert (backbone.layer1[0].conv1.weight.grad[:, 64:].abs().amax(dim=(0, 2, 3)) > 0).any()


@pytest.mark.parametrize('name', PAIRS)
def test_one_renamed_tensor_is_one_line(name, tmp_path):
    make, cfg = PAIRS[name]
    state = make().state_dict()
    key = [k for k in state if k.endswith('conv.weight') or k.endswith('conv1.weight')][3]
    state['another.name'] = state.pop(key)
    torch.save(state, tmp_path / 'renamed.pth')
    backbone = built(cfg, tmp_path / 'renamed.pth')
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    with pytest.raises(ValueError, match=rf'renamed\.pth .*1 of \d+ tensors.*\({key}\)') as error:
        backbone.init_weights()
    assert '\n' not in str(error.value)
    assert all(torch.equal(v, before[k]) for k, v in backbone.state_dict().items())


def test_another_network_is_one_line(tmp_path):
    torch.save(ResNetV1c(depth=50).state_dict(), tmp_path / 'r50.pth')
    with pytest.raises(ValueError, match=r'tensors are of another shape \(layer1.0.downsample.0'):
        built(dict(type='SFResNet', depth=18), tmp_path / 'r50.pth').init_weights()


def test_a_smaller_kernel_is_not_embedded_in_a_larger_one(tmp_path):
    state = ResNetV1c(depth=18).state_dict()
    state['stem.0.weight'] = state['stem.0.weight'][..., :2, :2].clone()
    torch.save(state, tmp_path / 'host.pth')
    with pytest.raises(ValueError, match=r'1 of \d+ tensors are of another shape \(stem.0.weight'):
        built(dict(type='SFResNet', depth=18), tmp_path / 'host.pth').init_weights()


def test_a_missing_file_says_how_to_make_it(tmp_path):
    path = tmp_path / 'df1.pth'
    with pytest.raises(FileNotFoundError, match=rf'sfsegnets2mmseg\.py SRC {path}$'):
        built(dict(type='DFNet', arch='DF1'), path).init_weights()


def backbones(node):
    """Every part of a config that names its weights."""
    if isinstance(node, dict):
        if node.get('init_cfg'):
            yield node
        for value in node.values():
            yield from backbones(value)


# They are trained from random weights, or compared as they are.
WITHOUT = ('bisenetv2', 'pidnet', 'ddrnet', 'erfnet', 'dilated_fcn')


@pytest.mark.parametrize('folder', ['', 'ablation', 'baselines', 'panoptic', 'robustnet'])
def test_networks_start_from_the_weights_of_their_backbone(folder):
    if folder == 'panoptic':
        pytest.importorskip('mmdet', reason='mmdet is not installed: make install-panoptic')
    for path in config_paths(*[folder] if folder else []):
        if not folder and path.count('/') > 1:
            continue
        found = list(backbones(load_config(path).model))
        # Drawn scenes teach a network from nothing, but for those that CamVid starts from.
        if not any(name in path for name in WITHOUT):
            drawn = path.endswith(('miniuds.py', 'minicityscapes.py')) and 'efflite' not in path
            assert bool(found) != drawn, path
        for part in found:
            file = part.init_cfg.checkpoint
            if 'depth' in part:
                assert re.search(rf'resnet{part.depth}(_v1c)?$', file), path
            for name, words in (('stdc_type', ('stdc', 'STDCNet')), ('arch', ('df', 'DF'))):
                value = str(part.get(name, ''))
                if value.startswith(words[1]):
                    assert value.replace(*words[::-1]) in file, (path, file)
            if 'embed_dims' in part:
                assert f'mit_b{part.embed_dims // 64}' in file, path
