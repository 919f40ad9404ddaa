"""The heads of SFNet and SFNet-Lite of the layers of :mod:`~.inference_layers`."""

from typing import List

import torch
import torch.nn as nn
from torch import Tensor

from sfnet_mm.models.decode_heads import SFNetHead, SFNetLiteHead
from sfnet_mm.models.layers import FlowAlignmentModule, GatedDualFlowAlignmentModule
from sfnet_mm.models.layers.rearranged_convs import upsample

from .inference_layers import (
    InferenceContext,
    InferenceFAM,
    InferenceFusion,
    InferenceGDFAM,
    activation,
    is_plain,
)


class InferenceSFNetHead(nn.Module):
    """``SFNetHead`` of rearranged layers.

    Args:
        head: With folded batch normalization.
        report: Gets a line for every layer that stays as it is.
    """

    def __init__(self, head: SFNetHead, report: List[str]) -> None:
        super().__init__()
        fpn = head.fpn
        self.in_index, self.align_corners = head.in_index, head.align_corners
        self.ppm = _rearranged_layer(fpn.ppm, report)
        self.fpn_in, self.fpn_out = fpn.fpn_in, fpn.fpn_out
        self.fpn_out_align = nn.ModuleDict(
            {i: _rearranged_layer(align, report) for i, align in fpn.fpn_out_align.items()}
        )
        self.fusion_align = getattr(head, 'fusion_align', None)
        conv = head.conv_last.conv
        if self.fusion_align is None:
            levels = len(fpn.fpn_in) + 1
            self.conv_last = InferenceFusion(
                conv, levels, activation(head.conv_last), head.align_corners
            )
        else:
            self.conv_last = head.conv_last
        self.conv_seg = head.conv_seg

    def forward(self, inputs: List[Tensor]) -> Tensor:
        """Features of the backbone to logits (N, K, H, W) at the size of the finest."""
        inputs = [inputs[i] for i in self.in_index]
        feature = self.ppm(inputs[-1])
        outs = [feature]
        for i in reversed(range(len(self.fpn_in))):
            lateral = self.fpn_in[i](inputs[i])
            if str(i) in self.fpn_out_align:
                feature = lateral + self.fpn_out_align[str(i)](lateral, feature)
            else:
                feature = lateral + upsample(feature, lateral.shape[2:], self.align_corners)
            outs.insert(0, self.fpn_out[i](feature))
        if self.fusion_align is None:
            return self.conv_seg(self.conv_last(*outs))
        finest, *coarser = outs
        coarser = [align(finest, x) for align, x in zip(self.fusion_align, coarser)]
        return self.conv_seg(self.conv_last(torch.cat([finest, *coarser], dim=1)))


class InferenceSFNetLiteHead(nn.Module):
    """``SFNetLiteHead`` of rearranged layers.

    Args:
        head: With folded batch normalization.
        report: Gets a line for every layer that stays as it is.
    """

    def __init__(self, head: SFNetLiteHead, report: List[str]) -> None:
        super().__init__()
        self.in_index, self.align_corners = head.in_index, head.align_corners
        self.ppm = _rearranged_layer(head.ppm, report)
        self.fpn_in = head.fpn_in
        align = getattr(head, 'flow_align_module', None)
        self.fuses = getattr(align, 'fuses', True)
        self.align = None if align is None else _rearranged_layer(align, report)
        self.conv_last = InferenceFusion(
            head.conv_last.conv, 2, activation(head.conv_last), head.align_corners
        )
        self.conv_seg = head.conv_seg

    def forward(self, inputs: List[Tensor]) -> Tensor:
        """Features of the backbone to logits (N, K, H, W) at the size of the finest."""
        finest, middle, last = (inputs[i] for i in self.in_index)
        fine, coarse = self.fpn_in[0](finest), self.ppm(last)
        if self.align is None:
            fused = fine + upsample(coarse, fine.shape[2:], self.align_corners)
        else:
            fused = self.align(fine, coarse)
            fused = fused if self.fuses else fine + fused
        return self.conv_seg(self.conv_last(fused, self.fpn_in[1](middle)))


def rearranged(head: nn.Module, report: List[str]) -> nn.Module:
    """A head of rearranged layers, or the head itself if it is not one of this package."""
    for kind, form in ((SFNetHead, InferenceSFNetHead), (SFNetLiteHead, InferenceSFNetLiteHead)):
        if type(head) is kind and is_plain(head.conv_last):
            report.append(f'{kind.__name__} rearranged')
            return form(head, report)
    report.append(f'left: {type(head).__name__} is not rearranged')
    return head


def _rearranged_layer(layer: nn.Module, report: List[str]) -> nn.Module:
    linear = getattr(getattr(layer, 'upsample', None), 'mode', 'bilinear') == 'bilinear'
    if type(layer) is FlowAlignmentModule and linear and layer.max_displacement is None:
        return InferenceFAM(layer)
    if type(layer) is GatedDualFlowAlignmentModule and linear and layer.gate != 'conv':
        return InferenceGDFAM(layer)
    if isinstance(layer, InferenceContext):
        return layer
    report.append(f'left: {type(layer).__name__} is not rearranged')
    return layer
