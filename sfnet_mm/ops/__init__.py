"""Warps by a semantic flow, with one function per alignment module and one kernel per function."""

from .flow_warp import flow_warp, gated_dual_flow_warp
from .loader import has_ext

__all__ = ['flow_warp', 'gated_dual_flow_warp', 'has_ext']
