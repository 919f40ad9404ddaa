"""Export a model to ONNX and check the file in ONNX Runtime against torch.

python tools/deployment/export_onnx.py CONFIG CHECKPOINT OUT.onnx --size 1024x2048
"""

import argparse
from collections.abc import Sequence

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.deploy.export import export_onnx
from sfnet_mm.deploy.export.command_line import begin_export, export_parser, shared_arguments
from sfnet_mm.deploy.export.onnx_graph import OPSET, count_nodes
from sfnet_mm.deploy.export.opsets import GRID_SAMPLE, OLDEST
from sfnet_mm.deploy.export.portable_warp import WARPS
from sfnet_mm.deploy.model import load_model
from sfnet_mm.ops.exporting import RUNTIMES
from sfnet_mm.utils.config import is_panoptic
from sfnet_mm.utils.tooling import one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = export_parser('Export a model to ONNX', '.onnx')
    parser.add_argument('--dynamic', action='store_true', help='leave batch and image size open')
    parser.add_argument(
        '--fp16', action='store_true', help='compute in float16, except for the warp'
    )
    parser.add_argument(
        '--runtime',
        choices=RUNTIMES,
        default='onnxruntime',
        help='runtime in which the file is fast; its output is the same in each',
    )
    parser.add_argument(
        '--warp',
        choices=WARPS,
        default=WARPS[0],
        help='the operator of the warp; gather: arithmetic and Gather, for compilers without '
        'GridSample',
    )
    parser.add_argument(
        '--opset',
        type=int,
        choices=range(OLDEST, OPSET + 1),
        default=OPSET,
        help=f'opset; {GRID_SAMPLE} or later except with --warp gather',
    )
    return parser.parse_args(argv)


def export(args: argparse.Namespace, checkpoint: str | None) -> list:
    if is_panoptic(args.config):
        from sfnet_mm.panoptic.export import export_panoptic_onnx, load_panoptic

        # A panoptic graph always ends in scores and masks.
        model = load_panoptic(args.config, checkpoint)
        return export_panoptic_onnx(model, args.out, args.size, args.runtime, args.warp, args.opset)
    return export_onnx(
        load_model(args.config, checkpoint),
        **shared_arguments(args),
        dynamic=args.dynamic,
        fp16=args.fp16,
        runtime=args.runtime,
        warp=args.warp,
        opset=args.opset,
    )


@one_error_line(RuntimeError)
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    parities = export(args, begin_export(args))
    for parity in parities:
        print(f'ONNX Runtime against torch, {parity}')
    print(f'done: {args.out}, {count_nodes(args.out)} GridSample')


if __name__ == '__main__':
    main()
