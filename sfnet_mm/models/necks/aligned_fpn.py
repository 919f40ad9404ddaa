"""The aligned FPN, which is SFNet's decoder without its last layers.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.2 and Figure 4 (inside the authors' ``UperNetAlignHead``).
"""

from collections.abc import Sequence

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import Tensor

from ..layers.build import build_alignment, build_context
from ..layers.upsampling import resize


def check_maps(name: str, inputs: Sequence[Tensor], in_channels: Sequence[int]) -> None:
    """Check the maps that a backbone or neck gives a decoder.

    Raises:
        ValueError: The maps have other channels than the decoder was built for, or they are not
            ordered from fine to coarse.
    """
    got = [x.shape[1] for x in inputs]
    if got != list(in_channels):
        raise ValueError(
            f'{name}: built for in_channels={list(in_channels)}, but the backbone '
            f'gives maps of {got} channels: set in_channels (and in_index) to them'
        )
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        # Sizes are symbols during export, and a comparison would make them constants.
        return
    sizes = [tuple(x.shape[2:]) for x in inputs]
    if any(h < h_next or w < w_next for (h, w), (h_next, w_next) in zip(sizes, sizes[1:])):
        raise ValueError(
            f'{name}: the maps have the sizes {", ".join(f"{h}x{w}" for h, w in sizes)} (height x '
            'width), but must go from fine to coarse: reverse in_channels and in_index'
        )


@MODELS.register_module()
class AlignedFPN(BaseModule):
    """Feature pyramid whose top-down path aligns by flow where an FPN upsamples.

    The path starts with the context module on the last stage. At each step, the current map is
    warped to the grid of the next finer lateral and added to it. A 3x3 convolution of the sum gives
    an output; the sum itself goes on to the next step. Layers have the authors' names (``ppm``,
    ``fpn_in``, ``fpn_out_align``, ``fpn_out``), and lists are ordered from fine to coarse.

    Args:
        in_channels: Channels of the stages, fine to coarse.
        out_channels: Channels of the pyramid.
        num_outs: Number of maps, at least one for each stage. Each additional map is pooled from
            the one before, as in the host's ``FPN``. None gives one for each stage. It must be set
            in mmdet, whose heads expect a fixed number.
        align: Alignment module, called as ``align(fine, coarse)``; None upsamples bilinearly (an
            FPN with PPM, the baseline of the paper).
        align_levels: Indices, from fine to coarse, of the top-down steps that align; the others
            upsample (Table 8b). None aligns all.
        context: Module on the last stage; ``dict(type='PyramidContext', mode='none')`` leaves a
            plain 1x1 lateral.
        norm_cfg: Normalization layers.
        act_cfg: Activation layers.
        align_corners: ``align_corners`` of bilinear upsampling, here and inside the context and
            alignment modules that have this argument.
        conv_cfg: Convolution layers, but for those of the alignment modules; None gives plain ones.
        init_cfg: See ``BaseModule``.

    Raises:
        ValueError: There are fewer than two stages, a level does not exist, or ``num_outs`` is
            below the number of stages or, in mmdet, None. In ``forward``, maps have other channels
            than ``in_channels`` or are not ordered from fine to coarse.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        out_channels: int,
        num_outs: int | None = None,
        align: dict | None = dict(type='mmseg.FlowAlignmentModule'),
        align_levels: Sequence[int] | None = None,
        context: dict = dict(type='mmseg.PyramidContext'),
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        align_corners: bool = True,
        conv_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if len(in_channels) < 2:
            raise ValueError(
                f'AlignedFPN: in_channels={list(in_channels)} names '
                f'{len(in_channels)} stage, a pyramid needs two or more'
            )
        if num_outs is None and _in_mmdet():
            raise ValueError(
                f'AlignedFPN: num_outs is not set, and the heads of mmdet expect a fixed number of '
                f'maps: num_outs={len(in_channels)} gives one for each of in_channels, a larger '
                'one adds maps by pooling'
            )
        self.num_outs = len(in_channels) if num_outs is None else num_outs
        if self.num_outs < len(in_channels):
            raise ValueError(
                f'AlignedFPN: num_outs={num_outs} is below {len(in_channels)}, the number of '
                'in_channels: leave the coarsest out of these'
            )
        steps = range(len(in_channels) - 1)
        align_levels = tuple(steps) if align_levels is None else tuple(align_levels)
        if not set(align_levels) <= set(steps):
            raise ValueError(
                f'AlignedFPN: align_levels={align_levels} names a step that is not in '
                f'0..{len(in_channels) - 2}'
            )
        self.in_channels = list(in_channels)
        self.out_channels = out_channels
        self.align_corners = align_corners
        layers = dict(conv_cfg=conv_cfg, norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.ppm = build_context(
            context,
            in_channels=in_channels[-1],
            channels=out_channels,
            align_corners=align_corners,
            **layers,
        )
        # The authors give the laterals a bias although BN follows; their weights have it.
        self.fpn_in = nn.ModuleList(
            ConvModule(c, out_channels, 1, bias=True, **layers) for c in in_channels[:-1]
        )
        self.fpn_out = nn.ModuleList(
            ConvModule(out_channels, out_channels, 3, padding=1, **layers) for _ in steps
        )
        self.fpn_out_align = nn.ModuleDict(
            {
                str(i): build_alignment(type(self).__name__, align, out_channels, align_corners)
                for i in align_levels
                if align is not None
            }
        )

    def align(self, level: int, fine: Tensor, coarse: Tensor) -> Tensor:
        """Bring ``coarse`` to the grid of ``fine``, by flow or by upsampling."""
        if str(level) in self.fpn_out_align:
            return self.fpn_out_align[str(level)](fine, coarse)
        return resize(coarse, fine.shape[2:], self.align_corners)

    def top_down(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the sums of the top-down path, fine to coarse; the last is the context map.

        Args:
            inputs: Stages (N, in_channels[i], H_i, W_i), fine to coarse.
        """
        check_maps(type(self).__name__, inputs, self.in_channels)
        feature = self.ppm(inputs[-1])
        features: list[Tensor] = [feature]
        for i in reversed(range(len(self.fpn_in))):
            lateral = self.fpn_in[i](inputs[i])
            feature = lateral + self.align(i, lateral, feature)
            features.insert(0, feature)
        return tuple(features)

    def outputs(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute the pyramid from the result of :meth:`top_down`."""
        fused = [conv(f) for conv, f in zip(self.fpn_out, features)]
        return (*fused, features[-1])

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Compute ``num_outs`` maps (N, out_channels, H_i, W_i), fine to coarse."""
        outs = self.outputs(self.top_down(inputs))
        while len(outs) < self.num_outs:
            outs = (*outs, F.max_pool2d(outs[-1], 1, stride=2))
        return outs


def _in_mmdet() -> bool:
    """Return whether the model is built in the scope of mmdet."""
    scope = DefaultScope.get_current_instance()
    return scope is not None and scope.scope_name == 'mmdet'
