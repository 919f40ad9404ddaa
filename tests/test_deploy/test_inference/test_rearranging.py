"""The walk that replaces layers by their inference form, in heads that it has never seen."""

import pytest
import torch
from deploy_helpers import small_config
from helpers import build_segmentor, randomize_norms
from mmcv.cnn import ConvModule
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn

from sfnet_mm.deploy import optimize
from sfnet_mm.deploy.inference.rearranging import rearrange_layers
from sfnet_mm.models.layers import (
    FlowAlignmentModule,
    GatedDualFlowAlignmentModule,
    LevelFusion,
    PyramidContext,
)


def segmentor(decode_head):
    return build_segmentor(small_config(decode_head=decode_head)).eval()


class TwoLevelHead(BaseDecodeHead):
    """A decoder that somebody else built of the layers of this package."""

    def __init__(self, align, **kwargs):
        super().__init__(
            in_channels=[8, 32],
            channels=8,
            in_index=[0, 3],
            input_transform='multiple_select',
            norm_cfg=dict(type='BN'),
            **kwargs,
        )
        self.context = PyramidContext(32, 8)
        self.lateral = ConvModule(8, 8, 1, norm_cfg=dict(type='BN'))
        self.align = align(8)
        self.join = LevelFusion(8, 2)

    def forward(self, inputs):
        fine, coarse = self._transform_inputs(inputs)
        fine, coarse = self.lateral(fine), self.context(coarse)
        return self.cls_seg(self.join(self.align(fine, coarse), coarse))


class Brighter(FlowAlignmentModule):
    """Inherits an inference form that is not that of its own forward."""

    def forward(self, low, high):
        return super().forward(low, high) + 1


@pytest.mark.parametrize(
    'align, rearranged',
    [(FlowAlignmentModule, True), (GatedDualFlowAlignmentModule, True), (Brighter, False)],
)
def test_head_of_another_package_is_rearranged(align, rearranged):
    model = segmentor(dict(type=TwoLevelHead, align=align, num_classes=3))
    for module in randomize_norms(model).modules():
        if hasattr(module, 'flow_make'):
            module.flow_make.weight.data *= 20
    image = torch.randn(1, 3, 101, 165)
    with torch.no_grad():
        expected = model.double()(image.double())
        form = optimize(model.float(), True, output_size='stride', verbose=False)
        got = form(image)
    torch.testing.assert_close(got.double(), expected, rtol=1e-4, atol=1e-4)
    kinds = {type(m).__name__ for m in form.head.children()}
    assert {'InferenceContext', 'InferenceLevelFusion'} <= kinds
    assert any(kind in kinds for kind in ('InferenceFAM', 'InferenceGDFAM')) == rearranged
    assert any('head.align' in line for line in form.report) != rearranged


def test_form_that_computes_something_else_is_refused():
    class Wrong(nn.Conv2d):
        def forward(self, x):
            return super().forward(x)

        def inference_form(self, rearrange):
            return nn.Conv2d(self.in_channels, self.out_channels, 1)

    model = segmentor(dict(type='FCNHead', in_channels=32, channels=4, num_classes=3))
    model.decode_head.convs[0].conv = Wrong(32, 4, 1)
    form = optimize(model, True, verbose=False)
    assert 'rearranging moved logits' in form.report[-1]
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        got = optimize(model, True, output_size='stride', verbose=False)(image)
        torch.testing.assert_close(got, model(image), rtol=1e-4, atol=1e-5)


def test_walk_tells_what_it_did():
    net = nn.ModuleDict({'fuse': LevelFusion(4, 2), 'context': PyramidContext(4, 4, norm_cfg=None)})
    found = rearrange_layers(net.eval(), True)
    assert {name: type(m) for name, m in found.replaced.items()} == {'context': PyramidContext}
    # Its normalization was not folded.
    assert found.left == {'fuse': 'LevelFusion'}
    assert found.report() == [
        '1 PyramidContext rearranged',
        'left: fuse (LevelFusion) is not rearranged',
    ]
