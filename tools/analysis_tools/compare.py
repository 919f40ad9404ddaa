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
import platform
import statistics
import subprocess
import sys
import time

import torch
from mmengine.config import Config, DictAction

from sfnet_mm.utils.tooling import mean_and_spread, write_text

RESULT = 'result.json'


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


def name_of(config):
    return osp.splitext(osp.basename(config))[0]


def budget(args):
    """What all runs share, and what makes two results comparable."""
    keys = ('iters', 'batch_size', 'crop', 'lr', 'warmup', 'min_kept')
    return dict({k: getattr(args, k) for k in keys}, options=args.cfg_options)


def walk(node):
    """All dicts of a nested config."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list, tuple)):
        for value in node.values() if isinstance(node, dict) else node:
            yield from walk(value)


def prepare(config, args, seed, work_dir):
    """The config of one run."""
    from sfnet_mm.utils import load_config

    cfg = load_config(config, args.cfg_options, work_dir, 'none')
    crop = tuple(args.crop or cfg.crop_size)
    warmup = max(2, args.iters // 20) if args.warmup is None else args.warmup
    for node in walk([cfg.train_dataloader, cfg.model]):
        kind = node.get('type')
        if kind in ('RandomCrop', 'CropAroundCentroid'):
            node.crop_size = crop
        elif kind in ('HardPixelCrossEntropy', 'OhemCrossEntropy'):
            node.min_kept = int(args.min_kept * args.batch_size * crop[0] * crop[1])
    cfg.model.data_preprocessor.size = crop
    if args.data_root:
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.dataset.data_root = args.data_root
    cfg.train_dataloader.update(
        batch_size=args.batch_size, num_workers=args.workers, persistent_workers=args.workers > 0
    )
    cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
    cfg.val_dataloader.update(num_workers=args.workers, persistent_workers=False)
    by_source = isinstance(cfg.val_evaluator, dict) and cfg.val_evaluator.type == 'UDSMetric'
    cfg.val_evaluator = dict(
        type='PerClassUDS' if by_source else 'PerClassIoU', iou_metrics=['mIoU']
    )
    optimizer = dict(type='SGD', lr=args.lr, momentum=0.9, weight_decay=0.0005)
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=optimizer)
    cfg.param_scheduler = [
        dict(type='PolyLR', eta_min=0, power=0.9, begin=warmup, end=args.iters, by_epoch=False)
    ]
    if warmup:
        cfg.param_scheduler.insert(
            0, dict(type='LinearLR', start_factor=0.1, begin=0, end=warmup, by_epoch=False)
        )
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=args.iters, val_interval=args.iters + 1
    )
    # The last weights are scored, not the best ones: val decides nothing.
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', by_epoch=False, interval=args.iters, max_keep_ckpts=1
    )
    cfg.default_hooks.logger.interval = max(1, args.iters // 40)
    cfg.custom_hooks = []
    cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.randomness = dict(seed=seed)
    return cfg


def per_class_metric():
    """Register mmseg's IoUMetric, and UDSMetric, that also return the IoU of every class."""
    from mmseg.evaluation import IoUMetric
    from mmseg.registry import METRICS

    from sfnet_mm.evaluation import UDSMetric

    class PerClass:
        def compute_metrics(self, results):
            # UDSMetric puts the source before the four areas.
            totals = [sum(areas) for areas in zip(*(result[-4:] for result in results))]
            values = self.total_area_to_metrics(*totals, self.metrics, self.nan_to_num, self.beta)
            named = zip(self.dataset_meta['classes'], values['IoU'] * 100)
            metrics = super().compute_metrics(results)
            return dict(metrics, per_class={k: round(float(v), 2) for k, v in named})

    for name, base in (('PerClassIoU', IoUMetric), ('PerClassUDS', UDSMetric)):
        METRICS.register_module(name=name, module=type(name, (PerClass, base), {}), force=True)


def flow_in_pixels(runner, images=8):
    """Mean length of the flow of each alignment module, in pixels of its output."""
    from sfnet_mm.visualization.alignment_recorder import AlignmentRecorder

    lengths = {}
    runner.model.eval()
    with AlignmentRecorder(runner.model) as recorder, torch.no_grad():
        for _, batch in zip(range(images), runner.val_dataloader):
            runner.model.val_step(batch)
    for record in recorder.records:
        height, width = record.flow.shape[2:]
        unit = torch.tensor([(width - 1) / (2 * width), (height - 1) / (2 * height)])
        flow = record.flow.unflatten(1, (-1, 2)) * unit.view(2, 1, 1)
        lengths.setdefault(record.name, []).append(flow.norm(dim=2).mean().item())
    return {name: round(statistics.mean(values), 3) for name, values in lengths.items()}


def device_name():
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads'


def run(config, args, seed, work_dir):
    """One run, in this process: train, score and write the result."""
    from mmengine.runner import Runner

    args = argparse.Namespace(**args)
    torch.set_num_threads(args.threads)
    per_class_metric()
    runner = Runner.from_cfg(prepare(config, args, seed, work_dir))
    times = []
    step = runner.model.train_step

    def timed(*step_args, **kwargs):
        start = time.perf_counter()
        out = step(*step_args, **kwargs)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
        return out

    runner.model.train_step = timed
    runner.train()
    metrics = runner.val_loop.run()
    loss = runner.message_hub.get_scalar('train/loss').data[0][-20:]
    result = dict(
        config=config,
        name=name_of(config),
        seed=seed,
        budget=budget(args),
        device=device_name(),
        date=time.strftime('%Y-%m-%d'),
        mIoU=float(metrics['mIoU']),
        aAcc=float(metrics['aAcc']),
        per_class=metrics['per_class'],
        per_source={
            key.split('/')[1]: float(value)
            for key, value in metrics.items()
            if key.startswith('mIoU/')
        },
        parameters=sum(p.numel() for p in runner.model.parameters()),
        milliseconds_per_iteration=round(1000 * statistics.median(times[len(times) // 10 :]), 1),
        final_loss=round(statistics.mean(map(float, loss)), 4),
        flow_px=flow_in_pixels(runner),
    )
    write_text(osp.join(work_dir, RESULT), json.dumps(result, indent=1) + '\n')


def time_steps(args):
    """Median milliseconds of a training step of each config; they take turns."""
    from mmengine.runner import Runner
    from mmengine.utils import track_iter_progress

    torch.set_num_threads(args.threads)
    steps = {}
    for config in args.configs:
        folder = osp.join(args.work_dir, name_of(config), 'time')
        runner = Runner.from_cfg(prepare(config, args, 0, folder))
        runner.model.init_weights()
        runner.model.train()
        batch = next(iter(runner.train_dataloader))
        wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        steps[name_of(config)] = (runner.model, batch, wrapper)
    times = {name: [] for name in steps}
    for turn in track_iter_progress(list(range(args.time + 1))):
        for name, (model, batch, wrapper) in steps.items():
            start = time.perf_counter()
            model.train_step(batch, optim_wrapper=wrapper)
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:  # the first one warms up
                times[name].append(1000 * (time.perf_counter() - start))
    print()
    found = {name: round(statistics.median(values), 1) for name, values in times.items()}
    write_text(osp.join(args.work_dir, 'times.json'), json.dumps(found, indent=1) + '\n')


def finished(work_dir, args):
    """The result in a folder, if it is of the same budget."""
    try:
        with open(osp.join(work_dir, RESULT), encoding='utf-8') as file:
            result = json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return result if result['budget'] == json.loads(json.dumps(budget(args))) else None


def table(rows, args):
    """The results as Markdown; ``rows``: results of each name."""
    first = next(iter(rows.values()))[0]
    base = args.baseline if args.baseline in rows else None
    lines = [
        f'{args.iters} iterations of batch {args.batch_size}, SGD with lr {args.lr}, random weights'
        f' unless the name says otherwise; {first["device"]}, {first["date"]}. mIoU of the last'
        ' weights on val: mean ± standard deviation over seeds.',
        '',
        '| model | seeds | mIoU | '
        + (f'Δ {base} | ' if base else '')
        + 'parameters (M) | ms / iteration | loss | flow (px) |',
        '| --- ' * (8 if base else 7) + '|',
    ]
    for name, results in sorted(rows.items(), key=lambda r: -mean(r[1], 'mIoU')):
        cells = [name, str(len(results)), mean_and_spread([r['mIoU'] for r in results])]
        if base:
            # Seed by seed, as far as both have it.
            other = {r['seed']: r['mIoU'] for r in rows[base]}
            paired = [r['mIoU'] - other[r['seed']] for r in results if r['seed'] in other]
            cells.append(mean_and_spread(paired) if paired and name != base else '')
        flows = [v for r in results for v in r['flow_px'].values()]
        cells += [
            f'{results[0]["parameters"] / 1e6:.2f}',
            f'{mean(results, "milliseconds_per_iteration"):.0f}',
            f'{mean(results, "final_loss"):.3f}',
            f'{statistics.mean(flows):.2f}' if flows else '',
        ]
        lines.append('| ' + ' | '.join(cells) + ' |')
    classes = list(first['per_class'])
    lines += ['', '| IoU | ' + ' | '.join(classes) + ' |', '| --- ' * (1 + len(classes)) + '|']
    for name, results in rows.items():
        values = [f'{statistics.mean(r["per_class"][c] for r in results):.1f}' for c in classes]
        lines.append(f'| {name} | ' + ' | '.join(values) + ' |')
    sources = list(first.get('per_source', ()))
    if sources:
        lines += ['', '| mIoU | ' + ' | '.join(sources) + ' |', '| --- ' * (1 + len(sources)) + '|']
        for name, results in rows.items():
            values = [mean_and_spread([r['per_source'][s] for r in results]) for s in sources]
            lines.append(f'| {name} | ' + ' | '.join(values) + ' |')
    return '\n'.join(lines) + '\n'


def mean(results, key):
    return statistics.mean(r[key] for r in results)


def plot(rows, path):
    """Mean mIoU with a dot per seed, against parameters."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    names = sorted(rows, key=lambda n: mean(rows[n], 'mIoU'))
    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(names) + 1.2))
    axes.barh(names, [mean(rows[n], 'mIoU') for n in names], color='#9ecae1')
    for i, name in enumerate(names):
        values = [r['mIoU'] for r in rows[name]]
        axes.plot(values, [i] * len(values), 'k.', markersize=5)
    low = min(r['mIoU'] for results in rows.values() for r in results)
    axes.set_xlim(left=max(0, low - 5))
    axes.set_xlabel('mIoU on val; a dot for each seed')
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def report(args, folders):
    rows = {}
    for (config, _), folder in folders.items():
        result = finished(folder, args)
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
    text = table(rows, args)
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
            run(**json.load(file))
        return
    args = parse_args()
    check(args)
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
        if finished(folder, args):
            print(f'{label}: done before')
            continue
        if args.minutes and time.time() - begin > 60 * args.minutes:
            print(f'{args.minutes} minutes are over: the remaining runs are left out')
            break
        print(f'{label}: running', flush=True)
        os.makedirs(folder, exist_ok=True)
        start = time.time()
        job = dict(config=config, args=vars(args), seed=seed, work_dir=folder)
        write_text(osp.join(folder, 'job.json'), json.dumps(job, indent=1))
        command = [sys.executable, osp.abspath(__file__), '--run', osp.join(folder, 'job.json')]
        with open(osp.join(folder, 'output.txt'), 'w', encoding='utf-8') as output:
            code = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT).returncode
        if code:
            raise SystemExit(f'error: {label} failed; see {folder}/output.txt')
        result = finished(folder, args)
        print(
            f'{label}: mIoU {result["mIoU"]:.2f} in {(time.time() - start) / 60:.1f} min',
            flush=True,
        )
    if args.time:
        try:
            time_steps(args)
        except (OSError, ValueError) as e:
            raise SystemExit(f'error: {e}') from None
    report(args, folders)


if __name__ == '__main__':
    main()
