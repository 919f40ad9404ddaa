"""Time models side by side on this machine.

    python tools/analysis_tools/benchmark.py configs/sfnet_lite_stdc1_cityscapes.py \
        --backend authors,native,optimize,onnxruntime --peers all --twins --out benchmark.json

Every entry turns a normalized image into a map of classes of the image's size. Batch normalization
is folded except for ``authors``, the authors' own composition. Auxiliary heads are removed, and
rounds are interleaved. The tool writes JSON, a Markdown table and a plot of accuracy over speed.
"""

import argparse
import datetime
import os.path as osp
from collections.abc import Sequence

import torch

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from mmengine.registry import init_default_scope

from sfnet_mm.benchmark.accuracy_plot import plot
from sfnet_mm.benchmark.backends import BACKENDS, Settings, add_precisions, parse_backends
from sfnet_mm.benchmark.foreign import parse_onnx_files
from sfnet_mm.benchmark.machine import device_name
from sfnet_mm.benchmark.models import run_benchmark
from sfnet_mm.benchmark.peers import PEERS, without_flow
from sfnet_mm.benchmark.report import markdown
from sfnet_mm.utils.arguments import check_least
from sfnet_mm.utils.config_parts import run_config
from sfnet_mm.utils.tooling import (
    check_out_file,
    file_stem,
    image_size,
    one_error_line,
    write_json,
    write_text,
)


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Time models side by side')
    parser.add_argument('configs', nargs='*', metavar='CONFIG')
    parser.add_argument('--backend', default='native', help=f'some of {",".join(BACKENDS)}')
    parser.add_argument(
        '--precision',
        default='f32',
        help='precisions of onnxruntime and openvino: some of f32,bf16,f16,int8',
    )
    parser.add_argument(
        '--checkpoint', help='checkpoint of the only config; its files are also scored on val'
    )
    parser.add_argument(
        '--samples', type=int, default=300, help='training images that calibrate int8'
    )
    parser.add_argument('--size', default='1024x2048', help='HEIGHTxWIDTH')
    parser.add_argument(
        '--peers', default='', help=f'models of mmseg: "all" or some of {",".join(PEERS)}'
    )
    parser.add_argument(
        '--onnx',
        action='append',
        default=[],
        metavar='NAME=FILE',
        help='an ONNX file of any project, at the size of its input; may be repeated',
    )
    parser.add_argument(
        '--twins', action='store_true', help='also time each SFNet without its flow'
    )
    parser.add_argument('--device', default='cpu', help='such as cpu or cuda:0')
    parser.add_argument('--half', action='store_true', help='compute in float16, which needs CUDA')
    parser.add_argument(
        '--output',
        choices=['argmax', 'logits'],
        default='argmax',
        help='output of the network, at the size of the image',
    )
    parser.add_argument('--rounds', type=int, default=7, help='number of rounds')
    parser.add_argument(
        '--repeats', type=int, default=1, help='number of forward passes per timing'
    )
    parser.add_argument('--warmup', type=int, default=2, help='number of passes before round 1')
    parser.add_argument(
        '--threads', type=int, default=0, help='number of CPU threads of every runtime'
    )
    parser.add_argument(
        '--cache', default=osp.join('work_dirs', 'benchmark'), help='folder for exported files'
    )
    parser.add_argument(
        '--out', help='JSON file; a .md appears beside it, and a .png if accuracies are known'
    )
    return parser.parse_args(argv)


def read_models(args: argparse.Namespace) -> dict:
    """Map the name of each model of the command line to its config."""
    names = list(PEERS) if args.peers == 'all' else [p for p in args.peers.split(',') if p]
    unknown = [n for n in names if n not in PEERS]
    if unknown:
        raise ValueError(f'peer {unknown[0]!r} is not one of {", ".join(PEERS)}')
    models = {}
    for path in args.configs:
        if not osp.isfile(path):
            raise FileNotFoundError(f'config {path} does not exist')
        name = file_stem(path)
        models[name] = run_config(path)
        if args.twins:
            models[f'{name} without flow'] = without_flow(models[name])
    models.update((name, PEERS[name].read()) for name in names)
    if not models and not args.onnx:
        raise ValueError('there is nothing to time: name configs, --peers or --onnx')
    return models


@one_error_line(RuntimeError)
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    init_default_scope('mmseg')
    if args.half and not args.device.startswith('cuda'):
        raise ValueError('--half is for CUDA devices: float16 is slow or wrong on a CPU')
    positive = dict(rounds=args.rounds, repeats=args.repeats, samples=args.samples)
    check_least('benchmark.py', 1, **positive)
    check_least('benchmark.py', 0, threads=args.threads, warmup=args.warmup)
    if args.out:
        check_out_file(args.out)
    settings = Settings(
        image_size(args.size),
        args.device,
        args.output,
        args.half,
        args.rounds,
        args.repeats,
        args.warmup,
        args.threads,
        args.cache,
        args.checkpoint,
        args.samples,
    )
    models, files = read_models(args), parse_onnx_files(args.onnx)
    both = sorted(models.keys() & files.keys())
    if both:
        raise ValueError(f'--onnx names a file {both[0]}, as a model is named: choose another NAME')
    if args.checkpoint and len(models) != 1:
        raise ValueError('--checkpoint belongs to one config, without --peers and --twins')
    backends = add_precisions(parse_backends(args.backend), args.precision.split(','))
    if args.threads:
        torch.set_num_threads(args.threads)
    header = dict(
        device=device_name(args.device),
        date=str(datetime.date.today()),
        size=args.size,
        output=args.output,
        precision='float16' if args.half else 'float32',
        threads=args.threads,
        rounds=args.rounds,
        sfnet_mm=sfnet_mm.__version__,
    )
    if args.checkpoint:
        header.update(checkpoint=args.checkpoint, samples=args.samples)

    def save(entries: list) -> None:
        if args.out:
            write_json(args.out, dict(header, entries=[e.to_dict() for e in entries]))

    entries = run_benchmark(models, backends, settings, save, files)
    if not any(entry.milliseconds for entry in entries):
        raise RuntimeError(f'nothing could be timed: {entries[0].failure}')
    table = markdown(header, [e.to_dict() for e in entries])
    print(table)
    if args.out:
        stem = osp.splitext(args.out)[0]
        write_text(f'{stem}.md', table)
        drawn = plot(f'{stem}.png', header, [e.to_dict() for e in entries])
        print(f'wrote {args.out}, {stem}.md' + (f' and {stem}.png' if drawn else ''))


if __name__ == '__main__':
    main()
