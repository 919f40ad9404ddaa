"""The converter of the authors' checkpoints: what it recognizes, drops, writes and refuses."""

import os
import pickle

import pytest
import torch
from authors_reference import AuthorsModel
from helpers import load_tool, run_tool
from mmengine.runner.checkpoint import load_checkpoint
from mmseg.registry import MODELS
from torch import nn

from sfnet_mm.compat import load_checkpoint_file
from sfnet_mm.converters.sfsegnets import convert
from sfnet_mm.converters.sfsegnets_families import ConversionError

TOOL = 'model_converters/sfsegnets2mmseg'


@pytest.fixture
def tool():
    return load_tool(TOOL)


@pytest.fixture(scope='module')
def authors_model():
    """Models of the authors by name, drawn once; their tensors must not be changed."""
    models = {}

    def get(name):
        if name not in models:
            models[name] = AuthorsModel(name, dtype=torch.float32)
        return models[name]

    return get


def refused(src, dst, capsys, *options):
    """Run the tool, which must fail with one line on stderr; the line and all that was printed."""
    with pytest.raises(SystemExit) as exit_info:
        run_tool(TOOL, str(src), str(dst), *options)
    message = exit_info.value.code
    assert message.startswith('error: ') and '\n' not in message
    return message, capsys.readouterr().err


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


def test_tool_writes_what_init_model_reads(tool, authors_model, tmp_path, capsys):
    src, dst = tmp_path / 'authors.pth', tmp_path / 'new' / 'converted.pth'
    torch.save(authors_model('sfnet-lite_stdc1').checkpoint(), src)
    run_tool(TOOL, str(src), str(dst))
    out = capsys.readouterr().out
    assert 'SFNet-Lite with STDC1 (19 classes, attention gate)' in out
    assert 'mapped 230 tensors, dropped 196' in out
    assert 'configs/sfnet_lite_stdc1_uds.py' in out and tool.sha256(str(dst)) in out
    assert [p.name for p in dst.parent.iterdir()] == ['converted.pth']
    checkpoint = load_checkpoint_file(str(dst))
    assert checkpoint['meta']['dataset_meta']['classes'][0] == 'road'
    assert checkpoint['meta']['converted_from_sha256'] == tool.sha256(str(src))
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


def test_options_for_other_class_counts(authors_model):
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
def test_imagenet_weights_initialize_a_backbone(name, cfg, tool, authors_model, tmp_path, capsys):
    src, dst = tmp_path / 'imagenet.pth', tmp_path / 'backbone.pth'
    torch.save(imagenet(name, authors_model), src)
    run_tool(TOOL, str(src), str(dst))
    assert "init_cfg=dict(type='Pretrained'" in capsys.readouterr().out
    backbone = MODELS.build(dict(cfg, init_cfg=dict(type='Pretrained', checkpoint=str(dst))))
    backbone.init_weights()
    x = torch.randn(1, 3, 40, 72)
    for value, expected in zip(backbone.eval()(x), authors_model(name).features(x)):
        torch.testing.assert_close(value, expected, rtol=1e-3, atol=1e-3)


def test_backbone_of_a_whole_model(tool, authors_model, tmp_path):
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


# ---- bad input ----


def test_source_is_never_overwritten(tool, authors_model, tmp_path, capsys):
    src = tmp_path / 'authors.pth'
    torch.save(authors_model('sfnet_df1').checkpoint(), src)
    before = src.read_bytes()
    os.symlink(src, tmp_path / 'link.pth')
    for dst in (src, tmp_path / 'link.pth', tmp_path / '.' / 'authors.pth'):
        assert 'is SRC' in refused(src, dst, capsys)[0]
    assert src.read_bytes() == before


def test_failure_leaves_what_was_there(tool, authors_model, tmp_path, capsys, monkeypatch):
    src, dst = tmp_path / 'authors.pth', tmp_path / 'converted.pth'
    torch.save(authors_model('sfnet_df1').checkpoint(), src)
    dst.write_bytes(b'an earlier conversion')

    def disk_full(checkpoint, path):
        with open(path, 'wb') as f:
            f.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(tool.torch, 'save', disk_full)
    assert 'No space left' in refused(src, dst, capsys)[0]
    assert dst.read_bytes() == b'an earlier conversion'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['authors.pth', 'converted.pth']


def test_missing_extra_and_misshapen_tensors_are_listed(tool, authors_model, tmp_path, capsys):
    state = dict(authors_model('sfnet_df1').state)
    del state['head.fpn_in.1.0.bias'], state['backbone.stage3.1.bn2.weight']
    state['head.spatial.0.weight'] = torch.zeros(3)
    state['head.fpn_out.0.0.0.weight'] = torch.zeros(64, 64, 1, 1)
    src = tmp_path / 'changed.pth'
    torch.save(dict(state_dict=state), src)
    message, printed = refused(src, tmp_path / 'out.pth', capsys)
    assert '2 tensors have no place' in message and '2 tensors of the target are missing' in message
    assert 'no place for: head.spatial.0.weight (3,)' in printed
    assert 'fpn_out.0.conv.weight (64, 64, 1, 1), which should be (64, 64, 3, 3)' in printed
    assert 'missing: decode_head.fpn.fpn_in.1.conv.bias (64,)' in printed
    assert 'missing: backbone.layers.1.1.bn2.weight (128,)' in printed
    assert not (tmp_path / 'out.pth').exists()


def test_copies_of_stdc_weights_must_agree(authors_model):
    state = dict(authors_model('sfnet_stdc1').state)
    del state['backbone.features.1.conv.weight']  # one copy is enough
    assert len(convert(state).state_dict) == 260
    key = 'backbone.x8.0.2.conv_list.0.conv.weight'
    state[key] = state[key] + 1
    with pytest.raises(ConversionError, match='conv_list.0.conv.weight and its copy .* differ'):
        convert(state)


@pytest.mark.parametrize(
    'state, message',
    [
        (dict(conv1=dict(weight=1)), "entry 'conv1' is a dict"),
        (dict(), 'holds no state_dict'),
        ([1, 2], 'holds no state_dict'),
        (
            {'conv1.weight': torch.zeros(1), 'layer3.0.conv1.weight': torch.zeros(1)},
            'no model of the authors is recognized',
        ),
        (
            {
                'backbone.stages.0.bn.bias': torch.zeros(1),
                'decode_head.conv_seg.bias': torch.zeros(1),
            },
            'use it without conversion',
        ),
        (
            {
                'layer0.0.0.weight': torch.zeros(1),
                **{f'layer3.{i}.conv3.weight': torch.zeros(1) for i in range(36)},
            },
            '36 blocks',
        ),
    ],
    ids=['nested', 'empty', 'list', 'torchvision', 'mmseg', 'resnet-152'],
)
def test_other_checkpoints_are_refused(state, message, tool, tmp_path, capsys):
    src = tmp_path / 'other.pth'
    torch.save(state, src)
    assert message in refused(src, tmp_path / 'out.pth', capsys)[0]
    assert not (tmp_path / 'out.pth').exists()


class _Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, 'w')


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_checkpoint_does_not_run(zipped, tool, tmp_path, capsys):
    src, victim = tmp_path / 'evil.pth', tmp_path / 'victim'
    torch.save(
        dict(state_dict={'a': torch.zeros(1)}, best=_Payload(str(victim))),
        src,
        _use_new_zipfile_serialization=zipped,
    )
    assert 'was refused' in refused(src, tmp_path / 'out.pth', capsys)[0]
    assert not victim.exists()
    # The same bytes in the hands of plain pickle would have run it.
    pickle.loads(pickle.dumps(_Payload(str(victim)))).close()
    assert victim.exists()


def test_truncated_and_missing_files(tool, authors_model, tmp_path, capsys):
    src = tmp_path / 'authors.pth'
    torch.save(authors_model('sfnet_df1').checkpoint(), src)
    whole = src.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 100):
        src.write_bytes(whole[:length])
        assert str(src) in refused(src, tmp_path / 'out.pth', capsys)[0]
    src.unlink()
    assert 'does not exist' in refused(src, tmp_path / 'out.pth', capsys)[0]
    assert list(tmp_path.iterdir()) == []
