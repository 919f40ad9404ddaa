"""What the converter of the authors' checkpoints refuses, and what it then leaves as it was."""

import os
import pickle

import pytest
import torch
from checkpoint_files import RunsCode

from sfnet_mm.converters.sfsegnets import convert
from sfnet_mm.converters.sfsegnets_families import ConversionError


def test_source_is_never_overwritten(authors_model, tmp_path, refused):
    src = tmp_path / 'authors.pth'
    torch.save(authors_model('sfnet_df1').checkpoint(), src)
    before = src.read_bytes()
    os.symlink(src, tmp_path / 'link.pth')
    for dst in (src, tmp_path / 'link.pth', tmp_path / '.' / 'authors.pth'):
        assert 'is SRC' in refused(src, dst)[0]
    assert src.read_bytes() == before


def test_failure_leaves_what_was_there(authors_model, tmp_path, monkeypatch, refused):
    src, dst = tmp_path / 'authors.pth', tmp_path / 'converted.pth'
    torch.save(authors_model('sfnet_df1').checkpoint(), src)
    dst.write_bytes(b'an earlier conversion')

    def disk_full(checkpoint, path):
        with open(path, 'wb') as f:
            f.write(b'half')
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(torch, 'save', disk_full)
    assert 'No space left' in refused(src, dst)[0]
    assert dst.read_bytes() == b'an earlier conversion'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['authors.pth', 'converted.pth']


def test_missing_extra_and_misshapen_tensors_are_listed(authors_model, tmp_path, refused):
    state = dict(authors_model('sfnet_df1').state)
    del state['head.fpn_in.1.0.bias'], state['backbone.stage3.1.bn2.weight']
    state['head.spatial.0.weight'] = torch.zeros(3)
    state['head.fpn_out.0.0.0.weight'] = torch.zeros(64, 64, 1, 1)
    src = tmp_path / 'changed.pth'
    torch.save(dict(state_dict=state), src)
    message, printed = refused(src, tmp_path / 'out.pth')
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
def test_other_checkpoints_are_refused(state, message, tmp_path, refused):
    src = tmp_path / 'other.pth'
    torch.save(state, src)
    assert message in refused(src, tmp_path / 'out.pth')[0]
    assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize('zipped', [True, False])
def test_code_in_a_checkpoint_does_not_run(zipped, tmp_path, refused):
    src, victim = tmp_path / 'evil.pth', tmp_path / 'victim'
    torch.save(
        dict(state_dict={'a': torch.zeros(1)}, best=RunsCode(victim)),
        src,
        _use_new_zipfile_serialization=zipped,
    )
    assert 'was refused' in refused(src, tmp_path / 'out.pth')[0]
    assert not victim.exists()
    # The same bytes in the hands of plain pickle would have run it.
    pickle.loads(pickle.dumps(RunsCode(victim)))
    assert victim.exists()


def test_truncated_and_missing_files(authors_model, tmp_path, refused):
    src = tmp_path / 'authors.pth'
    torch.save(authors_model('sfnet_df1').checkpoint(), src)
    whole = src.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 100):
        src.write_bytes(whole[:length])
        assert str(src) in refused(src, tmp_path / 'out.pth')[0]
    src.unlink()
    assert 'does not exist' in refused(src, tmp_path / 'out.pth')[0]
    assert list(tmp_path.iterdir()) == []
