from .bialign_net import BiAlignNet
from .dfnet import DFNet
from .efficientnet_lite import EfficientNetLite
from .sf_resnet import SFResNet
from .shufflenet_v2 import ShuffleNetV2
from .stdc_pyramid import STDCPyramid

__all__ = ['BiAlignNet', 'DFNet', 'EfficientNetLite', 'SFResNet', 'STDCPyramid', 'ShuffleNetV2']
