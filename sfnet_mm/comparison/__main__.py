"""Run one job of a comparison: ``python -m sfnet_mm.comparison JOB.json``."""

import json
import sys

from .settings import Budget, Resources
from .training import train

with open(sys.argv[1], encoding='utf-8') as file:
    job = json.load(file)
job.update(budget=Budget(**job['budget']), resources=Resources(**job['resources']))
train(**job)
