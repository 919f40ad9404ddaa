"""Export a model by torch.export and check the file, which torch runs without this package.

python tools/deployment/export_pt2.py CONFIG CHECKPOINT OUT.pt2 --size 1024x2048 --compile
"""

import argparse
from collections.abc import Sequence

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.deploy.export.command_line import begin_export, export_parser, shared_arguments
from sfnet_mm.deploy.export.pt2 import export_pt2
from sfnet_mm.deploy.model import load_model
from sfnet_mm.utils.config import is_panoptic
from sfnet_mm.utils.tooling import one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = export_parser('Export a model by torch.export', '.pt2')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile it by AOTInductor for this processor; needs a C++ compiler',
    )
    return parser.parse_args(argv)


@one_error_line(RuntimeError)
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if is_panoptic(args.config):
        raise ValueError(f'{args.config} is panoptic: it is exported to ONNX only')
    model = load_model(args.config, begin_export(args))
    found = export_pt2(model, **shared_arguments(args), compiled=args.compile)
    print(f'file against torch, {found}\ndone: {args.out}')


if __name__ == '__main__':
    main()
