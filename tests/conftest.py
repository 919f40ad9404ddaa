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


def pytest_addoption(parser):
    parser.addoption(
        '--gpu-device',
        default='cuda',
        choices=['cuda', 'cpu'],
        help='where tests marked gpu run; cpu rehearses those that are not of CUDA alone',
    )


def pytest_collection_modifyitems(config, items):
    rehearsed = config.getoption('gpu_device') == 'cpu'
    if torch.cuda.is_available() and not rehearsed:
        return
    for item in items:
        if 'gpu' not in item.keywords or rehearsed and 'gpu_device' in item.fixturenames:
            continue
        reason = 'needs a CUDA device, and there is none'
        if rehearsed:
            reason = 'exists on CUDA only, or runs with device=cpu in any case'
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def gpu_device(request, monkeypatch):
    """The device of tests marked gpu; convolutions are float32 there, and not TF32."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    return torch.device(request.config.getoption('gpu_device'))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)
