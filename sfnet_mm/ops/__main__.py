"""``python -m sfnet_mm.ops``: what is compiled, for which architectures, what 'auto' picks.

In a clone Python takes the package from there, where nothing is compiled. The copy that
``make install-ops`` installed is described then, too.
"""

from importlib import metadata
from pathlib import Path

from ._loader import EXT, Extension


def installed_folder() -> Path:
    """Folder of this module in the installed package; this one where none is installed."""
    here = Path(__file__).resolve().parent
    for distribution in metadata.distributions(name='sfnet_mm'):
        folder = Path(str(distribution.locate_file('sfnet_mm/ops'))).resolve()
        if folder != here and folder.is_dir():
            return folder
    return here


def main() -> None:
    """Print what there is."""
    folder = installed_folder()
    if EXT.library is None and folder != Path(__file__).resolve().parent:
        print(f'installed package, {folder}:')
        print(Extension(folder).describe())
        print('\nsources of the current folder, which Python takes here:')
    print(EXT.describe())


if __name__ == '__main__':
    main()
