"""The converter of the authors' checkpoints: what it recognizes, drops and writes."""

import hashlib

import pytest
import torch
from authors_reference import AuthorsModel
from helpers import run_tool
from mmengine.runner.checkpoint import load_checkpoint
from mmseg.registry import MODELS
from torch import nn

from sfnet_mm.compat import load_checkpoint_file
from sfnet_mm.converters.sfsegnets import convert

TOOL = 'model_converters/sfsegnets2mmseg'


# Parameters that run at inference, counted on the authors' modules; tensors dropped for a reason.
FAMILIES = {
    'sfnet_r18': (12869715, 0),
    'sfnet_r50': (31325139, 0),
    'sfnet-lite_r18': (12079863, 9 + 7),
    'sfnet_df1': (8422387, 0),
    'sfnet_df2': (17876467, 0),
    'sfnet_stdc1': (5992371, 13 + 174),
    'sfnet_stdc2': (10022835, 13 + 318),
    'sfnet-lite_stdc1': (6433623, 13 + 174 + 9),
    'sfnet-lite_stdc2': (10464087, 13 + 318 + 9),
    'sfnet-lite-conv_stdc1': (6434739, 13 + 174 + 9),
    'fpn-ppm_stdc1': (5976627, 13 + 174),
    'dfseg_df1': (9370931, 0),
    'dfseg_df2': (18825011, 0),
}


@pytest.mark.parametrize('name', FAMILIES)
def test_every_tensor_is_mapped_or_dropped_for_a_reason(name, authors_model):
    state = authors_model(name).state
    result = convert(dict(state_dict=state))
    parameters, dropped = FAMILIES[name]
    statistics = ('.running_mean', '.running_var', '.num_batches_tracked')
    assert parameters == sum(
        v.numel() for k, v in result.state_dict.items() if not k.endswith(statistics)
    )
    keys = [key for group in result.dropped.values() for key in group]
    assert len(set(keys)) == len(keys) == dropped
    assert len(result.state_dict) + dropped == len(state)
    assert name.split('_')[1] in result.family.configs()[0]


def test_biases_under_deep_supervision_are_folded(authors_model):
    state = authors_model('sfnet-dsn_r18').state
    result = convert(state)
    assert len(result.folded) == 3 and len(result.state_dict) == len(state) - 3
    mean = state['head.dsn.1.1.running_mean'] - state['head.dsn.1.0.bias']
    torch.testing.assert_close(result.state_dict['decode_head.dsn.1.convs.0.bn.running_mean'], mean)
    assert 'model.decode_head.deep_supervision=True' in result.family.options()


def test_tool_writes_what_init_model_reads(authors_model, tmp_path, capsys):
    src, dst = tmp_path / 'authors.pth', tmp_path / 'new' / 'converted.pth'
    torch.save(authors_model('sfnet-lite_stdc1').checkpoint(), src)
    run_tool(TOOL, str(src), str(dst))
    source, target = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (src, dst))
    out = capsys.readouterr().out
    assert 'SFNet-Lite with STDC1 (19 classes, attention gate)' in out
    assert 'mapped 230 tensors, dropped 196' in out
    assert 'configs/sfnet_lite_stdc1_uds.py' in out and target in out
    assert [p.name for p in dst.parent.iterdir()] == ['converted.pth']
    checkpoint = load_checkpoint_file(str(dst))
    assert checkpoint['meta']['dataset_meta']['classes'][0] == 'road'
    assert checkpoint['meta']['converted_from_sha256'] == source
    segmentor = nn.Module()
    segmentor.backbone = MODELS.build(dict(type='STDCPyramid'))
    segmentor.decode_head = MODELS.build(
        dict(type='SFNetLiteHead', in_channels=[64, 512, 1024], channels=128, num_classes=19)
    )
    load_checkpoint(segmentor, str(dst), strict=True)
    torch.testing.assert_close(
        segmentor.decode_head.conv_seg.bias.data,
        authors_model('sfnet-lite_stdc1').state['head.conv_last.1.bias'],
    )


def test_options_for_other_class_counts():
    family = convert(AuthorsModel('sfnet_df1', dtype=torch.float32, num_classes=11).state).family
    assert family.options() == ['model.decode_head.num_classes=11']


def imagenet(name, authors_model):
    """ImageNet weights as their authors store them, from the backbone of a model of the authors."""
    authors = authors_model(name)
    state = {k: v for k, v in authors.state.items() if not k.startswith('head.')}
    if name.endswith('r18'):
        state = {
            k.replace('layer0.0.', 'conv1.').replace('layer0.1.', 'bn1.'): v
            for k, v in state.items()
        }
        state.update({'fc.weight': torch.zeros(1000, 512), 'fc.bias': torch.zeros(1000)})
        return state
    state = {k[len('backbone.') :]: v for k, v in state.items()}
    return dict(state_dict={k: v for k, v in state.items() if k[0] != 'x'})


@pytest.mark.parametrize(
    'name, cfg',
    [
        ('sfnet_stdc1', dict(type='STDCPyramid')),
        ('sfnet_r18', dict(type='SFResNet', depth=18)),
        ('sfnet_df1', dict(type='DFNet', arch='DF1')),
    ],
)
@torch.no_grad()
def test_imagenet_weights_initialize_a_backbone(name, cfg, authors_model, tmp_path, capsys):
    src, dst = tmp_path / 'imagenet.pth', tmp_path / 'backbone.pth'
    torch.save(imagenet(name, authors_model), src)
    run_tool(TOOL, str(src), str(dst))
    assert "init_cfg=dict(type='Pretrained'" in capsys.readouterr().out
    backbone = MODELS.build(dict(cfg, init_cfg=dict(type='Pretrained', checkpoint=str(dst))))
    backbone.init_weights()
    x = torch.randn(1, 3, 40, 72)
    for value, expected in zip(backbone.eval()(x), authors_model(name).features(x)):
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-3)


def test_backbone_of_a_whole_model(authors_model, tmp_path):
    src, dst = tmp_path / 'model.pth', tmp_path / 'backbone.pth'
    torch.save(authors_model('sfnet_df2').checkpoint(), src)
    run_tool(TOOL, str(src), str(dst), '--backbone-only')
    state = load_checkpoint_file(str(dst))['state_dict']
    MODELS.build(dict(type='DFNet', arch='DF2')).load_state_dict(state, strict=True)


def test_counters_that_old_files_lack_are_filled(authors_model):
    state = authors_model('sfnet_df1').state
    old = {k: v for k, v in state.items() if not k.endswith('num_batches_tracked')}
    result = convert(old)
    assert len(result.filled) == len(state) - len(old)
    assert len(result.state_dict) == len(state)
