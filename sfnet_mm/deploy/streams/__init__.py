"""Segments cameras, streams and videos frame by frame."""

from .chain import run_chain, stop_on_interrupt
from .outputs import KINDS, StreamWriter, image_outputs, stream_outputs, write_image
from .reader import FrameReader
from .segment import segment_stream
from .source import Source, is_stream, name_streams, parse_source
from .summary import StageTimes, StreamSummary

__all__ = [
    'KINDS',
    'FrameReader',
    'Source',
    'StageTimes',
    'StreamSummary',
    'StreamWriter',
    'image_outputs',
    'is_stream',
    'name_streams',
    'parse_source',
    'run_chain',
    'segment_stream',
    'stop_on_interrupt',
    'stream_outputs',
    'write_image',
]
