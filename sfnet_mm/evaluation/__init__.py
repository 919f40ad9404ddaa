"""Metrics, registered in ``mmseg.registry.METRICS``."""

from .uds_metric import UDSMetric

__all__ = ['UDSMetric']
