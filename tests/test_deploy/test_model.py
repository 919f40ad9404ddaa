import copy

from helpers import load_config

from sfnet_mm.deploy.model import load_model


def test_a_cascade_of_heads_is_loaded_and_its_config_stays_as_it_is():
    cfg = load_config('configs/baselines/ocrnet_r50_cityscapes.py')
    cfg.test_dataloader = cfg.val_dataloader = cfg.train_dataloader = None
    before = copy.deepcopy(cfg.to_dict())
    model = load_model(cfg, None)
    assert len(model.decode_head) == 2 and len(model.dataset_meta['classes']) == 19
    assert cfg.to_dict() == before
