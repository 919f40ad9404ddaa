"""``python -m sfnet_mm.ops`` prints what is compiled, for which devices, and what 'auto' selects.

In a clone, Python imports the package of the clone, where nothing is compiled. Then the copy that
``make install-ops`` installed is described, too.
"""

import os.path as osp
from importlib import metadata

from .loader import EXT, Extension


def installed_folder() -> str:
    """The folder of this module in the installed package; this one if none is installed."""
    here = osp.dirname(osp.realpath(__file__))
    for distribution in metadata.distributions(name='sfnet_mm'):
        folder = osp.realpath(str(distribution.locate_file('sfnet_mm/ops')))
        if folder != here and osp.isdir(folder):
            return folder
    return here


def main() -> None:
    """Print the state of the compiled operator."""
    folder = installed_folder()
    if EXT.library is None and folder != osp.dirname(osp.realpath(__file__)):
        print(f'installed package, {folder}:')
        print(Extension(folder).describe())
        print('\nsources of the current folder, which Python takes here:')
    print(EXT.describe())


if __name__ == '__main__':
    main()
