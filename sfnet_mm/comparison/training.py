"""Trains, scores and times the runs of a comparison."""

import json
import os.path as osp
import platform
import statistics
import time
from dataclasses import asdict
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from sfnet_mm.evaluation import UDSMetric
from sfnet_mm.utils.tooling import write_text
from sfnet_mm.visualization import AlignmentRecorder, flow_to_pixels

from .settings import Budget, Resources, name_of, prepare

RESULT, TIMES = 'result.json', 'times.json'


def train(config: str, budget: Budget, resources: Resources, seed: int, work_dir: str) -> None:
    """One run, in this process: train, score and write the result.

    The weights of the last iteration are scored, not the best ones.
    """
    torch.set_num_threads(resources.threads)
    per_class_metric()
    runner = Runner.from_cfg(prepare(config, budget, resources, seed, work_dir))
    times = []
    step = runner.model.train_step

    def kept(*step_args: Any, **kwargs: Any) -> Any:
        out, milliseconds = _timed(step, *step_args, **kwargs)
        times.append(milliseconds)
        return out

    runner.model.train_step = kept
    runner.train()
    metrics = runner.val_loop.run()
    loss = runner.message_hub.get_scalar('train/loss').data[0][-20:]
    result = dict(
        config=config,
        name=name_of(config),
        seed=seed,
        budget=asdict(budget),
        device=_device_name(),
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
        milliseconds_per_iteration=round(statistics.median(times[len(times) // 10 :]), 1),
        final_loss=round(statistics.mean(map(float, loss)), 4),
        flow_px=flow_in_pixels(runner),
    )
    write_text(osp.join(work_dir, RESULT), json.dumps(result, indent=1) + '\n')


def time_steps(
    configs: Sequence[str], budget: Budget, resources: Resources, rounds: int, work_dir: str
) -> None:
    """Write the median milliseconds of a training step of each config; they take turns."""
    torch.set_num_threads(resources.threads)
    steps = {}
    for config in configs:
        folder = osp.join(work_dir, name_of(config), 'time')
        runner = Runner.from_cfg(prepare(config, budget, resources, 0, folder))
        runner.model.init_weights()
        runner.model.train()
        batch = next(iter(runner.train_dataloader))
        wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        steps[name_of(config)] = (runner.model, batch, wrapper)
    times = {name: [] for name in steps}
    for turn in track_iter_progress(list(range(rounds + 1))):
        for name, (model, batch, wrapper) in steps.items():
            _, milliseconds = _timed(model.train_step, batch, optim_wrapper=wrapper)
            if turn:  # the first one warms up
                times[name].append(milliseconds)
    print()
    found = {name: round(statistics.median(values), 1) for name, values in times.items()}
    write_text(osp.join(work_dir, TIMES), json.dumps(found, indent=1) + '\n')


def _timed(step: Callable[..., Any], *args: Any, **kwargs: Any) -> Tuple[Any, float]:
    """What a step returns, and its milliseconds."""
    start = time.perf_counter()
    out = step(*args, **kwargs)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return out, 1000 * (time.perf_counter() - start)


def finished(work_dir: str, budget: Budget) -> Optional[Dict[str, Any]]:
    """The result in a folder, if it is of the same budget."""
    try:
        with open(osp.join(work_dir, RESULT), encoding='utf-8') as file:
            result = json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return result if result['budget'] == json.loads(json.dumps(asdict(budget))) else None


def per_class_metric() -> None:
    """Register mmseg's IoUMetric, and UDSMetric, that also return the IoU of every class."""

    class PerClass:
        def compute_metrics(self, results: list) -> Dict[str, Any]:
            # UDSMetric puts the source before the four areas.
            totals = [sum(areas) for areas in zip(*(result[-4:] for result in results))]
            values = self.total_area_to_metrics(*totals, self.metrics, self.nan_to_num, self.beta)
            named = zip(self.dataset_meta['classes'], values['IoU'] * 100)
            metrics = super().compute_metrics(results)
            return dict(metrics, per_class={k: round(float(v), 2) for k, v in named})

    for name, base in (('PerClassIoU', IoUMetric), ('PerClassUDS', UDSMetric)):
        METRICS.register_module(name=name, module=type(name, (PerClass, base), {}), force=True)


def flow_in_pixels(runner: Runner, images: int = 8) -> Dict[str, float]:
    """Mean length of the flow of each alignment module, in pixels of its output."""
    lengths: Dict[str, List[float]] = {}
    runner.model.eval()
    with AlignmentRecorder(runner.model) as recorder, torch.no_grad():
        for _, batch in zip(range(images), runner.val_dataloader):
            runner.model.val_step(batch)
    for record in recorder.records:
        flows = record.flow.unflatten(1, (-1, 2)).flatten(0, 1).cpu().numpy()
        pixels = np.stack([flow_to_pixels(flow) for flow in flows])
        length = float(np.linalg.norm(pixels, axis=-1).mean())
        lengths.setdefault(record.name, []).append(length)
    return {name: round(statistics.mean(values), 3) for name, values in lengths.items()}


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f'{platform.processor() or platform.machine()} CPU, {torch.get_num_threads()} threads'
