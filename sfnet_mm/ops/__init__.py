"""Warps by a semantic flow, with one function per alignment module and one kernel per function."""

from ._loader import has_ext
from .flow_warp import flow_warp, gated_dual_flow_warp

__all__ = ['flow_warp', 'gated_dual_flow_warp', 'has_ext']
