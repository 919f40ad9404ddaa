"""Export a model by torch.export and check the file, which torch runs without this package.

python tools/deployment/export_pt2.py CONFIG CHECKPOINT OUT.pt2 --size 1024x2048 --compile
"""

import argparse
from typing import Optional, Sequence

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.deploy.export.pt2 import export_pt2
from sfnet_mm.deploy.model import load_model
from sfnet_mm.utils.config import is_panoptic
from sfnet_mm.utils.tooling import check_folder, image_size, one_error_line


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Export a model by torch.export')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint; "none" exports random weights')
    parser.add_argument('out', help='the file to write, ending in .pt2')
    parser.add_argument('--size', type=image_size, default=(1024, 2048), help='HEIGHTxWIDTH')
    parser.add_argument('--output', choices=['argmax', 'logits'], default='argmax')
    parser.add_argument('--output-size', choices=['full', 'stride'], default='full')
    parser.add_argument('--normalize', action='store_true', help='take raw images')
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile it by AOTInductor for this processor; needs a C++ compiler',
    )
    return parser.parse_args(argv)


@one_error_line(RuntimeError)
def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    check_folder(args.out)
    if is_panoptic(args.config):
        raise ValueError(f'{args.config} is panoptic: it is exported to ONNX only')
    checkpoint = None if args.checkpoint == 'none' else args.checkpoint
    print(f'exporting {args.config} at {args.size[0]}x{args.size[1]} ...', flush=True)
    found = export_pt2(
        load_model(args.config, checkpoint),
        args.out,
        args.size,
        args.output,
        args.output_size,
        args.normalize,
        args.compile,
    )
    print(f'file against torch, {found}\ndone: {args.out}')


if __name__ == '__main__':
    main()
