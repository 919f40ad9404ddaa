from .dfnet import DFNet
from .sf_resnet import SFResNet
from .stdc_pyramid import STDCPyramid

__all__ = ['DFNet', 'SFResNet', 'STDCPyramid']
