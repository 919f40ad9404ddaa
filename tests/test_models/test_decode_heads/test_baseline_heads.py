"""DF-Seg and Bi-Align."""

import pytest
import torch
import torch.nn.functional as F
from helpers import randomize_norms

from sfnet_mm.models import DFSegHead
from sfnet_mm.models.decode_heads.bialign_head import GatedFlowAlignment, flow_of_pixel_edges
from sfnet_mm.ops import flow_warp


def test_dfseg_is_its_definition():
    head = randomize_norms(DFSegHead(num_classes=5, channels=16, width=8)).eval()
    fine, middle, last = (
        torch.randn(1, c, *s) for c, s in [(128, (9, 12)), (256, (5, 6)), (512, (5, 6))]
    )

    def up(x, y):
        return F.interpolate(x, size=y.shape[2:], mode='bilinear', align_corners=True)

    with torch.no_grad():
        x = head.cc5(head.ppm(last))
        x = F.conv2d(
            torch.cat([up(x, middle), head.cc4(middle)], 1), head.fn4.fusion.weight, padding=1
        )
        x = F.conv2d(torch.cat([up(x, fine), head.cc3(fine)], 1), head.fn3.fusion.weight, padding=1)
        expected = head.conv_seg(F.relu(head.conv_last.bn(head.conv_last.conv(x))))
        torch.testing.assert_close(head((fine, middle, last)), expected)
    assert head.conv_last.conv.bias is not None and head.cc3.bias is not None
    assert head.fn3.fusion.bias is None


@pytest.mark.parametrize('source', [(4, 5), (8, 10)])
def test_flow_of_pixel_edges_samples_like_grid_sample_without_aligned_corners(source):
    x = torch.randn(2, 3, *source, dtype=torch.float64)
    flow = 3 * torch.randn(2, 2, 8, 10, dtype=torch.float64)
    ys, xs = torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 10), indexing='ij')
    grid = torch.stack([xs, ys], -1).double() + flow.permute(0, 2, 3, 1) / torch.tensor([10.0, 8.0])
    expected = F.grid_sample(x, grid, align_corners=False)
    torch.testing.assert_close(
        flow_warp(x, flow_of_pixel_edges(flow, *source)), expected, atol=1e-6, rtol=1e-5
    )


@pytest.mark.parametrize('warp_low', [False, True])
def test_gate_scales_the_flow_by_the_map_that_is_warped(warp_low):
    module = GatedFlowAlignment(8)
    low, high = torch.randn(1, 8, 6, 8), torch.randn(1, 8, 3, 4)
    source = low if warp_low else high
    gate = F.interpolate(
        torch.sigmoid(module.gate(source)), size=(6, 8), mode='bilinear', align_corners=True
    )
    flow = module.predict_flow(low, high) * gate
    grid = torch.stack(
        torch.meshgrid(torch.linspace(-1, 1, 8), torch.linspace(-1, 1, 6), indexing='xy'), -1
    )
    grid = grid + flow.permute(0, 2, 3, 1) / torch.tensor([8.0, 6.0])
    expected = F.grid_sample(source, grid, align_corners=False)
    torch.testing.assert_close(module(low, high, warp_low), expected, atol=1e-5, rtol=1e-4)


def test_heads_refuse_maps_of_other_channels():
    with pytest.raises(ValueError, match=r'maps of \[128, 256, 64\] channels'):
        DFSegHead(num_classes=3)([torch.zeros(1, c, 2, 2) for c in (128, 256, 64)])
