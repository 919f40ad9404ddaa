from .bialign_head import BiAlignHead
from .dfseg_head import DFSegHead
from .sfnet_head import SFNetHead
from .sfnet_lite_head import SFNetLiteHead

__all__ = ['BiAlignHead', 'DFSegHead', 'SFNetHead', 'SFNetLiteHead']
