"""Starts the runs of a comparison as processes, several at a time."""

import os
import os.path as osp
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mmengine.config import Config

from sfnet_mm.engine.data_check import read_data_set
from sfnet_mm.utils.tooling import file_stem, read_json, write_json

from .settings import Budget, Resources
from .training import finished, iterations_done, rewind_progress

JOB, OUTPUT = 'job.json', 'output.txt'
_REPORT_SECONDS = 30  # from one line of progress to the next


@dataclass
class Job:
    """One run of a comparison.

    Args:
        config: Path of the config.
        seed: Seed of the run.
        work_dir: Folder of this run alone.
    """

    config: str
    seed: int
    work_dir: str

    @property
    def label(self) -> str:
        """The name of the run in messages."""
        return f'{file_stem(self.config)}, seed {self.seed}'

    def start(
        self, budget: Budget, resources: Resources, deadline: float | None
    ) -> subprocess.Popen:
        """Start the run in a process that ignores Ctrl-C and stops when this process is gone."""
        job = dict(
            asdict(self),
            budget=asdict(budget),
            resources=asdict(resources),
            deadline=deadline,
            parent=os.getpid(),
        )
        path = osp.join(self.work_dir, JOB)
        write_json(path, job)
        with open(osp.join(self.work_dir, OUTPUT), 'a', encoding='utf-8') as output:
            return subprocess.Popen(
                [sys.executable, '-m', 'sfnet_mm.comparison', path],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def failure(self, code: int) -> str:
        """Say why the run failed: its last line, and the file with the others."""
        path = osp.join(self.work_dir, OUTPUT)
        if code < 0:
            return f'{self.label}: ended by signal {-code} (see {path})'
        with open(path, encoding='utf-8', errors='replace') as file:
            lines = [line.strip() for line in file if line.strip()]
        return f'{self.label}: {lines[-1] if lines else "no output"} (see {path})'


def check_budget(jobs: Sequence[Job], budget: Budget) -> None:
    """Raise a ValueError if a folder has a run of another budget, which cannot be continued."""
    wanted = budget.as_json()
    for job in jobs:
        path = osp.join(job.work_dir, JOB)
        if osp.isfile(path):
            found = read_json(path)['budget']
            if found != wanted:
                keys = [k for k in {**wanted, **found} if wanted.get(k) != found.get(k)]
                raise ValueError(
                    f'{job.work_dir} has a run with other settings ({", ".join(keys)}): '
                    'choose another --work-dir'
                )


def check_data(configs: Sequence[Config]) -> None:
    """Raise a ValueError if data of the prepared configs are missing, before any run is started."""
    checked = []
    for cfg in configs:
        for split in ('train', 'val'):
            dataset = cfg[f'{split}_dataloader'].dataset
            if dataset not in checked:
                checked.append(dataset)
                read_data_set(dataset, split)


def run_jobs(
    jobs: Sequence[Job],
    budget: Budget,
    resources: Resources,
    at_once: int,
    minutes: float | None = None,
) -> list[str]:
    """Run all jobs that have no result yet.

    Args:
        jobs: The runs, in the order in which they are started.
        budget: The budget of all runs.
        resources: The resources of each run.
        at_once: How many jobs run at the same time.
        minutes: Stop after this many minutes; the runs in progress then write a checkpoint.

    Returns:
        One line for each run that failed. A run that fails does not end the others.
    """
    waiting = [job for job in jobs if not finished(job.work_dir, budget)]
    for job in jobs:
        if job not in waiting:
            print(f'{job.label}: done before')
        else:
            rewind_progress(job.work_dir)
    begin = last_report = time.time()
    deadline = begin + 60 * minutes if minutes else None
    left_before = sum(budget.iters - iterations_done(job.work_dir) for job in waiting)
    running: dict[int, Any] = {}
    failures: list[str] = []
    open_jobs = list(waiting)
    while running or waiting:
        while waiting and len(running) < at_once:
            if deadline and time.time() > deadline:
                waiting.clear()
                break
            job = waiting.pop(0)
            process = job.start(budget, resources, deadline)
            running[process.pid] = job, process
            print(f'{job.label}: running', flush=True)
        time.sleep(0.1)
        for pid, (job, process) in list(running.items()):
            if process.poll() is None:
                continue
            del running[pid]
            result = finished(job.work_dir, budget)
            if process.returncode:
                failures.append(job.failure(process.returncode))
                print(f'{job.label}: failed', flush=True)
                open_jobs.remove(job)
            elif result:
                scores = f'mIoU {result["mIoU"]:.2f}, bIoU {result["bIoU"]:.2f}'
                print(f'{job.label}: {scores}', flush=True)
            else:
                print(
                    f'{job.label}: stopped after {iterations_done(job.work_dir)} iterations',
                    flush=True,
                )
        if time.time() - last_report > _REPORT_SECONDS:
            last_report = time.time()
            left = sum(budget.iters - iterations_done(job.work_dir) for job in open_jobs)
            print(progress(left_before, left, len(running), last_report - begin), flush=True)
    return failures


def progress(left_before: int, left: int, running: int, seconds: float) -> str:
    """Write a line on the iterations since the call began, the running jobs and the time left."""
    done = left_before - left
    rest = f'about {seconds * left / done / 60:.0f} min left' if done > 0 else 'starting'
    return f'{done} of {left_before} iterations, {running} running, {seconds / 60:.0f} min, {rest}'
