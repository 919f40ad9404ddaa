"""Several configs trained under one budget, and the table of their results."""

from .report import plot, table
from .settings import Budget, Resources, name_of, prepare
from .training import finished, per_class_metric, time_steps, train

__all__ = [
    'Budget',
    'Resources',
    'finished',
    'name_of',
    'per_class_metric',
    'plot',
    'prepare',
    'table',
    'time_steps',
    'train',
]
