"""Finds the configs and weights of the package, in a clone or in an installed package."""

from fnmatch import fnmatchcase
from pathlib import Path

from .checkpoints import is_local, local_path

_PACKAGE = Path(__file__).resolve().parent
# The folders of an installed package and of a clone.
_FOLDERS = (_PACKAGE / '.mim' / 'configs', _PACKAGE.parent / 'configs')
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
        if (folder / wanted).is_file():
            return str(folder / wanted)
        found = sorted(folder.rglob(Path(wanted).name)) if wanted == Path(wanted).name else []
        if found:
            return str(found[0])
    from difflib import get_close_matches

    names = {path.name for folder in _FOLDERS for path in folder.rglob('*.py')}
    similar = ', '.join(get_close_matches(Path(wanted).name, names)) or 'mim search sfnet_mm'
    raise FileNotFoundError(f'sfnet_mm has no config {wanted}; similar names: {similar}')


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
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), _FOLDERS[0])
    paths = (path.relative_to(folder) for path in folder.rglob('*.py'))
    names = {p.stem for p in paths if not {'_base_', 'panoptic'} & set(p.parts)}
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
            if (folder.parent / 'weights' / name).is_file():
                return str(folder.parent / 'weights' / name)
        raise FileNotFoundError(
            f'weights {weights!r} are not there: this copy of sfnet_mm has no weights/{name}; '
            f'train {WEIGHTS[weights]} and give the path of its checkpoint'
        )
    if is_local(weights) and not Path(local_path(weights)).is_file():
        raise FileNotFoundError(
            f'weights {weights} do not exist: give the path of a checkpoint or one of the names '
            f'{", ".join(WEIGHTS)}'
        )
    return weights
