"""Print parameters and multiply-adds at inference beside those of the paper.

    python tools/analysis_tools/get_flops.py configs/sfnet_stdc1_cityscapes.py
    python tools/analysis_tools/get_flops.py --all

Parameters are those that the logits depend on: auxiliary heads and deep supervision are not
counted. Multiply-adds are those of convolutions and matrix products up to the logits, which are
about 99 % of the work. Those of warping, pooling, interpolation and normalization are not counted.
Tensors have shapes and no memory, so that any size is possible.
"""

import argparse
import logging
import os.path as osp
import warnings
from collections.abc import Sequence
from typing import Any

from mmengine.logging import MMLogger

import sfnet_mm  # noqa: F401  registers the models
from sfnet_mm.config_files import config_path
from sfnet_mm.model_zoo.counts import build, multiply_adds, parameters_at_inference
from sfnet_mm.model_zoo.paper import difference, paper_rows
from sfnet_mm.utils.tooling import file_stem, image_size, one_error_line

HEADER = ('config', 'parameters', 'paper', 'multiply-adds', 'paper')


def network_size(text: str) -> tuple[int, int]:
    """Parse ``HEIGHTxWIDTH`` of at least one pixel at stride 32."""
    size = image_size(text)
    if min(size) < 32:
        raise argparse.ArgumentTypeError(f'{text} is smaller than 32x32')
    return size


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
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


def figures_for(config: str) -> dict[str, Any]:
    """Find the paper's figures for a config: ``params_m``, ``gflops`` and its ``size``.

    A model is the same on every data set, so figures that its rows lack come from Cityscapes.
    """
    name = file_stem(config)
    figures: dict[str, Any] = {}
    for wanted in (name, f'{name.rsplit("_", 1)[0]}_cityscapes'):
        for _, row in paper_rows(wanted):
            if row.figures.get('gflops') is not None and 'gflops' not in figures:
                figures.update(gflops=row.figures['gflops'], size=row.size, config=row.config)
            if row.figures.get('params_m') is not None and 'params_m' not in figures:
                figures.update(params_m=row.figures['params_m'], config=row.config)
    return figures


def row(config: str, size: tuple[int, int], paper: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return the cells of a row and the remarks under the table."""
    model = build(config)
    name = file_stem(config)
    cells = [
        name,
        f'{parameters_at_inference(model) / 1e6:.3f}M',
        f'{paper["params_m"]}M' if 'params_m' in paper else '-',
        f'{multiply_adds(model, size) / 1e9:.1f}G',
        f'{paper["gflops"]}G' if 'gflops' in paper else '-',
    ]
    remarks = []
    if 'gflops' in paper and image_size(paper['size']) != size:
        here = multiply_adds(model, image_size(paper['size'])) / 1e9
        remarks.append(
            f"multiply-adds: the paper's figure belongs to {paper['size']}, here {here:.1f}G"
        )
    for column, what in (('params_m', 'parameters'), ('gflops', 'multiply-adds')):
        known = difference(column, paper['config']) if column in paper else None
        if known:
            remarks.append(f"{what}: the paper's figure {known['why']}")
    return cells, remarks


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    warnings.simplefilter('ignore')
    MMLogger.get_instance('mmengine').setLevel(logging.ERROR)
    configs = list(args.configs)
    if args.all:
        rows = [row.config for table, row in paper_rows('sfnet*') if table.number in ('3', '11')]
        configs += [config_path(name) for name in dict.fromkeys(rows)]
    widths = [max([len(HEADER[0])] + [len(osp.basename(c)) - 3 for c in configs]), 10, 8, 13, 8]

    def line(cells: Sequence[str]) -> str:
        return cells[0].ljust(widths[0]) + ''.join(
            '  ' + c.rjust(w) for c, w in zip(cells[1:], widths[1:])
        )

    print(f'multiply-adds of an image of {args.size[0]}x{args.size[1]}')
    print(line(HEADER))
    for config in configs:
        cells, remarks = row(config, args.size, figures_for(config))
        print(line(cells), flush=True)
        for remark in remarks:
            print(f'    {remark}', flush=True)


if __name__ == '__main__':
    main()
