"""Trains and scores one run of a comparison."""

import glob
import os
import os.path as osp
import re
import statistics
import time
import zipfile
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from sfnet_mm.benchmark.machine import device_name
from sfnet_mm.utils.tooling import file_stem, read_json, write_json, write_text
from sfnet_mm.visualization import AlignmentRecorder

from .alignment_monitor import AlignmentMonitorHook, flow_lengths, history_of
from .settings import Budget, Resources, prepare

RESULT, PROGRESS = 'result.json', 'progress.txt'


class RunMonitorHook(Hook):
    """Writes the progress of a run, and stops it with a checkpoint when its time is over.

    Args:
        work_dir: Folder of the run.
        deadline: When to stop, in seconds since the epoch; None sets no limit.
        parent: The process that started this one. The run also stops when that process is
            gone, so that it does not write into a folder in which the next call trains.
    """

    priority = 'VERY_LOW'

    def __init__(self, work_dir: str, deadline: float | None, parent: int | None) -> None:
        self.work_dir = work_dir
        self.deadline = deadline
        self.parent = parent

    def after_train_iter(self, runner: Runner, batch_idx: int, *args: Any, **kwargs: Any) -> None:
        """Write the number of iterations done; stop if it is time."""
        done = runner.iter + 1
        late = self.deadline is not None and time.time() > self.deadline
        stop = (late or self.parent not in (None, os.getppid())) and done < runner.max_iters
        if stop:
            runner.save_checkpoint(self.work_dir, f'iter_{done}.pth', by_epoch=False)
            runner.train_loop.stop_training = True
        if stop or done == runner.max_iters or done % max(1, runner.max_iters // 100) == 0:
            write_text(osp.join(self.work_dir, PROGRESS), str(done))


def _checkpoints(work_dir: str) -> dict[int, str]:
    """Map iterations to the complete checkpoints of a run that may have been killed in writing."""
    found = {}
    for path in glob.glob(osp.join(glob.escape(work_dir), 'iter_*.pth')):
        match = re.fullmatch(r'iter_(\d+)\.pth', osp.basename(path))
        if match and zipfile.is_zipfile(path):
            found[int(match[1])] = path
    return found


def last_checkpoint(work_dir: str) -> str | None:
    """Find the newest complete checkpoint of a run."""
    found = _checkpoints(work_dir)
    return found[max(found)] if found else None


def train(
    config: str,
    budget: Budget,
    resources: Resources,
    seed: int,
    work_dir: str,
    deadline: float | None = None,
    parent: int | None = None,
) -> None:
    """Train and score one run in this process, and write its result.

    The run goes on from its last checkpoint, if there is one. The weights of the last iteration
    are scored, not the best ones. No result is written if the run is stopped before; see
    :class:`RunMonitorHook` for ``deadline`` and ``parent``.
    """
    torch.set_num_threads(resources.threads)
    cfg = prepare(config, budget, resources, seed, work_dir)
    checkpoint = last_checkpoint(work_dir)
    if checkpoint:
        cfg.update(resume=True, load_from=checkpoint)
    runner = Runner.from_cfg(cfg)
    if resources.channels_last:
        runner.model.to(memory_format=torch.channels_last)
    if checkpoint and osp.basename(checkpoint) == f'iter_{budget.iters}.pth':
        # The training is complete, and only the score is missing.
        runner.resume(checkpoint, resume_optimizer=False, resume_param_scheduler=False)
    else:
        runner.register_hook(RunMonitorHook(work_dir, deadline, parent))
        runner.register_hook(AlignmentMonitorHook())
        runner.train()
        if runner.iter < budget.iters:
            print(f'stopped after {runner.iter} of {budget.iters} iterations')
            return
    metrics = runner.val_loop.run()
    (metric,) = runner.val_loop.evaluator.metrics
    history = {
        key: np.asarray(runner.message_hub.get_scalar(f'train/{key}').data[0], float)
        for key in ('time', 'data_time', 'loss')
    }
    # ``time`` includes the wait for data; the first iterations warm up.
    first = len(history['time']) // 10
    waits = 1000 * history['data_time'][first:]
    steps = 1000 * history['time'][first:] - waits
    by_source = [key.split('/')[1] for key in metrics if key.startswith('mIoU/')]
    result = dict(
        config=config,
        name=file_stem(config),
        seed=seed,
        budget=budget.as_json(),
        device=device_name('cuda' if torch.cuda.is_available() else 'cpu'),
        date=time.strftime('%Y-%m-%d'),
        mIoU=float(metrics['mIoU']),
        bIoU=float(metrics['bIoU']),
        aAcc=float(metrics['aAcc']),
        per_class=metric.per_class['IoU'],
        per_class_bIoU=metric.per_class['bIoU'],
        per_source={source: float(metrics[f'mIoU/{source}']) for source in by_source},
        parameters=sum(p.numel() for p in runner.model.parameters()),
        milliseconds_per_iteration=round(float(np.median(steps)), 1),
        milliseconds_waiting_for_data=round(float(np.mean(waits)), 1),
        final_loss=round(float(history['loss'][-20:].mean()), 4),
        flow_px=flow_in_pixels(runner),
        alignment_history=history_of(runner),
    )
    write_json(osp.join(work_dir, RESULT), result)


def finished(work_dir: str, budget: Budget) -> dict[str, Any] | None:
    """Read the result in a folder, or return None if it has none of the same budget."""
    try:
        result = read_json(osp.join(work_dir, RESULT))
    except (FileNotFoundError, ValueError):
        return None
    return result if result['budget'] == budget.as_json() else None


def iterations_done(work_dir: str) -> int:
    """Return the number of iterations that the run in a folder has done."""
    try:
        with open(osp.join(work_dir, PROGRESS), encoding='utf-8') as file:
            return int(file.read())
    except FileNotFoundError:
        return 0


def rewind_progress(work_dir: str) -> None:
    """Count a killed run's iterations up to its last checkpoint only, where it goes on."""
    if iterations_done(work_dir):
        write_text(osp.join(work_dir, PROGRESS), str(max(_checkpoints(work_dir), default=0)))


def flow_in_pixels(runner: Runner, images: int = 8) -> dict[str, float]:
    """Measure the mean length of the flow of each alignment module, in pixels of its output."""
    lengths: dict[str, list[float]] = {}
    runner.model.eval()
    with AlignmentRecorder(runner.model) as recorder, torch.no_grad():
        for _, batch in zip(range(images), runner.val_dataloader):
            runner.model.val_step(batch)
    for record in recorder.records:
        length = statistics.mean(flow_lengths(record.flow))
        lengths.setdefault(record.name, []).append(length)
    return {name: round(statistics.mean(values), 3) for name, values in lengths.items()}
