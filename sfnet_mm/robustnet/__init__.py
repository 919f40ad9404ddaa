"""RobustNet's instance-selective whitening (ISW) for SFNet.

See https://arxiv.org/abs/2103.15597 and the SFNet paper, Table 17. ``whitening`` has the layers and
puts them into a backbone. ``whitening_loss`` has the losses. ``covariance_selection`` and
``photometric_pairs`` select the covariances of ISW. ``isw_encoder_decoder`` has the segmentor.
``sfnet_mm.engine.ISWHook`` runs the selection in training.
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
