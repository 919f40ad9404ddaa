"""Configs of the package are found by name, and what the documents say of versions is one."""

import fnmatch
import importlib
import os.path as osp
import re
import subprocess
import sys

import pytest
from helpers import ROOT, read_text
from mmengine.config import Config

import sfnet_mm


@pytest.mark.parametrize('name', ['sfnet_r18_uds', 'sfnet_r18_uds.py', 'fpn_ppm_r50_cityscapes'])
def test_config_is_found_by_its_base_name(name):
    path = sfnet_mm.config_path(name)
    assert osp.isfile(path) and osp.basename(path).startswith(name.split('.')[0])


def test_config_of_the_package_is_the_base_of_one_elsewhere(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text("_base_ = [__import__('sfnet_mm').config_path('sfnet_r18_uds')]\nmine = 1\n")
    cfg = Config.fromfile(str(path))
    assert cfg.mine == 1 and cfg.model.decode_head.type == 'SFNetHead'


def test_unknown_config_names_similar_ones():
    with pytest.raises(FileNotFoundError, match=r'no config sfnet_r19_uds\.py; similar names: '):
        sfnet_mm.config_path('sfnet_r19_uds')


def test_ops_of_a_clone_describe_the_installed_package(monkeypatch, tmp_path, capsys):
    ops = importlib.import_module('sfnet_mm.ops.__main__')

    class Installed:
        @staticmethod
        def locate_file(name):
            return tmp_path / name

    (tmp_path / 'sfnet_mm' / 'ops').mkdir(parents=True)
    monkeypatch.setattr(ops.metadata, 'distributions', lambda name: [Installed])
    monkeypatch.setattr(ops.EXT, 'library', None)
    ops.main()
    shown = capsys.readouterr().out
    assert shown.startswith(f'installed package, {tmp_path}/sfnet_mm/ops:')
    assert 'sources of the current folder' in shown


def test_one_oldest_python_is_named_everywhere():
    found = {
        'README.md': r'Python (3\.\d+) or later',
        'setup.py': r"python_requires='>=(3\.\d+)'",
        'Makefile': r'needs (3\.\d+) or later',
    }
    versions = {re.search(pattern, read_text(name))[1] for name, pattern in found.items()}
    assert len(versions) == 1
    major, minor = versions.pop().split('.')
    assert f'sys.version_info < ({major}, {minor})' in read_text('Makefile')


def test_older_python_is_refused_in_one_line(tmp_path):
    """The command of ``make install`` under an interpreter that calls itself 3.9."""
    old = tmp_path / 'python3.9'
    code = 'import sys; sys.version_info = (3, 9); sys.version = "3.9.1 x"; exec(sys.argv[1])'
    old.write_text(f'#!/bin/sh\nshift\nexec {sys.executable} -c \'{code}\' "$1"\n')
    old.chmod(0o755)
    command = ['make', '-C', ROOT, 'install', f'PYTHON={old}', f'VENV={tmp_path}/venv']
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode != 0 and not (tmp_path / 'venv').exists()
    assert f'error: {old} is Python 3.9.1, and sfnet_mm needs 3.10 or later' in result.stderr


def test_spelling_is_not_checked_in_what_documented_commands_write():
    text = ''.join(map(read_text, ('README.md', 'docs/deployment.md')))
    written = set(re.findall(r'--out-dir (\w+)|(\S+\.(?:onnx|engine|pth))\b', text))
    names = {osp.basename(a or b) for a, b in written}
    skip = re.search(r'^skip = "(.*)"', read_text('pyproject.toml'), re.M)[1].split(',')
    assert {'predictions', 'model.onnx', 'model.engine'} <= names
    assert not [n for n in names if not any(fnmatch.fnmatch(n, pattern) for pattern in skip)]
