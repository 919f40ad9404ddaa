"""``--cfg-options`` of the command line, and the imports that a config asks for."""

import os.path as osp

import pytest
from helpers import ROOT

from sfnet_mm.utils.config import load_config, read_config


def test_paths_below_home_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    options = ['train_dataloader.dataset.data_root=~/mine', 'load_from=~/a.pth']
    path = osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_miniuds.py')
    cfg = load_config(path, options, str(tmp_path), 'none')
    assert cfg.train_dataloader.dataset.data_root == f'{tmp_path}/mine'
    assert cfg.load_from == f'{tmp_path}/a.pth'


@pytest.mark.parametrize(
    'code, line',
    [
        ('raise ImportError("panoptic models need mmdet: pip install mmdet")', 'pip install mmdet'),
        ('import absent', "'absent': install it, or put its folder into PYTHONPATH"),
    ],
)
def test_a_custom_import_that_fails_is_one_line_with_its_reason(tmp_path, monkeypatch, code, line):
    (tmp_path / 'module_of_config.py').write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / 'mine.py'
    path.write_text('model = dict(type="A")\ncustom_imports = dict(imports=["module_of_config"])\n')
    with pytest.raises(ImportError, match=rf'^config \S+mine\.py: .*{line}$') as error:
        read_config(str(path))
    assert '\n' not in str(error.value)
