import os
from importlib.util import find_spec

import pytest
import torch

import sfnet_mm  # noqa: F401  registers everything and mends the hosts

WITHOUT_MMDET = find_spec('mmdet') is None
collect_ignore = ['test_panoptic'] if WITHOUT_MMDET else []


def pytest_report_header():
    if WITHOUT_MMDET:
        return 'tests/test_panoptic left out: mmdet is not installed (make install-panoptic)'
    return None


def pytest_configure(config):
    torch.set_num_threads(1 if 'PYTEST_XDIST_WORKER' in os.environ else 2)


def pytest_collection_modifyitems(items):
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason='needs a CUDA device, and there is none')
    for item in items:
        if 'gpu' in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
