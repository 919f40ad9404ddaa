"""Lists other real-time segmentors, from the configs of mmseg, for benchmarks beside SFNet.

The mIoU on Cityscapes is taken from the source that is named with it. It is never measured here.
"""

import copy
import os.path as osp
from dataclasses import dataclass

import mmseg
from mmengine.config import Config

from sfnet_mm.model_zoo.paper import paper_rows


@dataclass(frozen=True)
class Published:
    """A reported mIoU on Cityscapes in percent, with its source and the split."""

    miou: float
    source: str
    split: str = 'test'


@dataclass(frozen=True)
class Peer:
    """A model of mmseg, given by its config below ``configs/``, and its published accuracy.

    Attributes:
        classes: Number of classes of Cityscapes if the config is for another data set.
    """

    config: str
    published: Published | None = None
    classes: int = 0

    def read(self) -> Config:
        """Read the config of the installed mmseg, and give it the classes of Cityscapes.

        Raises:
            FileNotFoundError: mmseg was installed without its configs.
        """
        path = osp.join(osp.dirname(mmseg.__file__), '.mim', 'configs', self.config)
        if not osp.isfile(path):
            raise FileNotFoundError(f'{path} does not exist: mmseg was installed without configs')
        cfg = Config.fromfile(path)
        if self.classes:
            cfg.model.decode_head.num_classes = self.classes
        return cfg


def _mmseg(miou: float) -> Published:
    return Published(miou, 'mmseg model zoo', 'val')


PEERS: dict[str, Peer] = {
    'STDC1': Peer('stdc/stdc1_4xb12-80k_cityscapes-512x1024.py', Published(75.3, 'STDC paper')),
    'STDC2': Peer('stdc/stdc2_4xb12-80k_cityscapes-512x1024.py', Published(76.8, 'STDC paper')),
    'BiSeNetV1-R18': Peer(
        'bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py',
        Published(74.7, 'BiSeNet paper'),
    ),
    'BiSeNetV2': Peer(
        'bisenetv2/bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024.py',
        Published(72.6, 'BiSeNetV2 paper'),
    ),
    'PIDNet-S': Peer(
        'pidnet/pidnet-s_2xb6-120k_1024x1024-cityscapes.py', Published(78.6, 'PIDNet paper')
    ),
    'PIDNet-M': Peer(
        'pidnet/pidnet-m_2xb6-120k_1024x1024-cityscapes.py', Published(79.8, 'PIDNet paper')
    ),
    'PIDNet-L': Peer(
        'pidnet/pidnet-l_2xb6-120k_1024x1024-cityscapes.py', Published(80.6, 'PIDNet paper')
    ),
    'DDRNet-23-slim': Peer(
        'ddrnet/ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024.py',
        Published(77.4, 'DDRNet paper'),
    ),
    'DDRNet-23': Peer('ddrnet/ddrnet_23_in1k-pre_2xb6-120k_cityscapes-1024x1024.py', _mmseg(79.99)),
    'ICNet-R18': Peer('icnet/icnet_r18-d8-in1k-pre_4xb2-160k_cityscapes-832x832.py', _mmseg(74.43)),
    'Fast-SCNN': Peer('fastscnn/fast_scnn_8xb4-160k_cityscapes-512x1024.py', _mmseg(70.96)),
    'SegFormer-B0': Peer(
        'segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py', _mmseg(76.54)
    ),
    # mmseg has this model for ADE20K only. The accuracy is from the paper's real-time comparison.
    'SegNeXt-T': Peer(
        'segnext/segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512.py',
        Published(78.0, 'SegNeXt paper'),
        classes=19,
    ),
    'HRNetV2-W18-Small': Peer('hrnet/fcn_hr18s_4xb2-160k_cityscapes-512x1024.py', _mmseg(76.31)),
    'ERFNet': Peer('erfnet/erfnet_fcn_4xb4-160k_cityscapes-512x1024.py', _mmseg(72.5)),
    'LR-ASPP-MobileNetV3': Peer(
        'mobilenet_v3/mobilenet-v3-d8_lraspp_4xb4-320k_cityscapes-512x1024.py', _mmseg(69.54)
    ),
    'CGNet': Peer('cgnet/cgnet_fcn_4xb8-60k_cityscapes-512x1024.py', _mmseg(68.27)),
    'PSPNet-R18': Peer('pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py', _mmseg(74.87)),
    'Semantic-FPN-R50': Peer('sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024.py', _mmseg(74.52)),
}


def published(name: str) -> Published | None:
    """Return the published accuracy of a peer or of a config of this package, by its name.

    The accuracy of a config is that of its network on Cityscapes in Table 3 of the SFNet paper.
    """
    if name in PEERS:
        return PEERS[name].published
    if name.endswith(' without flow'):
        return None
    for table, row in paper_rows(f'{name.rsplit("_", 1)[0]}_cityscapes'):
        if table.number == '3':
            return Published(row.figures['miou'], 'SFNet paper', row.figures['split'])
    return None


def without_flow(cfg: Config) -> Config:
    """Copy a config with bilinear upsampling instead of FAM or GD-FAM (the paper's baseline).

    Raises:
        ValueError: The decoder of the config has no flow alignment.
    """
    # Config.copy() would share the nested dicts.
    cfg = copy.deepcopy(cfg)
    head = cfg.model.get('decode_head', {})
    aligned = isinstance(head, dict) and head.get('type') in ('SFNetHead', 'SFNetLiteHead')
    if not aligned or head.get('align', True) is None:
        raise ValueError(f'{cfg.filename} has no flow alignment that a twin could do without')
    head.align = None
    return cfg
