"""``--cfg-options`` of the command line."""

import os.path as osp

from helpers import ROOT

from sfnet_mm.utils.config import load_config


def test_paths_below_home_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    options = ['train_dataloader.dataset.data_root=~/mine', 'load_from=~/a.pth']
    path = osp.join(ROOT, 'configs', 'sfnet_lite_stdc1_miniuds.py')
    cfg = load_config(path, options, str(tmp_path), 'none')
    assert cfg.train_dataloader.dataset.data_root == f'{tmp_path}/mine'
    assert cfg.load_from == f'{tmp_path}/a.pth'
