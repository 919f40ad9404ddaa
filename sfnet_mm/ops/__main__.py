"""``python -m sfnet_mm.ops`` prints what is compiled, for which devices, and what 'auto' selects.

In a clone, Python imports the package of the clone, where nothing is compiled. Then the copy that
``make install-ops`` installed is described, too.
"""

from importlib import metadata
from pathlib import Path

from ._loader import EXT, Extension


def installed_folder() -> Path:
    """The folder of this module in the installed package; this one if none is installed."""
    here = Path(__file__).resolve().parent
    for distribution in metadata.distributions(name='sfnet_mm'):
        folder = Path(str(distribution.locate_file('sfnet_mm/ops'))).resolve()
        if folder != here and folder.is_dir():
            return folder
    return here


def main() -> None:
    """Print the state of the compiled operator."""
    folder = installed_folder()
    if EXT.library is None and folder != Path(__file__).resolve().parent:
        print(f'installed package, {folder}:')
        print(Extension(folder).describe())
        print('\nsources of the current folder, which Python takes here:')
    print(EXT.describe())


if __name__ == '__main__':
    main()
