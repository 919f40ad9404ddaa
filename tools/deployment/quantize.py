"""Write an ONNX file in INT8, calibrated and scored on the data of a config.

    python tools/deployment/quantize.py model.onnx model_int8.onnx --runtime openvino \
        --calibration configs/sfnet_efflite0_camvid360.py

The file appears only if it loses at most --max-drop points of mIoU on val. A file of another
project needs --classes, --mean and --std.
"""

import argparse
import os.path as osp
from collections.abc import Sequence

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.deploy.export.float_parts import PARTS
from sfnet_mm.deploy.export.foreign import with_metadata
from sfnet_mm.deploy.export.quantization import TARGETS, quantize
from sfnet_mm.utils.config import read_config
from sfnet_mm.utils.tooling import check_out_file, one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Quantize an ONNX file')
    parser.add_argument('model', help='a float32 file of export_onnx.py or of another project')
    parser.add_argument('out', help='the file to write, ending in .onnx')
    parser.add_argument('--runtime', choices=TARGETS, required=True, help='runtime of the file')
    parser.add_argument(
        '--calibration',
        required=True,
        metavar='CONFIG',
        help='config whose training images calibrate, and whose val set scores',
    )
    parser.add_argument('--samples', type=int, default=300, help='number of training images')
    parser.add_argument(
        '--max-drop', type=float, default=1.0, help='largest loss, in points of mIoU'
    )
    parser.add_argument(
        '--keep',
        default=','.join(PARTS),
        help=f'parts that stay in float: some of {",".join(PARTS)}, or none',
    )
    parser.add_argument(
        '--rounds', type=int, default=30, help='number of rounds of the comparison of speed'
    )
    parser.add_argument(
        '--threads', type=int, default=0, help='number of threads; 0 leaves it to the runtime'
    )
    foreign = parser.add_argument_group('a file without metadata of sfnet_mm')
    foreign.add_argument('--classes', help='names of the classes in order, separated by commas')
    foreign.add_argument('--mean', type=float, nargs='+', help='mean of each channel')
    foreign.add_argument('--std', type=float, nargs='+', help='standard deviation of each channel')
    foreign.add_argument('--bgr', action='store_true', help='input of the file in BGR, not RGB')
    return parser.parse_args(argv)


@one_error_line(RuntimeError)
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    check_out_file(args.out)
    if osp.realpath(args.out) == osp.realpath(args.model):
        raise ValueError(f'{args.out} is the file to quantize: name another file to write')
    cfg = read_config(args.calibration)
    keep = [] if args.keep == 'none' else args.keep.split(',')
    classes = args.classes.split(',') if args.classes else None
    with with_metadata(args.model, cfg, classes, args.mean, args.std, args.bgr) as path:
        found = quantize(
            path,
            args.out,
            args.runtime,
            cfg,
            args.samples,
            args.max_drop,
            keep,
            args.rounds,
            args.threads,
        )
    print(f'\n{found}')
    if args.runtime == 'tensorrt':
        engine = f'{args.out[: -len(".onnx")]}.engine'
        print(f'build: python tools/deployment/build_trt.py {args.out} {engine}')
    print(f'done: {args.out}')


if __name__ == '__main__':
    main()
