"""Defines the command line options that the export tools share."""

import argparse
from typing import Any

from sfnet_mm.utils.tooling import check_out_file, image_size


def export_parser(description: str, suffix: str) -> argparse.ArgumentParser:
    """Make a parser with the shared options.

    Args:
        description: Text of the help page.
        suffix: Suffix of the file to write.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint; "none" exports random weights')
    parser.add_argument('out', help=f'the file to write, ending in {suffix}')
    parser.add_argument('--size', type=image_size, default=(1024, 2048), help='HEIGHTxWIDTH')
    parser.add_argument(
        '--output', choices=['argmax', 'logits'], default='argmax', help='output of the graph'
    )
    parser.add_argument(
        '--output-size',
        choices=['full', 'stride'],
        default='full',
        help='size of the output: that of the image, or of the finest feature map',
    )
    parser.add_argument(
        '--normalize',
        action='store_true',
        help='take raw images (N, H, W, 3) uint8, BGR, and normalize them in the graph',
    )
    return parser


def begin_export(args: argparse.Namespace) -> str | None:
    """Check the folder of the file, print what is exported, and return the checkpoint, or None."""
    check_out_file(args.out)
    print(f'exporting {args.config} at {args.size[0]}x{args.size[1]} ...', flush=True)
    return None if args.checkpoint == 'none' else args.checkpoint


def shared_arguments(args: argparse.Namespace) -> dict[str, Any]:
    """Return the keyword arguments that all export functions of segmentors take."""
    return dict(
        path=args.out,
        size=args.size,
        output=args.output,
        output_size=args.output_size,
        normalize=args.normalize,
    )
