"""Times training steps of several configs side by side."""

import os.path as osp
import statistics
from collections.abc import Sequence

import torch
from mmengine.runner import Runner
from mmengine.utils import track_iter_progress

from sfnet_mm.engine.model_weights import remove_pretrained
from sfnet_mm.utils.timer import Timer
from sfnet_mm.utils.tooling import file_stem, write_json

from .settings import Budget, Resources, prepare

TIMES = 'times.json'


def time_steps(
    configs: Sequence[str], budget: Budget, resources: Resources, rounds: int, work_dir: str
) -> None:
    """Write the median milliseconds of a training step of each config. The configs take turns."""
    torch.set_num_threads(resources.threads)
    steps = {}
    for config in configs:
        folder = osp.join(work_dir, file_stem(config), 'time')
        runner = Runner.from_cfg(prepare(config, budget, resources, 0, folder))
        remove_pretrained(runner.model)
        runner.model.init_weights()
        runner.model.train()
        batch = next(iter(runner.train_dataloader))
        wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        steps[file_stem(config)] = (runner.model, batch, wrapper)
    timer = Timer('cuda' if torch.cuda.is_available() else 'cpu')
    times: dict[str, list[float]] = {name: [] for name in steps}
    for turn in track_iter_progress(list(range(rounds + 1))):
        for name, (model, batch, wrapper) in steps.items():
            with timer:
                model.train_step(batch, optim_wrapper=wrapper)
            if turn:  # the first turn warms up
                times[name].append(timer.milliseconds)
    print()
    found = {name: round(statistics.median(values), 1) for name, values in times.items()}
    write_json(osp.join(work_dir, TIMES), found)
