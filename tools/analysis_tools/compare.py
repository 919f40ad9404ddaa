"""Train several configs under one budget and write a table and a plot of their results.

    compare.py CONFIG CONFIG ... --iters 400 --batch-size 8 --seeds 0 1 2 --jobs 2

Iterations, batch, optimizer, crop and seeds are the same for all; network, losses and whether crops
are class-uniform are those of each config. Runs are started seed by seed, each as a process with
its own folder, ``--jobs`` at a time; they share the GPU. If the command was killed, the same
command continues each run from its last checkpoint. ``--minutes`` stops early, after runs in
progress have written a checkpoint. The table says how many seeds each row has.
"""

import argparse
import os.path as osp
from collections.abc import Sequence

import torch

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.comparison.jobs import Job, check_budget, check_data, run_jobs
from sfnet_mm.comparison.report import plot, table, timed_passes
from sfnet_mm.comparison.settings import OPTIMIZERS, Budget, Resources, prepare
from sfnet_mm.comparison.step_times import TIMES, time_steps
from sfnet_mm.comparison.training import finished
from sfnet_mm.utils.config import read_config
from sfnet_mm.utils.config_parts import add_config_options, parse_options, type_name
from sfnet_mm.utils.tooling import file_stem, one_error_line, read_json, write_json, write_text


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('configs', nargs='+', help='configs on the same data set')
    parser.add_argument(
        '--work-dir', default='work_dirs/compare', help='folder of runs, table and plot'
    )
    parser.add_argument(
        '--data-root', help='folder of the data set, instead of the one in the configs'
    )
    parser.add_argument('--iters', type=int, default=400, help='iterations of every run')
    parser.add_argument(
        '--batch-size', type=int, default=8, help='number of images of an iteration'
    )
    parser.add_argument(
        '--crop', type=int, nargs=2, metavar=('H', 'W'), help='default: the crop of each config'
    )
    parser.add_argument(
        '--optimizer',
        choices=[*OPTIMIZERS, 'config'],
        default='sgd',
        help="'config' keeps each config's optimizer and scales its schedule to --iters",
    )
    parser.add_argument(
        '--lr',
        type=float,
        help="initial learning rate; default: 0.01 (SGD), 0.001 (AdamW) or the config's",
    )
    parser.add_argument(
        '--backbone-lr-mult', type=float, default=1.0, help="factor of the backbone's learning rate"
    )
    parser.add_argument('--amp', action='store_true', help='train in float16, or bfloat16 on a CPU')
    parser.add_argument(
        '--channels-last', action='store_true', help='store the model channels-last'
    )
    parser.add_argument('--warmup', type=int, help='iterations of warm-up; default: a twentieth')
    parser.add_argument(
        '--min-kept',
        type=float,
        default=0.048,
        help='smallest share of pixels that hard-pixel losses keep',
    )
    parser.add_argument(
        '--seeds', type=int, nargs='+', default=[0], help='seeds of the runs of each config'
    )
    parser.add_argument(
        '--minutes', type=float, help='stop after this many minutes; the same command continues'
    )
    parser.add_argument('--jobs', type=int, default=1, help='number of runs at the same time')
    parser.add_argument(
        '--workers', type=int, default=1, help='number of loading processes of a run'
    )
    parser.add_argument(
        '--threads', type=int, help='number of torch threads of a run; default: cores / --jobs'
    )
    parser.add_argument(
        '--checkpoint-interval',
        type=int,
        help='iterations between checkpoints; default: a tenth of --iters',
    )
    parser.add_argument('--baseline', help='name of the config that others are compared with')
    parser.add_argument(
        '--report-only', action='store_true', help='only write the table and the plot'
    )
    parser.add_argument(
        '--time',
        type=int,
        metavar='ROUNDS',
        help='also time training steps of all configs side by side, in turns; the table then has '
        'these times and not those of the runs, which may have shared the machine',
    )
    parser.add_argument(
        '--speed',
        metavar='JSON',
        help='file of benchmark.py --out with one backend: the table then has multiply-adds and '
        'the time of a pass',
    )
    add_config_options(parser)
    args = parser.parse_args(argv)
    if args.iters < 20 or args.batch_size < 1:
        parser.error('--iters must be 20 or more and --batch-size positive')
    for name in ('jobs', 'threads', 'checkpoint_interval', 'lr', 'backbone_lr_mult', 'minutes'):
        value = getattr(args, name)
        if value is not None and value <= 0:
            parser.error(f'--{name.replace("_", "-")} {value} must be positive')
    if args.workers < 0:
        parser.error(f'--workers {args.workers} must be 0 or more')
    if args.warmup is not None and not 0 <= args.warmup < args.iters:
        parser.error(f'--warmup {args.warmup} must be 0 or more and below --iters {args.iters}')
    if not 0 <= args.min_kept <= 1:
        parser.error(f'--min-kept {args.min_kept} is a share: it must be between 0 and 1')
    if min(args.seeds) < 0 or min(args.crop or [1]) < 1:
        parser.error('--seeds must be 0 or more and --crop must be positive')
    args.threads = args.threads or max(1, torch.get_num_threads() // args.jobs)
    if args.time is not None and args.time < 1:
        parser.error(f'--time {args.time} must be 1 or more')
    return args


def settings(args):
    """Return the budget and the resources of all runs."""
    budget = Budget(
        iters=args.iters,
        batch_size=args.batch_size,
        crop=args.crop,
        optimizer=args.optimizer,
        lr=args.lr,
        backbone_lr_mult=args.backbone_lr_mult,
        warmup=args.warmup,
        min_kept=args.min_kept,
        amp=args.amp,
        options=parse_options(args.cfg_options),
    )
    resources = Resources(
        args.data_root, args.workers, args.threads, args.channels_last, args.checkpoint_interval
    )
    return budget, resources


def report(args, budget, jobs, speed):
    """Write the table, the results and the plot of the finished runs."""
    rows = {}
    for job in jobs:
        result = finished(job.work_dir, budget)
        if result:
            rows.setdefault(file_stem(job.config), []).append(result)
    if not rows:
        if args.report_only:
            raise ValueError('no run is finished')
        print('no run is finished: there is no table yet')
        return
    if args.time:
        times = read_json(osp.join(args.work_dir, TIMES))
        for name, results in rows.items():
            for result in results:
                result['milliseconds_per_iteration'] = times[name]
    text = table(rows, budget, args.baseline, speed)
    write_text(osp.join(args.work_dir, 'table.md'), text)
    write_json(osp.join(args.work_dir, 'results.json'), rows)
    plot(rows, osp.join(args.work_dir, 'plot.png'))
    print(text)
    print(f'table.md, results.json and plot.png are in {args.work_dir}')


def check(args):
    """Raise a ValueError unless the configs can be compared."""
    names = [file_stem(c) for c in args.configs]
    if len(set(names)) < len(names):
        raise ValueError('the same config is named twice')
    kinds = {}
    for config in args.configs:
        dataset = read_config(config).val_dataloader.dataset
        kinds.setdefault((type_name(dataset), str(dataset.get('sources'))), []).append(config)
    if len(kinds) > 1:
        raise ValueError(
            'the configs are on different data sets: '
            + ', '.join(f'{found[0]} on {kind}' for (kind, _), found in kinds.items())
        )
    if args.baseline and args.baseline not in names:
        raise ValueError(f'--baseline {args.baseline} is none of {", ".join(names)}')


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    check(args)
    speed = read_json(args.speed) if args.speed else None
    if args.speed:
        timed_passes(map(file_stem, args.configs), speed)  # An error is raised before any run.
    budget, resources = settings(args)
    jobs = [
        Job(config, seed, osp.join(args.work_dir, file_stem(config), f'seed{seed}'))
        for seed in args.seeds
        for config in args.configs
    ]
    failures = []
    try:
        if not args.report_only:
            check_budget(jobs, budget)
            # A config that does not fit the budget, or missing data, raise before any run starts.
            configs = [
                prepare(job.config, budget, resources, job.seed, job.work_dir)
                for job in jobs[: len(args.configs)]
            ]
            if not all(finished(job.work_dir, budget) for job in jobs):
                check_data(configs)
            failures = run_jobs(jobs, budget, resources, args.jobs, args.minutes)
        if args.time:
            time_steps(args.configs, budget, resources, args.time, args.work_dir)
    except KeyboardInterrupt:
        raise KeyboardInterrupt('stopped; the same command goes on from the checkpoints') from None
    report(args, budget, jobs, speed)
    if failures:
        print('\n'.join(failures))
        raise ValueError(f'{len(failures)} of {len(jobs)} runs failed: the lines above name them')
    open_runs = sum(not finished(job.work_dir, budget) for job in jobs)
    if open_runs:
        print(f'{open_runs} of {len(jobs)} runs are not finished: the same command goes on')


if __name__ == '__main__':
    main()
