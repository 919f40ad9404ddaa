"""Collects the versions that a result or a bug depends on."""

import platform
import shutil
import subprocess
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec

import torch

from sfnet_mm.ops.loader import EXT
from sfnet_mm.version import __version__

# Each entry has the usual name of a package and the distributions that install it.
PACKAGES = {
    'mmcv': ('mmcv', 'mmcv-lite', 'onedl-mmcv'),
    'mmengine': ('mmengine', 'mmengine-lite', 'onedl-mmengine'),
    'mmsegmentation': ('mmsegmentation', 'onedl-mmsegmentation'),
    'mmdet': ('mmdet', 'onedl-mmdetection'),
    'mim': ('openmim', 'onedl-mim'),
    'numpy': ('numpy',),
    'opencv': (
        'opencv-python',
        'opencv-python-headless',
        'opencv-contrib-python',
        'opencv-contrib-python-headless',
    ),
    'onnx': ('onnx',),
    'onnxruntime': ('onnxruntime', 'onnxruntime-gpu'),
    'openvino': ('openvino',),
    'tensorrt': ('tensorrt',),
}
_DRIVER = ('nvidia-smi', '--query-gpu=name,driver_version,memory.total', '--format=csv,noheader')


def versions() -> dict[str, str]:
    """Collect versions as text by the name of their package, also for missing packages.

    mmengine's ``collect_env`` does not list mmcv-lite, the runtimes or the warp.
    """
    return {
        'sfnet_mm': __version__,
        'compiled warp': EXT.problem
        or f'for {" and ".join(EXT.devices)}, built for torch {EXT.info["torch"]}',
        'python': platform.python_version(),
        'system': platform.platform(),
        'torch': torch.__version__,
        'cuda': str(torch.version.cuda),
        'cudnn': str(torch.backends.cudnn.version()),
        'gpu': _gpus(),
        'driver': _output(*_DRIVER),
        'nvcc': _output('nvcc', '--version').split('\n')[-1],
        **{name: _installed(options) for name, options in PACKAGES.items()},
        'operations of mmcv': 'compiled' if find_spec('mmcv._ext') else 'not compiled',
    }


def _gpus() -> str:
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return ', '.join(names) or 'none that torch can use'


def _installed(distributions: Sequence[str]) -> str:
    """Return the versions of the installed distributions, with the name of an unusual one."""
    found = []
    for name in distributions:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        found.append(version if name == distributions[0] else f'{version} ({name})')
    return ', '.join(found) or 'not installed'


def _output(*command: str) -> str:
    """Run a program and return its output, one line per device, or a text on its failure."""
    if not shutil.which(command[0]):
        return 'not installed'
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return 'not working'
    return done.stdout.strip() if done.returncode == 0 else 'not working'
