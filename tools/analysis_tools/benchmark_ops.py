"""Time the flow warp: the authors' composition, native torch, both compiled, and the extension.

All implementations take turns within one run, so that other work of the machine slows them equally.
The table gives the shortest time of each. The tool writes a JSON file per device into
docs/benchmarks, and the table of docs/ops.md from all files there. With --table it writes only the
table. With --check it writes nothing, and the exit status is 1 if the table does not match the
files.
"""

import argparse
import os.path as osp
import time
from collections.abc import Sequence
from glob import glob

import torch
from mmengine.fileio import get_text
from mmengine.utils import track_iter_progress

from sfnet_mm.benchmark.machine import cpu_model
from sfnet_mm.benchmark.warp_report import warp_tables
from sfnet_mm.benchmark.warps import CASES, DTYPES, LAYOUTS, WAYS, measure
from sfnet_mm.benchmark.warps_in_networks import measure_inference, measure_training
from sfnet_mm.ops import has_ext
from sfnet_mm.utils.config import read_config
from sfnet_mm.utils.tooling import (
    one_error_line,
    read_json,
    replace_between,
    write_json,
    write_text,
)

DOCS = osp.abspath(osp.join(__file__, '..', '..', '..', 'docs'))
PAGE, RESULTS = osp.join(DOCS, 'ops.md'), osp.join(DOCS, 'benchmarks')
BEGIN, END = '<!-- table of benchmark_ops.py: begin -->', '<!-- table of benchmark_ops.py: end -->'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = 'cuda' if torch.cuda.is_available() else 'cpu'
    parser.add_argument('--device', choices=DTYPES, default=default, help='device to measure')
    parser.add_argument('--threads', type=int, default=2, help='number of CPU threads')
    parser.add_argument(
        '--rounds', type=int, default=9, help='number of turns of each implementation'
    )
    parser.add_argument(
        '--ways', nargs='+', choices=WAYS, default=WAYS, help='implementations of the warp'
    )
    parser.add_argument(
        '--dtypes', nargs='+', choices=('float32', 'float16', 'bfloat16'), help='dtypes of the maps'
    )
    parser.add_argument(
        '--sizes', nargs='+', choices=('512x1024', '1024x2048'), help='sizes of the image'
    )
    parser.add_argument(
        '--network', nargs='+', default=[], help='also time inference of these configs'
    )
    parser.add_argument(
        '--network-size',
        type=int,
        nargs=2,
        default=(1024, 2048),
        help='height and width of the image for --network',
    )
    parser.add_argument(
        '--training', nargs='+', default=[], help='also time training steps of these configs'
    )
    parser.add_argument('--crop', type=int, default=512, help='side of a crop for --training')
    parser.add_argument('--out', help='JSON file; default: docs/benchmarks/ops_{device}.json')
    parser.add_argument('--table', action='store_true', help='only write the table of docs/ops.md')
    parser.add_argument('--check', action='store_true', help='only check the table of docs/ops.md')
    return parser.parse_args(argv)


def page_with_table():
    files = sorted(glob('ops_*.json', root_dir=RESULTS))
    results = [read_json(osp.join(RESULTS, name)) for name in files]
    tables = f'\n\n{warp_tables(results)}\n'
    return replace_between(get_text(PAGE), BEGIN, END, tables, 'docs/ops.md')


def check(args):
    """Refuse options that would fail only after everything else was timed."""
    if args.rounds < 1 or args.threads < 1:
        raise ValueError('--rounds and --threads must be 1 or more')
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('there is no CUDA device: use --device cpu')
    configs = [*args.network, *args.training]
    for config in configs:
        read_config(config)
    if configs and not has_ext():
        raise RuntimeError(
            '--network and --training compare with the compiled warp: make install-ops'
        )


@one_error_line(RuntimeError)
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.check:
        if get_text(PAGE) != page_with_table():
            raise ValueError('docs/ops.md is not up to date: python benchmark_ops.py --table')
        return
    if args.table:
        write_text(PAGE, page_with_table())
        return
    check(args)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    cases = [
        (key, layout, dtype)
        for key in CASES
        if not args.sizes or key[1] in args.sizes
        for layout in LAYOUTS
        for dtype in args.dtypes or DTYPES[args.device]
    ]
    result = {
        'device': torch.cuda.get_device_name() if args.device == 'cuda' else cpu_model(),
        'kind': args.device,
        'threads': args.threads,
        'torch': torch.__version__,
        'date': time.strftime('%Y-%m-%d'),
        'rounds': args.rounds,
        'rows': [],
        'network': [],
        'training': [],
    }
    out = args.out or osp.join(RESULTS, f'ops_{args.device}.json')
    for case in track_iter_progress(cases):
        result['rows'] += measure(case, args.ways, args.device, args.rounds)
    for config in track_iter_progress(args.network):
        size = tuple(args.network_size)
        result['network'] += measure_inference(config, size, args.device, args.rounds)
    for config in track_iter_progress(args.training):
        result['training'] += measure_training(config, args.crop, args.device, args.rounds)
    write_json(out, result)
    print(f'\n{warp_tables([result])}\nwritten: {out}')
    if osp.dirname(osp.abspath(out)) == RESULTS:
        write_text(PAGE, page_with_table())


if __name__ == '__main__':
    main()
