"""Deep supervision: classifiers on the fused maps that are used only in training.

SFNet: Faster and Accurate Semantic Segmentation via Semantic Flow, https://arxiv.org/abs/2207.04415,
section 3.5 (authors' ``dsn`` and ``CriterionSFNet``).
"""

from collections.abc import Sequence
from typing import Any

import torch.nn as nn
from mmseg.models.decode_heads import FCNHead
from torch import Tensor


class DeepSupervision:
    """Mixin of a decode head that also classifies its fused maps in training.

    A 3x3 convolution, BN, ReLU, dropout and a 1x1 convolution classify each map. The loss is that
    of the head with weight 1. These layers do not run at test time.
    """

    def add_deep_supervision(self, count: int, kwargs: dict[str, Any]) -> None:
        """Add ``dsn``, one classifier for each of ``count`` maps.

        Args:
            count: Number of fused maps.
            kwargs: Arguments of ``BaseDecodeHead`` that this head was built with.
        """
        shared = {k: v for k, v in kwargs.items() if k not in ('act_cfg', 'init_cfg')}
        self.dsn = nn.ModuleList(
            FCNHead(
                in_channels=self.channels,
                channels=self.channels,
                in_index=0,
                num_convs=1,
                concat_input=False,
                dropout_ratio=0.1,
                norm_cfg=self.norm_cfg,
                act_cfg=self.act_cfg,
                align_corners=self.align_corners,
                **shared,
            )
            for _ in range(count)
        )

    def deep_losses(
        self, maps: Sequence[Tensor], batch_data_samples: list, train_cfg: dict
    ) -> dict[str, Tensor]:
        """Compute the losses ``dsn{i}.loss_ce`` of maps (N, channels, H_i, W_i).

        The result is empty without deep supervision.
        """
        losses = {}
        for i, head in enumerate(getattr(self, 'dsn', ())):
            for name, value in head.loss((maps[i],), batch_data_samples, train_cfg).items():
                losses[f'dsn{i}.{name}'] = value
        return losses
