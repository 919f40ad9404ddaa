"""Files of older opsets: operators that these lack are written as arithmetic."""

import numpy as np
import pytest
import torch
from deploy_helpers import needs_onnx, run_in_onnxruntime

needs_onnx()

from sfnet_mm.deploy.export.onnx_graph import trace  # noqa: E402
from sfnet_mm.deploy.export.opsets import to_opset  # noqa: E402


@pytest.mark.parametrize('with_bias', [True, False])
def test_layer_normalization_has_a_form_in_older_opsets(with_bias):
    norm = torch.nn.LayerNorm([5, 6], eps=0.1, bias=with_bias)
    for parameter in norm.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(1, 3, 5, 6)
    values = x.double().numpy()
    centered = values - values.mean(axis=(2, 3), keepdims=True)
    expected = centered / np.sqrt((centered**2).mean(axis=(2, 3), keepdims=True) + 0.1)
    expected = expected * norm.weight.detach().numpy()
    expected += norm.bias.detach().numpy() if with_bias else 0
    for opset, operator in ((13, False), (16, False), (17, True)):
        proto = to_opset(trace(norm, x, ['out']), opset)
        kinds = {node.op_type for node in proto.graph.node}
        assert ('LayerNormalization' in kinds) == operator
        assert np.abs(run_in_onnxruntime(proto, image=x.numpy()) - expected).max() < 1e-5
