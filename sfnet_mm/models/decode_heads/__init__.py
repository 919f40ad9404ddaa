from .sfnet_head import SFNetHead
from .sfnet_lite_head import SFNetLiteHead

__all__ = ['SFNetHead', 'SFNetLiteHead']
