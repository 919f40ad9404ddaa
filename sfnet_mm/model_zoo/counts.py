"""Counts parameters and multiply-adds of the networks of configs, without computing anything.

Parameters are those that the logits depend on: auxiliary heads and deep supervision are not
counted. Multiply-adds are those of convolutions and matrix products up to the logits, which are all
but a percent of the work; those of warping, pooling, interpolation and normalization are not
counted. The logits of a panoptic model are the classes and masks of its kernels. Counting all
models takes minutes, so the counts are kept in ``docs/benchmarks/complexity.json``.
"""

from __future__ import annotations

import json
import os.path as osp
import sys
from typing import Any

import torch
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn

from sfnet_mm.benchmark import complexity
from sfnet_mm.deploy.inference.optimize import main_output
from sfnet_mm.deploy.model import input_channels
from sfnet_mm.utils.config import fit_to_cpu, read_config
from sfnet_mm.utils.tooling import image_size, read_json, write_text

from .metafiles import own_size
from .paper import paper_rows

COMPLEXITY = 'docs/benchmarks/complexity.json'


def build(config: str) -> nn.Module:
    """Build the segmentor of a config on torch's ``meta`` device, or its panoptic model.

    Raises:
        ImportError: It is a panoptic model, and mmdet is not installed.
        ValueError: The config builds something else.
    """
    cfg = read_config(config)
    if cfg.get('default_scope') == 'mmdet':
        from sfnet_mm.panoptic.export import load_panoptic

        return load_panoptic(cfg)
    fit_to_cpu(cfg)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = MODELS.build(cfg.model).eval().to('meta')
    if not hasattr(model, 'encode_decode'):
        raise ValueError(f'config {config} builds a {type(model).__name__}, not a segmentor')
    return model


def multiply_adds(model: nn.Module, size: tuple[int, int]) -> int:
    """Count multiply-adds for one image of this size (height, width), up to the logits."""
    if not hasattr(model, 'encode_decode'):
        return complexity.complexity(model, size)[1]
    image = torch.empty(1, input_channels(model), *size, device='meta')
    with torch.no_grad():
        return complexity.multiply_adds(lambda: model(image, mode='tensor'))


def parameters_at_inference(model: nn.Module) -> int:
    """Count the parameters on which the logits depend; of a panoptic model, all that run."""
    if not hasattr(model, 'encode_decode'):
        return complexity.parameters(model)
    parameters = [p for p in model.parameters() if p.requires_grad]
    image = torch.empty(1, input_channels(model), 128, 128, device='meta')
    logits = main_output(model(image, mode='tensor'))
    gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    return frozen + sum(p.numel() for p, g in zip(parameters, gradients) if g is not None)


def read_counts(root: str) -> dict[str, dict[str, Any]]:
    """Read ``parameters`` and ``multiply_adds`` (by height x width) by base name of a config."""
    path = osp.join(root, COMPLEXITY)
    return read_json(path) if osp.isfile(path) else {}


def write_counts(root: str, counts: dict[str, dict[str, Any]]) -> None:
    """Store what :func:`read_counts` reads."""
    write_text(osp.join(root, COMPLEXITY), json.dumps(counts, indent=1, sort_keys=True) + '\n')


def sizes_to_count(models: dict[str, Any], files: dict[str, str]) -> dict[str, list[str]]:
    """Find the sizes, height x width, of the paper's rows and of the data, by base name."""
    wanted: dict[str, set[str]] = {}
    for _, row in paper_rows():
        for name in (row.config, *row.also):
            if name in files:
                wanted.setdefault(name, set()).add(row.size)
    for name, model in models.items():
        wanted.setdefault(name, set()).add(own_size(model))
    return {name: sorted(sizes) for name, sizes in wanted.items()}


def count(config: str, sizes: list[str]) -> dict[str, Any]:
    """Count the parameters of a config and its multiply-adds at some sizes."""
    network = build(config)
    return {
        'parameters': parameters_at_inference(network),
        'multiply_adds': {size: multiply_adds(network, image_size(size)) for size in sizes},
    }


def update_counts(
    root: str,
    files: dict[str, str],
    wanted: dict[str, list[str]],
    stored: dict[str, Any],
    only_look: bool = False,
) -> tuple[dict[str, Any], list[str]]:
    """Count the wanted figures that are not stored.

    Returns:
        tuple: All wanted counts, and the names of configs without counts, which exist only with
        ``only_look``.
    """
    known = {name: counts['multiply_adds'] for name, counts in stored.items()}
    new = [name for name, sizes in wanted.items() if set(sizes) - set(known.get(name, ()))]
    counts = {name: stored[name] for name in wanted if name not in new}
    if only_look:
        return counts, new
    for i, name in enumerate(new, 1):
        print(f'\r{i}/{len(new)} {name:60}', end='', file=sys.stderr, flush=True)
        counts[name] = count(osp.join(root, files[name]), wanted[name])
    if new:
        print(file=sys.stderr)
    return {name: counts[name] for name in wanted}, []
