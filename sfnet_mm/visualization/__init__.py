"""Draws semantic flow, masks and sheets of both."""

from .alignment_recorder import Alignment, AlignmentRecorder
from .flow import colour_key, draw_arrows, flow_length, flow_to_pixels, flow_to_rgb
from .overlay import class_map, class_shares, overlay, read_sample_image
from .sheet import alignment_rows, draw_sheet, image_row, save_png

__all__ = [
    'Alignment',
    'AlignmentRecorder',
    'alignment_rows',
    'class_map',
    'class_shares',
    'colour_key',
    'draw_arrows',
    'draw_sheet',
    'flow_length',
    'flow_to_pixels',
    'flow_to_rgb',
    'image_row',
    'overlay',
    'read_sample_image',
    'save_png',
]
