"""Metrics, registered in ``mmseg.registry.METRICS``."""

from .boundary_iou_metric import BoundaryIoUMetric
from .uds_metric import UDSMetric

__all__ = ['BoundaryIoUMetric', 'UDSMetric']
