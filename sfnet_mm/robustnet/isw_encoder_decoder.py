"""A segmentor trained with instance whitening.

RobustNet, https://arxiv.org/abs/2103.15597, section 4; SFNet paper, Table 17.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from torch import Tensor

from sfnet_mm.utils.arguments import check_choice, check_least

from .whitening import insert_whitening
from .whitening_loss import collect_covariances, strict_upper_triangle, whitening_loss

KINDS = ('IW', 'IRW', 'ISW')


@MODELS.register_module()
class ISWEncoderDecoder(EncoderDecoder):
    """mmseg's ``EncoderDecoder`` with whitening in the backbone and a whitening loss.

    The loss is the mean over the whitened layers of :func:`whitening_loss`, times ``loss_weight``,
    and is called ``loss_iw``, ``loss_irw`` or ``loss_isw``. At test time nothing but the
    parameter-free normalization remains.

    Args:
        *args: Arguments of ``mmseg.EncoderDecoder``.
        kind: ``'IW'`` penalizes all covariances; ``'IRW'`` (relaxed) leaves a margin; ``'ISW'``
            (selective) penalizes those that :class:`sfnet_mm.engine.ISWHook` has selected and none
            before.
        slots: Places of the whitening; see :func:`insert_whitening`.
        loss_weight: RobustNet's 0.6; its scripts have 1.0 for MobileNet and 0.8 for ShuffleNet.
        relax_denominator: The margin of IRW is the number of channel pairs divided by this,
            rounded down.
        **kwargs: Arguments of ``mmseg.EncoderDecoder``.

    Buffers (saved with the weights, so that a resumed run has them):
        ``whitening_mask_{slot}``: (C, C), 1 at penalized pairs of channels.
        ``whitening_selected``: Whether the masks are final.

    Raises:
        ValueError: ``kind`` is unknown, the backbone lacks one of the ``slots``, or
            ``relax_denominator`` is below 1.
    """

    def __init__(
        self,
        *args: Any,
        kind: str = 'ISW',
        slots: Sequence[str] = ('stem', 'layer1', 'layer2'),
        loss_weight: float = 0.6,
        relax_denominator: int = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_choice('ISWEncoderDecoder', KINDS, kind=kind)
        check_least('ISWEncoderDecoder', 1, relax_denominator=relax_denominator)
        self.kind = kind
        self.loss_weight = loss_weight
        # This is a plain dict and not a ModuleDict, because the layers belong to the backbone.
        self.whitening_layers = insert_whitening(self.backbone, slots)
        self.margins: dict[str, int] = {}
        for slot, layer in self.whitening_layers.items():
            pairs = strict_upper_triangle(layer.num_channels)
            self.margins[slot] = int(pairs.sum()) // relax_denominator if kind == 'IRW' else 0
            self.register_buffer(f'whitening_mask_{slot}', pairs * (kind != 'ISW'))
        self.register_buffer('whitening_selected', torch.tensor(kind != 'ISW'))

    @property
    def whitening_masks(self) -> dict[str, Tensor]:
        """The masks (C, C) by slot."""
        return {slot: getattr(self, f'whitening_mask_{slot}') for slot in self.whitening_layers}

    def set_whitening_masks(self, masks: dict[str, Tensor]) -> None:
        """Copy masks into the buffers and switch the loss on."""
        for slot, buffer in self.whitening_masks.items():
            buffer.copy_(masks[slot])
        self.whitening_selected.fill_(True)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """Compute the losses of the heads and, once masks are set, of whitening."""
        if not self.whitening_selected:
            return super().loss(inputs, data_samples)
        with collect_covariances(self.whitening_layers) as covariances:
            losses = super().loss(inputs, data_samples)
        masks = self.whitening_masks
        total = sum(
            whitening_loss(covariance, masks[slot], self.margins[slot])
            for slot, covariance in covariances.items()
        )
        losses[f'loss_{self.kind.lower()}'] = self.loss_weight * total / len(masks)
        return losses
