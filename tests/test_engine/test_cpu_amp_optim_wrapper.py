"""Mixed precision on a CPU: bfloat16 inside the forward pass, float32 everywhere else."""

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from torch import nn

from sfnet_mm.engine import cpu_sync_bn
from sfnet_mm.utils.config import enable_amp


@pytest.mark.skipif(torch.cuda.is_available(), reason='--amp takes the CUDA device')
@pytest.mark.parametrize(
    'wrapper',
    [
        dict(type='OptimWrapper'),
        dict(type='AmpOptimWrapper', loss_scale=512.0, dtype='float16', use_fsdp=False),
    ],
)
def test_amp_without_cuda_computes_in_bfloat16_and_keeps_float32_weights(wrapper):
    cfg = Config(dict(optim_wrapper=dict(wrapper, optimizer=dict(type='SGD', lr=0.5))))
    enable_amp(cfg)
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, 2.0]])
    wrapper = build_optim_wrapper(layer, cfg.optim_wrapper)
    with wrapper.optim_context(layer):
        output = layer(torch.tensor([[3.0, 4.0]]))
    assert output.dtype == torch.bfloat16 and output.item() == 11
    wrapper.update_params(output.float().sum())
    # w - lr * dL/dw = (1, 2) - 0.5 * (3, 4)
    assert layer.weight.dtype == torch.float32
    assert layer.weight.tolist() == [[-0.5, 0.0]]


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_normalization_over_processes_takes_maps_in_bfloat16(dtype, monkeypatch):
    """Two processes with equal maps normalize as one process with both of them."""
    monkeypatch.setattr(torch.distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.distributed, 'get_world_size', lambda: 2)
    monkeypatch.setattr(cpu_sync_bn, 'all_reduce', lambda x: 2 * x)
    x = (3 + torch.randn(2, 5, 7, 9)).to(dtype)
    synced, host = cpu_sync_bn.CPUSyncBN(5), nn.BatchNorm2d(5)
    expected = host(torch.cat([x, x]))[:2]
    torch.testing.assert_close(synced(x), expected)
    found, wanted = (dict(layer.named_buffers()) for layer in (synced, host))
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
