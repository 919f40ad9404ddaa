"""Build a TensorRT engine from a file of export_onnx.py and check it against ONNX Runtime.

python tools/deployment/build_trt.py model.onnx model.engine --fp16
"""

import argparse
import json
import os.path as osp
import tempfile
from collections.abc import Sequence

import numpy as np

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.deploy.export.parity import AGREEMENT, parity
from sfnet_mm.deploy.runtimes import OnnxRuntime, TensorRTRuntime
from sfnet_mm.utils.tooling import atomic_file, one_error_line, require, write_text

# TensorRT has GridSample since this version.
OLDEST = (8, 5)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Build a TensorRT engine')
    parser.add_argument('onnx', help='a file of export_onnx.py with a fixed size')
    parser.add_argument('engine', help='the file to write, ending in .engine')
    parser.add_argument('--fp16', action='store_true', help='allow float16')
    parser.add_argument('--workspace', type=int, default=4, help='memory of the build in GiB')
    return parser.parse_args(argv)


def trtexec(args: argparse.Namespace) -> str:
    """Return the command of TensorRT's own tool for the same build."""
    line = f'trtexec --onnx={args.onnx} --saveEngine={args.engine}'
    line += f' --memPoolSize=workspace:{args.workspace * 1024}'
    return line + (' --fp16' if args.fp16 else '')


def build(trt, path: str, fp16: bool, workspace: int) -> bytes:
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    # Version 10 has only explicit batches, so it has no flag for them.
    flag = getattr(trt.NetworkDefinitionCreationFlag, 'EXPLICIT_BATCH', None)
    network = builder.create_network(0 if flag is None else 1 << int(flag))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(path):
        raise ValueError(f'TensorRT cannot read {path}: {parser.get_error(0)}')
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace << 30)
    if fp16:
        config.set_flag(trt.BuilderFlag.FP16)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise RuntimeError(f'TensorRT built no engine of {path}: its log says why')
    return bytes(engine)


def write_engine(path: str, engine: bytes, meta: dict) -> None:
    """Write an engine and its metadata beside it for TensorRTRuntime."""
    write_text(f'{path}.json', json.dumps(meta))
    with atomic_file(path) as temporary, open(temporary, 'wb') as file:
        file.write(engine)


@one_error_line(RuntimeError)
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    print(trtexec(args), flush=True)
    trt = require('tensorrt', 'see docs/deployment.md', 'TensorRT')
    version = tuple(int(v) for v in trt.__version__.split('.')[:2])
    if version < OLDEST:
        raise ImportError(f'TensorRT {trt.__version__} has no GridSample: 8.5 or later has')
    if not args.engine.endswith('.engine'):
        raise ValueError(f'{args.engine} must end in .engine')
    reference = OnnxRuntime(args.onnx)
    if reference.meta['size'] is None:
        raise ValueError(f'{args.onnx} has an open size: export it without --dynamic')
    engine = build(trt, args.onnx, args.fp16, args.workspace)
    shape = (*reference.meta['size'], reference.channels)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    data = reference.prepare(image)
    with tempfile.TemporaryDirectory() as folder:
        unchecked = osp.join(folder, 'unchecked.engine')
        write_engine(unchecked, engine, reference.meta)
        expected, got = reference.infer(data), TensorRTRuntime(unchecked).infer(data)
    same = parity(expected, got, shape[:2], reference.meta.get('threshold')).agreement
    print(f'TensorRT against ONNX Runtime: classes agree on {same:.4%}')
    if same < AGREEMENT['float16' if args.fp16 else 'float32']:
        raise RuntimeError(
            f'the engine agrees with ONNX Runtime on {same:.4%} of the classes only, nothing was '
            'written: build it without --fp16, or by the command above'
        )
    write_engine(args.engine, engine, reference.meta)
    print(f'done: {args.engine}')


if __name__ == '__main__':
    main()
