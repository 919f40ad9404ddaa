"""STDC with a stride-4 output.

Rethinking BiSeNet For Real-time Semantic Segmentation, https://arxiv.org/abs/2104.13188, as the
backbone of SFNet (SFNet paper, section 3.2; authors' names ``STDCNet813`` and ``STDCNet1446``).
"""

from collections.abc import Sequence

from mmseg.models.backbones import STDCNet
from mmseg.registry import MODELS

from sfnet_mm.utils.arguments import check_choice

from .pretrained import PretrainedBackbone


@MODELS.register_module()
class STDCPyramid(PretrainedBackbone, STDCNet):
    """mmseg's ``STDCNet`` that also returns the stride-4 map, the finest one of SFNet's decoder.

    Args:
        stdc_type: ``'STDCNet1'`` (STDC813) or ``'STDCNet2'`` (STDC1446).
        in_channels: Channels of the image.
        channels: Output channels of the five stages.
        norm_cfg: Normalization layers. The authors use SyncBN in a part of the backbone only;
            here ``norm_cfg`` applies to all layers. None leaves normalization out.
        act_cfg: Activation layers.
        init_cfg: See ``BaseModule``; all pretrained weights must fit.

    Returns (of ``forward``): maps of strides 4, 8, 16 and 32, by default of 64, 256, 512 and 1024
    channels.

    Raises:
        ValueError: ``stdc_type`` is unknown.
    """

    def __init__(
        self,
        stdc_type: str = 'STDCNet1',
        in_channels: int = 3,
        channels: Sequence[int] = (32, 64, 256, 512, 1024),
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        init_cfg: dict | None = None,
    ) -> None:
        check_choice('STDCPyramid', self.arch_settings, stdc_type=stdc_type)
        super().__init__(
            stdc_type,
            in_channels,
            channels,
            bottleneck_type='cat',
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            with_final_conv=False,
            init_cfg=init_cfg,
        )
        # STDCNet omits this many leading stages from its output; this keeps the second (stride 4).
        self.num_shallow_features = 1
