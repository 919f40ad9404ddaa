"""Warping by a semantic flow: one function per alignment module, one kernel per function."""

from .flow_warp import flow_warp, gated_dual_flow_warp, has_ext

__all__ = ['flow_warp', 'gated_dual_flow_warp', 'has_ext']
