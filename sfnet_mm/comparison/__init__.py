"""Trains several configs under one budget and writes a table of their results."""

from .jobs import Job, check_budget, check_data, run_jobs
from .report import plot, table, timed_passes
from .settings import OPTIMIZERS, Budget, Resources, prepare
from .step_times import time_steps
from .training import finished, train

__all__ = [
    'Budget',
    'Job',
    'OPTIMIZERS',
    'Resources',
    'check_budget',
    'check_data',
    'finished',
    'plot',
    'prepare',
    'run_jobs',
    'table',
    'time_steps',
    'timed_passes',
    'train',
]
