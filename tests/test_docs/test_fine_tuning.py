"""``docs/fine_tuning.md``: its configs train on a drawn folder, from the weights of the package."""

import pytest
import torch
from doc_blocks import blocks, run, write
from drawn_folder import SHORTER, draw_folder

from sfnet_mm import weights_path
from sfnet_mm.checkpoints import load_checkpoint_file
from sfnet_mm.engine.runner import DataFirstRunner
from sfnet_mm.utils.config import load_config

PAGE = 'docs/fine_tuning.md'
pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that the page on own data leaves, and the configs of this page."""
    draw_folder(tmp_path / 'data' / 'mine', 6)
    (tmp_path / 'data/mine/train.txt').write_text('a\nb\nc\nd')
    (tmp_path / 'data/mine/val.txt').write_text('e\nf')
    custom = [b for b in blocks('docs/custom_data.md') if b.about == 'my_config.py']
    for block in custom + [b for b in blocks(PAGE) if b.kind == 'file']:
        write(block, tmp_path, *(SHORTER if block in custom else ()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(config, **options):
    """The runner after a training of two iterations, without a validation."""
    options = {'train_cfg.max_iters': 2, 'train_cfg.val_interval': 9, **options}
    cfg = load_config(config, options, f'work_dirs/{config}', 'none')
    runner = DataFirstRunner.from_cfg(cfg)
    runner.train()
    return runner


def changed(runner, part):
    """Whether some weight of a part of the model differs from the weights of the package."""
    loaded = load_checkpoint_file(weights_path('camvid'))['state_dict']
    return [
        name
        for name, value in runner.model.named_parameters()
        if name.startswith(part) and not torch.equal(value.cpu(), loaded[name].float())
    ]


def test_the_config_stops_early_and_keeps_the_frozen_stages(folder):
    # A rise that no score can have, so that the second validation ends the run.
    block = next(b for b in blocks(PAGE) if b.about == 'fine_tune.py')
    write(block, folder, ('min_delta=0.1, patience=5', 'min_delta=101, patience=1'))
    block = next(b for b in blocks(PAGE) if 'tools/train.py' in b.text)
    short = '--cfg-options train_cfg.max_iters=20 train_cfg.val_interval=1 --work-dir'
    printed = run(block, folder, ('--work-dir', short))
    # The first validation sets the score, the second does not raise it by so much.
    assert printed.count('mIoU: ') == 2 and 'metric did not improve' in printed
    checkpoint = load_checkpoint_file(next(folder.glob('work_dirs/fine_tune/best_mIoU_*.pth')))
    loaded = load_checkpoint_file(weights_path('camvid'))['state_dict']
    state = checkpoint['state_dict']
    backbone = [k for k in state if k.startswith('backbone.') and 'num_batches' not in k]
    same = {k for k in backbone if torch.equal(state[k], loaded[k].float())}
    statistics = {k for k in backbone if k.endswith(('running_mean', 'running_var'))}
    assert statistics <= same, 'norm_eval keeps the statistics'
    assert any('stem' in k for k in same - statistics), 'the stem is frozen'
    assert set(backbone) - same, 'the last stages learn'


def test_a_rate_of_zero_keeps_the_backbone(folder):
    runner = trained('still_backbone.py')
    assert not changed(runner, 'backbone') and changed(runner, 'decode_head.fpn')


def test_crops_around_rare_classes(folder):
    runner = trained('uniform.py')
    assert type(runner.train_dataloader.dataset).__name__ == 'ClassUniformDataset'
    assert runner.iter == 2


def test_the_model_of_python_says_what_it_drops(folder):
    block = next(b for b in blocks(PAGE) if 'create_model(' in b.text and b.kind == 'runs')
    said = block.text.split('# ... ')[1].strip()
    assert said in ' '.join(run(block, folder).split())
