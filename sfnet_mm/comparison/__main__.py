"""Run one job of a comparison: ``python -m sfnet_mm.comparison JOB.json``."""

import sys

from sfnet_mm.utils.tooling import read_json

from .settings import Budget, Resources
from .training import train

job = read_json(sys.argv[1])
job.update(budget=Budget(**job['budget']), resources=Resources(**job['resources']))
train(**job)
