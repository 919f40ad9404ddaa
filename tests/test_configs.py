"""Every config of the zoo builds, forwards and takes one training step."""

import ast
import glob
import os.path as osp
import re

import pytest
import torch
from helpers import (
    ROOT,
    build_segmentor,
    config_paths,
    load_config,
    read_text,
    segmentation_samples,
)

from sfnet_mm.deploy.inference.optimize import main_output
from sfnet_mm.model_zoo.counts import parameters_at_inference, read_counts
from sfnet_mm.utils.config_parts import data_sets, parts

SEGMENTATION = [p for p in config_paths() if p.split(osp.sep)[1] != 'panoptic']
# Two images: pooling to one cell leaves one value per channel and image for BN.
BATCH, HEIGHT, WIDTH = 2, 64, 96


CONFIGS = {path: load_config(path) for path in SEGMENTATION}


def networks():
    """The first config of every network that differs in more than its number of classes."""
    first = {}
    for path, cfg in CONFIGS.items():
        network = {k: v for k, v in cfg.model.items() if k != 'data_preprocessor'}
        first.setdefault(re.sub(r"'num_classes': \d+", '', repr(network)), path)
    return list(first.values())


@pytest.mark.parametrize('path', networks())
def test_config_trains_and_predicts(path):
    cfg = CONFIGS[path]
    model = build_segmentor(cfg)
    num_classes = parts(cfg.model.decode_head)[-1].num_classes
    model.train()
    image = torch.rand(BATCH, 3, HEIGHT, WIDTH)
    samples = segmentation_samples(BATCH, HEIGHT, WIDTH, num_classes)
    losses = model.loss(image, samples)
    total = sum(v for k, v in losses.items() if 'loss' in k)
    assert torch.isfinite(total) and total > 0
    total.backward()
    without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without, f'parameters that the loss does not reach: {without}'

    model.eval()
    with torch.no_grad():
        logits = main_output(model(image, mode='tensor'))
        result = model.predict(image, segmentation_samples(BATCH, HEIGHT, WIDTH, num_classes))
    assert logits.shape[:2] == (BATCH, num_classes)
    assert result[0].pred_sem_seg.data.shape == (1, HEIGHT, WIDTH)
    # The zoo compares this number with the paper's.
    stored = read_counts(ROOT)[osp.splitext(osp.basename(path))[0]]['parameters']
    assert parameters_at_inference(model.to('meta')) == stored


def test_test_pipelines_are_what_the_inferencer_looks_for():
    # MMSegInferencer puts its own loader in the place of the step of this name.
    for path, cfg in CONFIGS.items():
        (dataset,) = data_sets(cfg.test_dataloader)
        assert 'LoadImageFromFile' in [step.type for step in dataset.pipeline], path


def test_base_names_are_unique():
    # mim finds a config by its base name.
    names = [osp.basename(p) for p in config_paths()]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)


@pytest.mark.parametrize('path', config_paths())
def test_config_is_a_diff(path):
    text = read_text(path)
    code = [line for line in text.splitlines() if line.strip() and not line.startswith('#')]
    assert len(code) <= 35, f'{len(code)} lines: put what is shared into a base'
    assert '::' not in text, 'bases of another package resolve in one host family only'


def test_no_config_repeats_a_backbone():
    # One that replaces another is written once, in a base or in the only config that has it.
    found = {}
    for path in glob.glob(osp.join(ROOT, 'configs', '**', '*.py'), recursive=True):
        for node in ast.walk(ast.parse(read_text(path))):
            if isinstance(node, ast.keyword) and node.arg == 'backbone':
                arguments = {k.arg: ast.unparse(k.value) for k in node.value.keywords}
                if arguments.pop('_delete_', None):
                    arguments['norm_cfg'] = arguments.get('norm_cfg', '').replace('_base_.', '')
                    key = tuple(sorted(arguments.items()))
                    found.setdefault(key, []).append(osp.relpath(path, ROOT))
    repeated = {key: sorted(paths) for key, paths in found.items() if len(paths) > 1}
    assert not repeated, '\n'.join(f'{dict(k)}: {", ".join(p)}' for k, p in repeated.items())
