from .hard_pixel_cross_entropy import HardPixelCrossEntropy

__all__ = ['HardPixelCrossEntropy']
