"""What a wheel built from the sdist carries."""

import os
import os.path as osp
import subprocess
import sys
import tarfile
import zipfile

import pytest
from helpers import ROOT


def setup(cwd, *args):
    subprocess.run(
        [sys.executable, 'setup.py', '--quiet', *args],
        cwd=cwd,
        check=True,
        env=dict(os.environ, PYTHONWARNINGS='ignore'),
        stdout=subprocess.DEVNULL,
    )


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
    """Names of the files in a wheel built from an unpacked sdist."""
    tmp = tmp_path_factory.mktemp('dist')
    setup(ROOT, 'egg_info', '--egg-base', str(tmp), 'sdist', '--dist-dir', str(tmp / 'sdist'))
    (archive,) = (tmp / 'sdist').iterdir()
    with tarfile.open(archive) as f:
        f.extractall(tmp / 'source', filter='data')
    (source,) = (tmp / 'source').iterdir()
    setup(source, 'bdist_wheel', '--dist-dir', str(tmp / 'wheel'))
    (path,) = (tmp / 'wheel').iterdir()
    with zipfile.ZipFile(path) as f:
        return set(f.namelist())


def tracked(folder):
    """Files under a folder of the repository, relative to it."""
    for base, _, files in os.walk(osp.join(ROOT, folder)):
        for name in files:
            if not name.endswith('.pyc'):
                yield osp.relpath(osp.join(base, name), ROOT)


@pytest.mark.slow
def test_wheel_from_sdist_carries_mim_whole(wheel):
    wanted = {f'sfnet_mm/.mim/{p}' for folder in ('configs', 'tools') for p in tracked(folder)}
    wanted.add('sfnet_mm/.mim/model-index.yml')
    assert not wanted - wheel


@pytest.mark.slow
def test_wheel_carries_every_module_and_nothing_else(wheel):
    modules = {p for p in tracked('sfnet_mm') if p.endswith('.py')}
    assert not modules - wheel
    outside = {n for n in wheel if not n.startswith(('sfnet_mm/', 'sfnet_mm-'))}
    assert not outside
