"""Name the packages that this Python lacks for a wheelhouse, before it is installed.

    python tools/deployment/check_wheelhouse.py wheelhouse

It reads NEEDED.txt of make_wheelhouse.py, which lists large packages that a cluster has itself.
"""

import argparse
import os.path as osp
import sys
from collections.abc import Sequence
from importlib import import_module


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('folder', help='folder of make_wheelhouse.py')
    try:
        print(check(parser.parse_args(argv).folder))
    except KeyboardInterrupt:
        # This tool runs before the package is installed, so it has no helper.
        print('interrupted', file=sys.stderr)
        raise SystemExit(130) from None


def check(folder: str) -> str:
    """Import every module of NEEDED.txt, and return a line that names missing optional ones.

    Raises:
        SystemExit: There is no such list, it is for another Python, or a required package is
            missing.
    """
    try:
        with open(osp.join(folder, 'NEEDED.txt'), encoding='utf-8') as file:
            header, *lines = file.read().splitlines()
    except FileNotFoundError:
        raise SystemExit(
            f'error: {folder}/NEEDED.txt does not exist: run `make wheelhouse` on a machine that '
            'has a network, and copy the folder here'
        ) from None
    wanted, current = header.split()[2].rstrip(':'), '{}.{}'.format(*sys.version_info)
    if wanted != current:
        raise SystemExit(
            f'error: {folder} is for Python {wanted}, and {sys.executable} is {current}: '
            f'run `make wheelhouse PYTHON={current}`'
        )
    missing: dict[str, list[str]] = {'everything': [], 'optional': []}
    for name, version, module, use in map(str.split, lines):
        try:
            import_module(module)
        except Exception as error:  # a broken library may raise any error
            absent = isinstance(error, ModuleNotFoundError) and error.name == module
            reason = '' if absent else f', which fails with: {" ".join(str(error).split())}'
            missing[use].append(f'{name} ({version}{reason})')
    if missing['everything']:
        raise SystemExit(
            f'error: {sys.executable} lacks {", ".join(missing["everything"])}: {folder} leaves '
            'large packages to the machine, install them first'
        )
    lacking = ', '.join(missing['optional'])
    return f'{folder}: nothing is missing' + (f', only the optional {lacking}' if lacking else '')


if __name__ == '__main__':
    main()
