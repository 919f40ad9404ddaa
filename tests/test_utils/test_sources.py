"""One switch for the sources of UDS: ``--cfg-options sources.NAME=...``."""

import os.path as osp

import pytest
from helpers import ROOT
from mmengine.config import Config

from sfnet_mm.utils.config import load_config
from sfnet_mm.utils.sources import USUAL_FOLDERS

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def config(name):
    return osp.join(ROOT, 'configs', f'{name}.py')


def sources(tmp_path, path, *options):
    """The sources that each loader reads after the options of the command line."""
    cfg = load_config(path, options, str(tmp_path), 'none')
    found = []
    for loader in LOADERS:
        dataset = cfg[loader].dataset
        dataset = dataset.get('dataset', dataset)
        found.append({k: v for k, v in dataset.sources.items() if v})
    return found


@pytest.mark.parametrize('name', ['sfnet_stdc1_uds', 'authors/sfnet_stdc1_authors_120e_uds'])
def test_a_switch_reaches_every_loader(tmp_path, name):
    options = ('sources.mapillary=None', 'sources.idd=None', 'sources.bdd=/disk/bdd')
    expected = dict(cityscapes='cityscapes', bdd='/disk/bdd')
    assert sources(tmp_path, config(name), *options) == [expected] * 3
    assert sources(tmp_path, config(name)) == [USUAL_FOLDERS] * 3


def test_a_config_of_ones_own_can_set_it(tmp_path):
    own = tmp_path / 'own.py'
    own.write_text(
        f"_base_ = ['{config('sfnet_stdc1_uds')}']\nsources = dict(mapillary=None, idd='/x')\n"
        "val_dataloader = dict(dataset=dict(sources=dict(bdd='only/val')))\n"
    )
    train, val, test = sources(tmp_path, str(own))
    assert train == test == dict(cityscapes='cityscapes', idd='/x', bdd='bdd100k')
    assert val == dict(train, bdd='only/val')


def test_no_data_set_gets_a_source_that_it_does_not_have(tmp_path):
    options = ('sources.idd=/x', 'sources.cityscapes=/c')
    found = sources(tmp_path, config('sfnet_stdc1_cityscapes'), *options)
    assert found == [dict(cityscapes='/c')] * 3


def test_an_unknown_source_is_named(tmp_path):
    with pytest.raises(ValueError, match='sources.kitti is no source of UDS: .*mapillary'):
        sources(tmp_path, config('sfnet_stdc1_uds'), 'sources.kitti=/x')


def test_the_usual_folders_are_those_of_the_config():
    cfg = Config.fromfile(osp.join(ROOT, 'configs/_base_/datasets/driving.py'))
    assert cfg.sources == USUAL_FOLDERS
