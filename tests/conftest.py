import copy
import functools
import gc
import os
import os.path as osp
from importlib.util import find_spec

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope, init_default_scope

import sfnet_mm  # noqa: F401  registers everything and mends the hosts

WITHOUT_MMDET = find_spec('mmdet') is None
collect_ignore = ['test_panoptic'] if WITHOUT_MMDET else []

# The garbage collector ends a data loader whose workers cannot be told so any more. Torch then
# waits this many seconds for each worker: five, unless it is said here.
torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.2


def pytest_report_header():
    if WITHOUT_MMDET:
        return 'tests/test_panoptic left out: mmdet is not installed (make install-panoptic)'
    return None


def read_config_files_once():
    """Hundreds of configs have the same few bases, and mmengine reads these again for each."""
    read, folder = Config._file2dict, osp.join(osp.dirname(osp.dirname(__file__)), 'configs', '')
    read_once = functools.cache(read)

    def file2dict(filename, *args, **kwargs):
        path = osp.abspath(filename)
        if path.startswith(folder):
            return copy.deepcopy(read_once(path, *args, **kwargs))
        return read(filename, *args, **kwargs)

    Config._file2dict = staticmethod(file2dict)


def pytest_configure(config):
    read_config_files_once()
    # Tracing makes very many objects, and a tenth of its time went to collections.
    gc.set_threshold(100_000, 20, 50)
    init_default_scope('mmseg')
    torch.set_num_threads(1 if 'PYTEST_XDIST_WORKER' in os.environ else 2)


def pytest_addoption(parser):
    parser.addoption(
        '--gpu-device',
        default='cuda',
        choices=['cuda', 'cpu'],
        help='where tests marked gpu run; cpu rehearses those that are not of CUDA alone',
    )


def pytest_ignore_collect(collection_path, config):
    # A rehearsal imports only files with tests that take the fixture of the device.
    if config.getoption('gpu_device') != 'cpu' or not collection_path.match('test_*.py'):
        return None
    return True if 'gpu_device' not in collection_path.read_text('utf-8') else None


def pytest_collection_modifyitems(config, items):
    # Files with slow tests come first, so that no worker is left with one of them in the end.
    slow = {item.path for item in items if 'slow' in item.keywords}
    items.sort(key=lambda item: item.path not in slow)
    rehearsed = config.getoption('gpu_device') == 'cpu'
    if torch.cuda.is_available() and not rehearsed:
        return
    functions = set()
    for item in items:
        if 'gpu' not in item.keywords:
            continue
        reason = 'needs a CUDA device, and there is none'
        if rehearsed:
            reason = 'exists on CUDA only, or runs with device=cpu in any case'
            if 'gpu_device' in item.fixturenames:
                reason = 'a rehearsal runs the first case of each test'
                function = item.nodeid.partition('[')[0]
                if function not in functions:
                    functions.add(function)
                    continue
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def gpu_device(request, monkeypatch):
    """The device of tests marked gpu; convolutions are float32 there, and not TF32."""
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
    return torch.device(request.config.getoption('gpu_device'))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def mmseg_scope():
    """A runner of one test leaves its scope behind; the next test begins in mmseg's again."""
    yield
    DefaultScope._instance_dict.clear()
    init_default_scope('mmseg')


@pytest.fixture(autouse=True, scope='module')
def little_garbage():
    """mmengine collects garbage at each data set, which looks at all that torch has imported."""
    gc.collect()
    gc.freeze()
