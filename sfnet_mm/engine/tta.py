"""Test-time augmentation of a model with a single logit."""

import torch
from mmseg.models import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@MODELS.register_module()
class OneLogitTTAModel(SegTTAModel):
    """mmseg's ``SegTTAModel`` for a head with ``out_channels=1``.

    Such a head already gives probabilities as ``seg_logits``. mmseg applies the sigmoid to them
    again, so that every pixel is above 0.5 and a threshold of 0.3 makes all of them class 1.
    """

    def merge_preds(self, data_samples_list: list[list[SegDataSample]]) -> list[SegDataSample]:
        """Compare the mean probability of the augmented images with the head's threshold."""
        for sample in (s for samples in data_samples_list for s in samples):
            sample.seg_logits.data = torch.logit(sample.seg_logits.data)
        return super().merge_preds(data_samples_list)
