"""Finds the configs of the package, in a clone or where it is installed."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# Of an installed package, and of a clone.
_FOLDERS = (_PACKAGE / '.mim' / 'configs', _PACKAGE.parent / 'configs')


def config_path(name: str) -> str:
    """Path of a config of this package, to build on it from anywhere.

    mmengine's ``package::`` knows its own packages only. Since it evaluates ``_base_`` before
    anything is imported, a config says::

        _base_ = [__import__('sfnet_mm').config_path('sfnet_lite_stdc1_uds.py')]

    Args:
        name: Base name of the config, which is unique, with or without ``.py``; or its path below
            ``configs``.

    Raises:
        FileNotFoundError: There is no such config; names those that are similar.
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
