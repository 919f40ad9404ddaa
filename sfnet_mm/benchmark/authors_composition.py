"""Computes FAM and GD-FAM as the authors' code does, as a reference for speed.

The sampling grid is built on the CPU at every call and copied to the device, ``grid_sample`` runs
once per flow, and the gate blends with three elementwise operations. Nothing is fused. The weights
are shared with the modules of this package, so the outputs agree.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from sfnet_mm.models.layers import FlowAlignmentModule, GatedDualFlowAlignmentModule


def host_grid_warp(x: Tensor, flow: Tensor) -> Tensor:
    """Warp ``x`` (N, C, h, w) by ``flow`` (N, 2, H, W) with a base grid built on the CPU."""
    batch, _, height, width = flow.shape
    rows = torch.linspace(-1.0, 1.0, height).view(-1, 1).repeat(1, width)
    columns = torch.linspace(-1.0, 1.0, width).repeat(height, 1)
    base = torch.stack((columns, rows), dim=2).repeat(batch, 1, 1, 1).to(x)
    size = torch.tensor([[[[width, height]]]]).to(x)
    grid = base + flow.permute(0, 2, 3, 1) / size
    return F.grid_sample(x, grid, align_corners=True)


def host_grid_gated_dual_warp(
    high: Tensor, low: Tensor, flow: Tensor, gate: Tensor | None
) -> Tensor:
    """Compute ``gated_dual_flow_warp`` by two calls of :func:`host_grid_warp` and a blend."""
    high = host_grid_warp(high, flow[:, :2])
    low = host_grid_warp(low, flow[:, 2:])
    return high + low if gate is None else high * gate + low * (1 - gate)


class AuthorsFAM(nn.Module):
    """A ``FlowAlignmentModule`` that warps by :func:`host_grid_warp`."""

    def __init__(self, fam: FlowAlignmentModule) -> None:
        super().__init__()
        self.fam, self.fuses = fam, False

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Compute the same as the module that it replaces."""
        return host_grid_warp(high, self.fam.predict_flow(low, high))


class AuthorsGDFAM(nn.Module):
    """A ``GatedDualFlowAlignmentModule`` that warps by :func:`host_grid_gated_dual_warp`."""

    def __init__(self, module: GatedDualFlowAlignmentModule) -> None:
        super().__init__()
        self.gd_fam, self.fuses = module, True

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        """Compute the same as the module that it replaces."""
        low_half, high_half = self.gd_fam.project(low, high)
        flow = self.gd_fam.flow_of_halves(low_half, high_half)
        gate = self.gd_fam.predict_gate(low, low_half, high_half)
        return host_grid_gated_dual_warp(high, low, flow, gate)


def to_authors_composition(model: nn.Module) -> nn.Module:
    """Replace every FAM and GD-FAM in place and return the model."""
    forms = {FlowAlignmentModule: AuthorsFAM, GatedDualFlowAlignmentModule: AuthorsGDFAM}
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) in forms:
                setattr(module, name, forms[type(child)](child))
    return model
