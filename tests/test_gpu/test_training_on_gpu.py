"""Heads train and predict on a GPU as they do in float64 on the CPU."""

import copy

import pytest
import torch
from gpu_helpers import HEADS, batch, build_segmentor, predict, train_step
from mmengine.optim import AmpOptimWrapper, OptimWrapper

from sfnet_mm.models.layers import (
    CARAFEAlignment,
    DySampleAlignment,
    FlowAlignmentModule,
    FreqFusionAlignment,
    GatedDualFlowAlignmentModule,
    SAPAAlignment,
)
from sfnet_mm.ops import has_ext

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize('head', HEADS)
def test_train_step_and_test_are_those_of_float64(head, gpu_device):
    model, data = build_segmentor(head), batch()
    exact = copy.deepcopy(model).double()
    model = model.to(gpu_device)
    expected, losses = train_step(exact, data), train_step(model, data)
    assert losses == pytest.approx(expected, rel=1e-3, abs=1e-3)
    for (name, value), target in zip(model.named_parameters(), exact.parameters()):
        assert value.device.type == gpu_device.type
        torch.testing.assert_close(
            value.detach().cpu().double(), target.detach(), rtol=2e-3, atol=2e-4, msg=name
        )
    # The step is too small to tell one class from another in float32 at every pixel.
    assert (predict(model, data) == predict(exact, data)).float().mean() >= 0.995


@pytest.mark.parametrize('head', HEADS)
def test_bfloat16_autocast_keeps_the_logits(head, gpu_device):
    model = build_segmentor(head).to(gpu_device).eval()
    images = torch.randn(2, 3, 65, 97, device=gpu_device)
    with torch.no_grad():
        expected = model(images)
        with torch.autocast(gpu_device.type, torch.bfloat16):
            logits = model(images)
    assert logits.dtype == torch.bfloat16
    assert (logits.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
@pytest.mark.parametrize('head', HEADS)
def test_amp_trains(head, dtype):
    model, data = build_segmentor(head).cuda(), batch()

    def losses(model, wrapper):
        model.train()
        return [float(model.train_step(copy.deepcopy(data), wrapper)['loss']) for _ in range(12)]

    plain = copy.deepcopy(model)
    exact = losses(plain, OptimWrapper(optimizer=torch.optim.SGD(plain.parameters(), lr=0.05)))
    wrapper = AmpOptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.05), dtype=dtype)
    mixed = losses(model, wrapper)
    assert mixed[0] == pytest.approx(exact[0], rel=0.03)
    # The scaler of float16 may leave out the first steps.
    assert mixed[0] - mixed[-1] > 0.5 * (exact[0] - exact[-1]) > 0
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())
    # GradScaler starts at 65536 and halves with each step that overflowed.
    assert wrapper.loss_scaler.get_scale() >= 256


@pytest.mark.parametrize('head', HEADS)
def test_sync_bn_of_one_process_is_bn(head, tmp_path):
    plain, data = build_segmentor(head).cuda(), batch()
    model = build_segmentor(head, 'SyncBN').cuda()
    model.load_state_dict(plain.state_dict())
    torch.distributed.init_process_group(
        'nccl', init_method=f'file://{tmp_path}/store', rank=0, world_size=1
    )
    try:
        losses = train_step(model, data)
    finally:
        torch.distributed.destroy_process_group()
    assert losses == pytest.approx(train_step(plain, data), rel=1e-4, abs=1e-4)
    for (name, value), target in zip(model.state_dict().items(), plain.state_dict().values()):
        torch.testing.assert_close(value, target, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize(
    'module',
    [
        FlowAlignmentModule,
        GatedDualFlowAlignmentModule,
        DySampleAlignment,
        CARAFEAlignment,
        SAPAAlignment,
        FreqFusionAlignment,
    ],
)
def test_alignment_is_deterministic_where_torch_asks_for_it(module, gpu_device, monkeypatch):
    if gpu_device.type == 'cuda' and not has_ext():
        pytest.skip('torch has no deterministic grid_sample on CUDA: make install-ops')
    monkeypatch.setenv('CUBLAS_WORKSPACE_CONFIG', ':4096:8')
    align = module(16).to(gpu_device)
    low = torch.randn(2, 16, 33, 49, device=gpu_device, requires_grad=True)
    high = torch.randn(2, 16, 9, 13, device=gpu_device, requires_grad=True)
    wanted = [low, high, *align.parameters()]
    torch.use_deterministic_algorithms(True)
    try:
        # Some alignment modules do not read the fine map: its gradient is zero.
        runs = [
            torch.autograd.grad(align(low, high).square().sum(), wanted, materialize_grads=True)
            for _ in range(3)
        ]
    finally:
        torch.use_deterministic_algorithms(False)
    for again in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], again))


@pytest.mark.parametrize('head', HEADS)
def test_a_compiled_head_gives_the_same_logits_and_gradients(head, gpu_device):
    """By Triton on a GPU; the rehearsal traces the same graph and runs it by torch."""
    torch.compiler.reset()
    decoder = build_segmentor(head).decode_head.to(gpu_device).eval()
    channels, sizes = (8, 16, 32, 64), ((17, 25), (9, 13), (5, 7), (3, 4))
    maps = [
        torch.randn(2, c, *s, device=gpu_device, requires_grad=True)
        for c, s in zip(channels, sizes)
    ]
    backend = 'inductor' if gpu_device.type == 'cuda' else 'aot_eager'
    compiled = torch.compile(decoder, fullgraph=True, backend=backend)
    used = [maps[i] for i in decoder.in_index]
    expected, logits = decoder(maps), compiled(maps)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-4)
    grad = torch.randn_like(expected)
    for ours, value in zip(
        torch.autograd.grad(logits, used, grad), torch.autograd.grad(expected, used, grad)
    ):
        torch.testing.assert_close(ours, value, rtol=5e-3, atol=1e-3)


@pytest.mark.parametrize('module', [DySampleAlignment, CARAFEAlignment, SAPAAlignment])
def test_alignment_trains_without_a_copy_for_each_neighbor(module):
    """The last step of SFNet on eight images of 360x480: 25 copies of its map were 553 MB."""
    align = module(64).cuda()
    low = torch.randn(8, 64, 90, 120, device='cuda', requires_grad=True)
    high = torch.randn(8, 64, 45, 60, device='cuda', requires_grad=True)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    align(low, high).square().mean().backward()
    assert torch.cuda.max_memory_allocated() - before < 16 * low.nbytes
