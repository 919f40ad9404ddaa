"""Builds models by name and predicts masks of images, each in one call."""

from .inference import predict
from .models import create_model

__all__ = ['create_model', 'predict']
