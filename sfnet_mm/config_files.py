"""Finds the configs and weights of the package, in a clone or in an installed package."""

import os
import os.path as osp
from fnmatch import fnmatchcase
from glob import glob

from .checkpoints import is_local, local_path
from .utils.tooling import file_stem

_PACKAGE = osp.dirname(osp.realpath(__file__))
# The folders of an installed package and of a clone.
_FOLDERS = (osp.join(_PACKAGE, '.mim', 'configs'), osp.join(osp.dirname(_PACKAGE), 'configs'))
# Weights that come with the package, with their config.
WEIGHTS = {'camvid': 'sfnet_efflite0_camvid360'}


def config_path(name: str) -> str:
    """The path of a config of this package, to build on it from anywhere.

    mmengine's ``package::`` knows only its own packages. Since it evaluates ``_base_`` before
    anything is imported, a config says::

        _base_ = [__import__('sfnet_mm').config_path('sfnet_lite_stdc1_uds.py')]

    Args:
        name: Base name of the config, which is unique, with or without ``.py``; or its path below
            ``configs``.

    Raises:
        FileNotFoundError: There is no such config. The message names similar ones.
    """
    wanted = name if name.endswith('.py') else f'{name}.py'
    for folder in _FOLDERS:
        if osp.isfile(osp.join(folder, wanted)):
            return osp.join(folder, wanted)
        found = [name for name in _configs_below(folder) if osp.basename(name) == wanted]
        if found:
            return osp.join(folder, found[0])
    from difflib import get_close_matches

    names = {osp.basename(name) for folder in _FOLDERS for name in _configs_below(folder)}
    similar = ', '.join(get_close_matches(osp.basename(wanted), names)) or 'mim search sfnet_mm'
    raise FileNotFoundError(f'sfnet_mm has no config {wanted}; similar names: {similar}')


def _configs_below(folder: str) -> list[str]:
    return sorted(glob(osp.join('**', '*.py'), root_dir=folder, recursive=True))


def list_models(pattern: str = '*') -> list[str]:
    """List the segmentation models of this package by the names of their configs.

    Panoptic models (``configs/panoptic``) are not among them: mmdet builds them.

    Example::

        sfnet_mm.list_models('sfnet_lite*cityscapes')

    Args:
        pattern: Pattern of the names; ``*`` stands for any characters, ``?`` for one.

    Returns:
        list: Sorted names; empty if nothing matches.
    """
    folder = next((folder for folder in _FOLDERS if osp.isdir(folder)), _FOLDERS[0])
    paths = (p for p in _configs_below(folder) if not {'_base_', 'panoptic'} & set(p.split(os.sep)))
    names = {file_stem(path) for path in paths}
    return sorted(name for name in names if fnmatchcase(name, pattern))


def weights_path(weights: str) -> str:
    """The path of weights that come with the package; a path or address is returned as it is.

    A config starts from them by::

        load_from = __import__('sfnet_mm').weights_path('camvid')

    Args:
        weights: One of ``WEIGHTS``, such as ``'camvid'``, or the path or address of a checkpoint.

    Raises:
        FileNotFoundError: The weights do not exist, or the name is unknown and names no file.
    """
    if weights in WEIGHTS:
        name = f'{WEIGHTS[weights]}.pth'
        for folder in _FOLDERS:
            path = osp.join(osp.dirname(folder), 'weights', name)
            if osp.isfile(path):
                return path
        raise FileNotFoundError(
            f'weights {weights!r} are not there: this copy of sfnet_mm has no weights/{name}; '
            f'train {WEIGHTS[weights]} and give the path of its checkpoint'
        )
    if is_local(weights) and not osp.isfile(local_path(weights)):
        raise FileNotFoundError(
            f'weights {weights} do not exist: give the path of a checkpoint or one of the names '
            f'{", ".join(WEIGHTS)}'
        )
    return weights
