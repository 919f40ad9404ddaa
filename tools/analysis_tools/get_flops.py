"""Print parameters and multiply-adds at inference, beside those that the paper prints.

    python tools/analysis_tools/get_flops.py configs/sfnet_stdc1_cityscapes.py
    python tools/analysis_tools/get_flops.py --all

Parameters are those that the logits depend on: auxiliary heads and deep supervision are not
counted. Multiply-adds are those of convolutions and matrix products up to the logits, which is
where all but a percent of the work is; warping, pooling, interpolation and normalization have none.
Nothing is computed for this (tensors have shapes and no memory), so that any size can be asked for.
"""

import argparse
import logging
import os.path as osp
import sys
import warnings
from typing import Dict, List, Optional, Sequence, Tuple

import torch
import yaml
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmseg.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import sfnet_mm  # noqa: F401  registers the models
from sfnet_mm.deploy.model import input_channels
from sfnet_mm.utils import fit_to_cpu, read_config
from sfnet_mm.utils.tooling import image_size

ROOT = osp.dirname(osp.dirname(osp.dirname(osp.abspath(__file__))))
HEADER = ('config', 'parameters', 'paper', 'multiply-adds', 'paper')


def network_size(text: str) -> Tuple[int, int]:
    """``HEIGHTxWIDTH`` of at least one pixel at stride 32."""
    size = image_size(text)
    if min(size) < 32:
        raise argparse.ArgumentTypeError(f'{text} is smaller than 32x32')
    return size


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='*', help='configs of segmentors')
    parser.add_argument('--all', action='store_true', help="all models of the paper's tables")
    parser.add_argument(
        '--size', type=network_size, default=(1024, 2048), help='HEIGHTxWIDTH of the image'
    )
    args = parser.parse_args(argv)
    if not args.configs and not args.all:
        parser.error('name a config, or --all')
    return args


def build(config: str) -> nn.Module:
    """The segmentor of a config, on torch's ``meta`` device."""
    cfg = read_config(config)
    fit_to_cpu(cfg)
    init_default_scope(cfg.get('default_scope', 'mmseg'))
    model = MODELS.build(cfg.model).eval().to('meta')
    if not hasattr(model, 'encode_decode'):
        raise ValueError(f'config {config} builds a {type(model).__name__}, not a segmentor')
    return model


def multiply_adds(model: nn.Module, size: Tuple[int, int]) -> int:
    """Of one image of this size, up to the logits of the decode head."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, input_channels(model), *size, device='meta'), mode='tensor')
    return counter.get_total_flops() // 2


def parameters_at_inference(model: nn.Module) -> int:
    """Parameters on which the logits depend."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    logits = model(torch.empty(1, input_channels(model), 128, 128, device='meta'), mode='tensor')
    if isinstance(logits, tuple):  # DANet: the sum of both branches, and each
        logits = logits[0]
    gradients = torch.autograd.grad(logits.sum(), parameters, allow_unused=True)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    return frozen + sum(p.numel() for p, g in zip(parameters, gradients) if g is not None)


def paper_figures() -> Dict[str, Dict]:
    """Config -> what the paper prints about it, from ``configs/metafile.yml``; in its order."""
    with open(osp.join(ROOT, 'configs', 'metafile.yml')) as f:
        models = yaml.safe_load(f)['Models']
    return {m['Config']: m.get('Published', {}) for m in models}


def figures_for(config: str, figures: Dict[str, Dict]) -> Dict:
    """The paper's figures of a config; a model is the same on every data set."""
    name = osp.splitext(osp.basename(config))[0]
    method = name.rsplit('_', 1)[0]
    return figures.get(f'configs/{method}_cityscapes.py', {})


def row(config: str, size: Tuple[int, int], paper: Dict) -> Tuple[List[str], List[str]]:
    """Cells of the table and the remarks under it."""
    model = build(config)
    name = osp.splitext(osp.basename(config))[0]
    fits = image_size(paper['Input']) if 'Input' in paper else None
    cells = [
        name,
        f'{parameters_at_inference(model) / 1e6:.3f}M',
        f'{paper["Parameters"]}M' if 'Parameters' in paper else '-',
        f'{multiply_adds(model, size) / 1e9:.1f}G',
        f'{paper["Multiply-adds"]}G' if 'Multiply-adds' in paper else '-',
    ]
    remarks = []
    if 'Parameters note' in paper:
        remarks.append(f"parameters: the paper's figure {paper['Parameters note']}")
    if fits and fits != size:
        here = multiply_adds(model, fits) / 1e9
        remarks.append(
            f"multiply-adds: the paper's figure belongs to {paper['Input']}, here {here:.1f}G"
        )
    if 'Multiply-adds note' in paper:
        remarks.append(f"multiply-adds: the paper's figure {paper['Multiply-adds note']}")
    return cells, remarks


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    warnings.simplefilter('ignore')
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    figures = paper_figures()
    configs = list(args.configs)
    if args.all:
        configs += [osp.join(ROOT, c) for c in figures if c.endswith('_cityscapes.py')]
    widths = [max([len(HEADER[0])] + [len(osp.basename(c)) - 3 for c in configs]), 10, 8, 13, 8]

    def line(cells: Sequence[str]) -> str:
        return cells[0].ljust(widths[0]) + ''.join(
            '  ' + c.rjust(w) for c, w in zip(cells[1:], widths[1:])
        )

    print(f'multiply-adds of an image of {args.size[0]}x{args.size[1]}')
    print(line(HEADER))
    for config in configs:
        try:
            cells, remarks = row(config, args.size, figures_for(config, figures))
        except (ValueError, OSError) as e:
            sys.exit(f'error: {e}')
        print(line(cells), flush=True)
        for remark in remarks:
            print(f'    {remark}', flush=True)


if __name__ == '__main__':
    main()
