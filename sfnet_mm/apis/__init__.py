"""Models by name and masks of images, in a line each."""

from .inference import predict
from .models import create_model

__all__ = ['create_model', 'predict']
