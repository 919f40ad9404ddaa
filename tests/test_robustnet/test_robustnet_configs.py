import os.path as osp

import pytest
from helpers import config_paths, load_config

from sfnet_mm.utils.config_parts import data_sets

PATHS = config_paths('robustnet')


def sources(loader):
    (dataset,) = data_sets(loader)
    return {name for name, folder in dataset.sources.items() if folder}


@pytest.mark.parametrize('path', PATHS)
def test_training_and_the_choice_of_checkpoints_see_one_source_only(path):
    cfg = load_config(path)
    assert sources(cfg.train_dataloader) == {'cityscapes'}
    assert sources(cfg.test_dataloader) >= {'idd', 'mapillary', 'bdd'}
    chooses = cfg.default_hooks.checkpoint.save_best is not None
    assert not chooses or sources(cfg.val_dataloader) == {'cityscapes'}
    assert cfg.test_evaluator.type == 'UDSMetric', 'each target is to be reported by itself'


@pytest.mark.parametrize('path', PATHS)
def test_model_and_hook_go_together(path):
    """``isw_`` in the name, the segmentor and the hook; warm-up within the training."""
    cfg = load_config(path)
    named = osp.basename(path).startswith('isw_')
    assert (cfg.model.type == 'ISWEncoderDecoder') == named
    assert ('isw' in cfg.default_hooks) == named
    if named:
        assert 0 < cfg.default_hooks.isw.begin_iter < cfg.train_cfg.max_iters / 2


@pytest.mark.parametrize('plain', [p for p in PATHS if not osp.basename(p).startswith('isw_')])
def test_whitening_is_the_only_difference_of_a_pair(plain):
    with_isw = load_config(osp.join(osp.dirname(plain), 'isw_' + osp.basename(plain))).to_dict()
    without = load_config(plain).to_dict()
    assert with_isw['model'].pop('type') != without['model'].pop('type')
    del with_isw['default_hooks']['isw']
    assert with_isw == without
