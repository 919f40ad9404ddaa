import pytest
import torch
from helpers import run_tool
from mmdet.registry import MODELS

TOOL = 'model_converters/knet2mmdet'


def published(head):
    """A checkpoint of the published layout, with the weights of ``head``."""
    state = {
        'backbone.conv1.weight': torch.randn(2, 3),
        'neck.fpn_convs.0.conv.bias': torch.ones(2),
    }
    for name, tensor in head.state_dict().items():
        part = 'roi_head.' if name.startswith('mask_head.') else 'rpn_head.'
        state[part + name] = tensor
    return dict(meta=dict(CLASSES=('a', 'b'), epoch=12), state_dict=state)


def test_weights_arrive(head_cfg, tmp_path, capsys):
    head = MODELS.build(head_cfg)
    checkpoint = published(head)
    torch.save(checkpoint, tmp_path / 'src.pth')
    with pytest.raises(SystemExit, match='src.pth is SRC'):
        run_tool(TOOL, tmp_path / 'src.pth', tmp_path / 'src.pth')
    run_tool(TOOL, tmp_path / 'src.pth', tmp_path / 'new' / 'dst.pth')
    assert '5 classes, 5 proposals' in capsys.readouterr().out
    state = torch.load(tmp_path / 'new' / 'dst.pth', weights_only=True)['state_dict']
    assert torch.equal(
        state.pop('backbone.conv1.weight'), checkpoint['state_dict']['backbone.conv1.weight']
    )
    assert state.pop('neck.fpn_convs.0.conv.bias').tolist() == [1, 1]
    model = torch.nn.Module()
    model.panoptic_head = MODELS.build(head_cfg)
    model.load_state_dict(state)
    for name, tensor in head.state_dict().items():
        assert torch.equal(model.panoptic_head.state_dict()[name], tensor)


@pytest.mark.parametrize(
    'checkpoint, message',
    [
        ({'state_dict': {'decode_head.conv_seg.weight': torch.zeros(1)}}, 'start with decode_head'),
        ([1, 2], 'holds no state dict'),
        (None, 'src.pth does not exist'),
    ],
)
def test_files_that_are_no_knet(tmp_path, checkpoint, message):
    src = tmp_path / 'src.pth'
    if checkpoint is not None:
        torch.save(checkpoint, src)
    with pytest.raises(SystemExit, match=f'^error: [^\n]*{message}[^\n]*$'):
        run_tool(TOOL, src, tmp_path / 'dst.pth')
    assert not [path for path in tmp_path.iterdir() if path != src]


def test_tensors_without_a_place(head_cfg, tmp_path):
    foreign = published(MODELS.build(head_cfg))
    foreign['state_dict']['extra.weight'] = torch.zeros(1)
    torch.save(foreign, tmp_path / 'src.pth')
    with pytest.raises(SystemExit, match='^error: no place for extra.weight'):
        run_tool(TOOL, tmp_path / 'src.pth', tmp_path / 'dst.pth')
