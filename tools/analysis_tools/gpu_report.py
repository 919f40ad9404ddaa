"""Run all checks on a GPU by one command: build, tests, sanitizer, speed, training.

    python tools/analysis_tools/gpu_report.py --camvid data/camvid
    python tools/analysis_tools/gpu_report.py --device cpu     # a rehearsal at toy size

It needs no network. The most important steps run first, each with a time limit; a step that fails
does not stop the others. If the command was stopped, the same command continues. ``report.json``
has all figures and ``report.md`` shows them. ``--publish report.json`` puts those of a CUDA device
into docs/benchmarks, from where ``make docs`` writes the tables of the pages.
"""

import argparse
import hashlib
import os.path as osp
from collections.abc import Sequence

import torch
from mmengine.fileio import get
from mmengine.utils import scandir

from sfnet_mm.benchmark.gpu_steps import Plan, make_steps
from sfnet_mm.benchmark.gpu_summary import summary
from sfnet_mm.benchmark.machine import device_name
from sfnet_mm.benchmark.steps import run_steps
from sfnet_mm.utils.tooling import one_error_line, read_json, write_json, write_text

ROOT = osp.abspath(osp.join(__file__, '..', '..', '..'))
PUBLISHED = osp.join(ROOT, 'docs', 'benchmarks')
# The results of these steps become files of docs/benchmarks.
FILES = dict(ops='ops_cuda', networks='speed_cuda_networks', peers='speed_cuda_peers')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--device',
        choices=['cuda', 'cpu'],
        default='cuda',
        help='device to check; cpu is a rehearsal',
    )
    parser.add_argument('--out', help='folder; default: work_dirs/gpu_{device}')
    parser.add_argument('--camvid', help='folder of CamVid; without it, drawn scenes are trained')
    parser.add_argument('--iters', type=int, help='number of iterations of a training run')
    parser.add_argument(
        '--jobs', type=int, default=3, help='number of training runs at the same time'
    )
    parser.add_argument('--steps', nargs='+', metavar='NAME', help='run only these steps')
    parser.add_argument('--publish', metavar='REPORT', help='put a report.json into the docs')
    return parser.parse_args(argv)


def sources() -> str:
    """Compute a digest of the code that the results belong to."""
    digest = hashlib.sha256()
    for folder in ('sfnet_mm', 'configs', 'tools', 'tests'):
        suffixes = ('.py', '.cpp', '.h', '.cu', '.cuh')
        for name in sorted(scandir(osp.join(ROOT, folder), suffixes, recursive=True)):
            digest.update(get(osp.join(ROOT, folder, name)))
    return digest.hexdigest()[:12]


def publish(path: str) -> None:
    """Put the results of a report on a CUDA device into docs/benchmarks."""
    try:
        records = read_json(path)
        found = {r['name']: r['result'] for r in records if r['result'] is not None}
        if found['ops']['kind'] != 'cuda':
            raise ValueError('it is a rehearsal on a CPU')
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not a report of a CUDA device: {error}') from None
    for step, name in FILES.items():
        if step in found:
            write_json(osp.join(PUBLISHED, f'{name}.json'), found[step])
    steps = [
        {k: v for k, v in r.items() if k != 'result' or r['name'] not in FILES} for r in records
    ]
    write_json(osp.join(PUBLISHED, 'gpu_report.json'), steps)
    print(f'written to {PUBLISHED}: now `make docs`')


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    if args.publish:
        publish(args.publish)
        return
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise ValueError('there is no CUDA device: rehearse with --device cpu')
    if args.camvid and not osp.isdir(osp.join(args.camvid, 'images', 'train')):
        raise ValueError(f'--camvid {args.camvid} has no images/train')
    rehearsal = args.device == 'cpu'
    plan = Plan(
        args.device,
        args.out or osp.join('work_dirs', f'gpu_{args.device}'),
        args.camvid,
        args.iters or (20 if rehearsal else 400),
        1 if rehearsal else 3,
        args.jobs,
    )
    steps = make_steps(plan)
    unknown = set(args.steps or ()) - {s.name for s in steps}
    if unknown:
        names = ', '.join(s.name for s in steps)
        raise ValueError(f'--steps {sorted(unknown)[0]} is not one of {names}')
    if args.steps:
        steps = [s for s in steps if s.name in args.steps]

    def save(records: list) -> None:
        write_json(osp.join(plan.folder, 'report.json'), records)
        write_text(osp.join(plan.folder, 'report.md'), summary(records))

    key = f'{device_name(args.device)}, sources {sources()}'
    records = run_steps(steps, plan.folder, key, save, at_once=2 if rehearsal else 1)
    print(summary(records))
    print(f'report.json and report.md are in {plan.folder}')
    failed = [r['name'] for r in records if r['status'] in ('failed', 'timed out')]
    if failed:
        raise ValueError(f'{", ".join(failed)} failed: report.md in {plan.folder} says why')


if __name__ == '__main__':
    main()
