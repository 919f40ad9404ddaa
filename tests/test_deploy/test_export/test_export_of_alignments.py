"""Today's upsamplers as ONNX graphs: standard operators that compute the same."""

import pytest
import torch
from deploy_helpers import needs_onnx  # which registers the backbone, too
from helpers import build_segmentor, load_config

from sfnet_mm.deploy import export_onnx
from sfnet_mm.deploy.export.onnx_graph import count_nodes

needs_onnx()


def segmentor(align):
    cfg = load_config('configs/sfnet_lite_stdc1_cityscapes.py')
    cfg.model.backbone = dict(type='ConvPyramid')
    cfg.model.decode_head.update(align=align, channels=16, in_channels=[8, 24, 32])
    # With open sizes, the pooling of a context takes longer to trace than an alignment.
    cfg.model.decode_head.context = dict(type='PyramidContext', mode='none')
    cfg.model.auxiliary_head = None
    model = build_segmentor(cfg).eval()
    for parameter in model.decode_head.flow_align_module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize('dynamic', [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    'align, samplers',
    [
        (dict(type='DySampleAlignment', scale_factor=8), 1),
        (dict(type='CARAFEAlignment', scale_factor=8, kernel_size=3), 0),
        (dict(type='SAPAAlignment', kernel_size=3), 0),
        (dict(type='FreqFusionAlignment', compressed_channels=8, lowpass_kernel=3), 1),
    ],
)
def test_exports_at_sizes_that_are_no_multiples(align, samplers, dynamic, tmp_path):
    """``export_onnx`` compares with torch, at two sizes if they are open, and raises if not."""
    import onnx

    path = str(tmp_path / 'model.onnx')
    parities = export_onnx(segmentor(align), path, (100, 164), output='logits', dynamic=dynamic)
    assert len(parities) == 1 + dynamic
    assert count_nodes(path) == samplers
    model = onnx.load(path)
    assert {o.domain: o.version for o in model.opset_import}[''] == 18
    assert {n.domain for n in model.graph.node} == {''} and not model.functions
