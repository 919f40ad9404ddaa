"""One stage of K-Net: kernels gather features under their masks and give new masks and classes.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855, section 3.2 and
Figure 2 (authors' ``KernelUpdateHead`` of the detection code).
"""

import torch
import torch.nn as nn
from mmengine.model import bias_init_with_prob
from mmseg.models.decode_heads.knet_head import KernelUpdateHead
from torch import Tensor


def gather_group_features(masks: Tensor, features: Tensor) -> Tensor:
    """Sum the features under each hard mask, without dividing by its area (section 3.2, Eq. 3).

    Args:
        masks: Logits (B, N, H, W).
        features: (B, C, H, W).

    Returns:
        Tensor: (B, N, C), float32.
    """
    # A sum over a whole image overflows float16.
    with torch.autocast(features.device.type, enabled=False):
        hard_masks = (masks.sigmoid() > 0.5).float()
        return torch.einsum('bnhw,bchw->bnc', hard_masks, features.float())


class PanopticKernelUpdateHead(KernelUpdateHead):
    """mmseg's ``KernelUpdateHead`` with hard masks and a class for each kernel.

    The semantic head of mmseg gathers features by a softmax over kernels and has one kernel for
    each class. Here masks are independent (sigmoid), and the class of a kernel is predicted.

    Args:
        num_classes: Things and stuff, without background (the class loss is a sigmoid one).
        in_channels: Channels of kernels and features.
        num_heads: Heads of the attention between kernels.
        feedforward_channels: Hidden channels of the feed-forward layer.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 256,
        num_heads: int = 8,
        feedforward_channels: int = 2048,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            num_heads=num_heads,
            num_mask_fcs=1,
            feedforward_channels=feedforward_channels,
            in_channels=in_channels,
            out_channels=in_channels,
            feat_transform_cfg=dict(conv_cfg=dict(type='Conv2d'), act_cfg=None),
            # The scope is named because mmseg builds this in whichever scope is active.
            kernel_updator_cfg=dict(
                type='mmseg.KernelUpdator',
                in_channels=in_channels,
                feat_channels=in_channels,
                out_channels=in_channels,
            ),
        )
        self.cls_fcs = nn.ModuleList(
            [
                nn.Linear(in_channels, in_channels, bias=False),
                nn.LayerNorm(in_channels),
                nn.ReLU(inplace=True),
            ]
        )
        self.fc_cls = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        """Initialize matrices by Xavier and class probabilities to 0.01, as focal loss needs."""
        super().init_weights()
        nn.init.constant_(self.fc_cls.bias, bias_init_with_prob(0.01))

    def forward(
        self, x: Tensor, proposal_feat: Tensor, mask_preds: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Update the kernels once.

        Args:
            x: Features (B, C, H, W).
            proposal_feat: Kernels (B, N, C).
            mask_preds: Mask logits of the stage before (B, N, H, W).

        Returns:
            tuple[Tensor, Tensor, Tensor]: Class logits (B, N, num_classes), mask logits
            (B, N, H, W) and the kernels for the next stage (B, N, C).
        """
        batch, num_kernels = proposal_feat.shape[:2]
        x = self.feat_transform(x)
        group_features = gather_group_features(mask_preds, x)
        with torch.autocast(x.device.type, enabled=False):
            kernels = self.kernel_update_conv(group_features, proposal_feat.float().unsqueeze(2))
        # The attention runs over kernels, expects them in the first dimension, and adds its input.
        kernels = kernels.reshape(batch, num_kernels, -1).permute(1, 0, 2)
        kernels = self.attention_norm(self.attention(kernels)).permute(1, 0, 2)
        kernels = self.ffn_norm(self.ffn(kernels))

        cls_feat, mask_feat = kernels, kernels
        for layer in self.cls_fcs:
            cls_feat = layer(cls_feat)
        for layer in self.mask_fcs:
            mask_feat = layer(mask_feat)
        masks = torch.einsum('bnc,bchw->bnhw', self.fc_mask(mask_feat), x)
        return self.fc_cls(cls_feat), masks, kernels
