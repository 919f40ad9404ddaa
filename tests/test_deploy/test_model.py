import copy
import warnings
from types import SimpleNamespace

import pytest
from helpers import load_config

from sfnet_mm.deploy.model import load_model, sliding_windows


def test_a_cascade_of_heads_is_loaded_and_its_config_stays_as_it_is():
    cfg = load_config('configs/baselines/ocrnet_r50_cityscapes.py')
    cfg.test_dataloader = cfg.val_dataloader = cfg.train_dataloader = None
    before = copy.deepcopy(cfg.to_dict())
    model = load_model(cfg, None)
    assert len(model.decode_head) == 2 and len(model.dataset_meta['classes']) == 19
    assert cfg.to_dict() == before


def test_a_model_is_loaded_without_the_warnings_that_every_model_gives():
    # STDC's heads have the biases of the published checkpoints, and mmseg builds all of its losses
    # by a name that it has deprecated itself.
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter('always')
        load_model('configs/sfnet_lite_stdc1_cityscapes.py', None)
        warnings.warn('another one', stacklevel=1)
    texts = [str(w.message) for w in given]
    assert not [t for t in texts if 'build_loss' in t or 'conv bias' in t]
    assert texts[-1] == 'another one'


@pytest.mark.parametrize(
    'test_cfg', [dict(mode='hole'), dict(mode='slide'), dict(mode='slide', crop_size=(8, 8))]
)
def test_windows_that_are_not_defined(test_cfg):
    with pytest.raises(ValueError, match="or 'slide' with crop_size and stride"):
        sliding_windows(SimpleNamespace(test_cfg=test_cfg))
