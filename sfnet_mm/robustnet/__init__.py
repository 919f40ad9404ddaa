"""RobustNet's instance-selective whitening (ISW) for SFNet.

https://arxiv.org/abs/2103.15597; SFNet paper, Table 17. ``whitening`` holds the layers and where
they sit, ``whitening_loss`` the losses, ``covariance_selection`` and ``photometric_pairs`` what ISW
selects and from which images, ``isw_encoder_decoder`` the segmentor. ``sfnet_mm.engine.ISWHook``
runs the selection in training.
"""

from .covariance_selection import PairVariance, select_sensitive
from .isw_encoder_decoder import ISWEncoderDecoder
from .photometric_pairs import PhotometricPairs
from .whitening import InstanceWhitening, insert_whitening
from .whitening_loss import collect_covariances, instance_covariance, whitening_loss

__all__ = [
    'ISWEncoderDecoder',
    'InstanceWhitening',
    'PairVariance',
    'PhotometricPairs',
    'collect_covariances',
    'insert_whitening',
    'instance_covariance',
    'select_sensitive',
    'whitening_loss',
]
