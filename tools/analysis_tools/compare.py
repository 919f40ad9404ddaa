"""Trains several configs under one budget and writes one table and one plot of their results.

    compare.py CONFIG CONFIG ... --iters 400 --batch-size 8 --seeds 0 1 2

Iterations, batch, learning rate schedule, crop and seeds are the same for all; network and losses
are those of each config. Runs are done seed by seed, each in a process and a folder of its own, so
an interrupted comparison goes on where it was and ``--minutes`` may end it early: the table says
how many seeds each row has.
"""

import argparse
import json
import os
import os.path as osp
import subprocess
import sys
import time
from dataclasses import asdict

import torch
from mmengine.config import Config, DictAction

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.comparison import (
    Budget,
    Resources,
    finished,
    name_of,
    plot,
    table,
    time_steps,
    train,
)
from sfnet_mm.utils.tooling import write_text


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', help='configs on the same data set')
    parser.add_argument('--work-dir', default='work_dirs/compare', help='runs, table and plot')
    parser.add_argument('--data-root', help="the data set's folder, in place of the configs'")
    parser.add_argument('--iters', type=int, default=400, help='iterations of every run')
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--crop', type=int, nargs=2, metavar=('H', 'W'), help="default: configs'")
    parser.add_argument('--lr', type=float, default=0.01, help='initial learning rate of SGD')
    parser.add_argument('--warmup', type=int, help='iterations of warm-up; default: a twentieth')
    parser.add_argument(
        '--min-kept',
        type=float,
        default=0.048,
        help='least share of pixels that hard-pixel losses keep',
    )
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    parser.add_argument('--minutes', type=float, help='start no run after this many minutes')
    parser.add_argument('--workers', type=int, default=1, help='loading processes of every run')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads())
    parser.add_argument('--baseline', help='name of the config that others are compared with')
    parser.add_argument('--report-only', action='store_true', help='only write table and plot')
    parser.add_argument(
        '--time',
        type=int,
        metavar='ROUNDS',
        help='also time training steps of all configs side by side, in turns; the table then has '
        'these times and not those of the runs, which may have shared the machine',
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    args = parser.parse_args()
    if args.iters < 20 or args.batch_size < 1:
        parser.error('--iters must be 20 or more and --batch-size positive')
    if args.time is not None and args.time < 1:
        parser.error(f'--time {args.time} must be 1 or more')
    return args


def settings(args):
    """Budget and resources of all runs."""
    budget = Budget(
        args.iters,
        args.batch_size,
        args.crop,
        args.lr,
        args.warmup,
        args.min_kept,
        args.cfg_options,
    )
    return budget, Resources(args.data_root, args.workers, args.threads)


def report(args, budget, folders):
    rows = {}
    for (config, _), folder in folders.items():
        result = finished(folder, budget)
        if result:
            rows.setdefault(name_of(config), []).append(result)
    if not rows:
        raise SystemExit('error: no run is finished')
    if args.time:
        with open(osp.join(args.work_dir, 'times.json'), encoding='utf-8') as file:
            times = json.load(file)
        for name, results in rows.items():
            for result in results:
                result['milliseconds_per_iteration'] = times[name]
    text = table(rows, budget, args.baseline)
    write_text(osp.join(args.work_dir, 'table.md'), text)
    write_text(osp.join(args.work_dir, 'results.json'), json.dumps(rows, indent=1) + '\n')
    plot(rows, osp.join(args.work_dir, 'plot.png'))
    print(text)
    print(f'table.md, results.json and plot.png are in {args.work_dir}')


def check(args):
    """Raise unless the configs can be compared."""
    names = [name_of(c) for c in args.configs]
    if len(set(names)) < len(names):
        raise SystemExit('error: the same config is named twice')
    kinds = {}
    for config in args.configs:
        if not osp.isfile(config):
            raise SystemExit(f'error: config {config} does not exist')
        dataset = Config.fromfile(config).val_dataloader.dataset
        kinds.setdefault((dataset.type, str(dataset.get('sources'))), []).append(config)
    if len(kinds) > 1:
        raise SystemExit(
            'error: the configs are on different data sets: '
            + ', '.join(f'{found[0]} on {kind}' for (kind, _), found in kinds.items())
        )
    if args.baseline and args.baseline not in names:
        raise SystemExit(f'error: --baseline {args.baseline} is none of {", ".join(names)}')


def main():
    if sys.argv[1:2] == ['--run']:
        with open(sys.argv[2], encoding='utf-8') as file:
            job = json.load(file)
        job.update(budget=Budget(**job['budget']), resources=Resources(**job['resources']))
        train(**job)
        return
    args = parse_args()
    check(args)
    budget, resources = settings(args)
    folders = {
        (config, seed): osp.join(args.work_dir, name_of(config), f'seed{seed}')
        for seed in args.seeds
        for config in args.configs
    }
    begin = time.time()
    for number, ((config, seed), folder) in enumerate(folders.items(), 1):
        if args.report_only:
            break
        label = f'[{number}/{len(folders)}] {name_of(config)}, seed {seed}'
        if finished(folder, budget):
            print(f'{label}: done before')
            continue
        if args.minutes and time.time() - begin > 60 * args.minutes:
            print(f'{args.minutes} minutes are over: the remaining runs are left out')
            break
        print(f'{label}: running', flush=True)
        os.makedirs(folder, exist_ok=True)
        start = time.time()
        job = dict(
            config=config,
            budget=asdict(budget),
            resources=asdict(resources),
            seed=seed,
            work_dir=folder,
        )
        write_text(osp.join(folder, 'job.json'), json.dumps(job, indent=1))
        command = [sys.executable, osp.abspath(__file__), '--run', osp.join(folder, 'job.json')]
        with open(osp.join(folder, 'output.txt'), 'w', encoding='utf-8') as output:
            code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
        if code:
            raise SystemExit(f'error: {label} failed; see {folder}/output.txt')
        result = finished(folder, budget)
        print(
            f'{label}: mIoU {result["mIoU"]:.2f} in {(time.time() - start) / 60:.1f} min',
            flush=True,
        )
    if args.time:
        try:
            time_steps(args.configs, budget, resources, args.time, args.work_dir)
        except (OSError, ValueError) as e:
            raise SystemExit(f'error: {e}') from None
    report(args, budget, folders)


if __name__ == '__main__':
    main()
