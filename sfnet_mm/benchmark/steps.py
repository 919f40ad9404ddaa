"""Runs commands, each with a time limit, and keeps their results."""

import os
import os.path as osp
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sfnet_mm.utils.tooling import read_json, write_json

# A step with one of these statuses is not repeated.
FINISHED = ('passed', 'not available')
_TAIL = 30


@dataclass
class Step:
    """A command with a time limit.

    Args:
        name: Name of the step and of its files.
        title: Title of the step in the summary.
        command: Program and arguments.
        limit: Seconds after which the command is stopped.
        env: Environment variables that are added to the present ones.
        needs: Name of a program that the step needs, such as ``'ncu'``; empty if it needs none.
        missing: Reason why the step is not available here; empty if it is.
        read: Function that reads the result from the folder of the report after a success.
        awaited: Whether the steps behind it begin only when it has ended.
    """

    name: str
    title: str
    command: Sequence[str]
    limit: int
    env: dict[str, str] = field(default_factory=dict)
    needs: str = ''
    missing: str = ''
    read: Callable[[str], Any] | None = None
    awaited: bool = False


def load_record(folder: str, name: str) -> dict[str, Any] | None:
    """Read the record of a step in a folder, or return None if the step never ended."""
    try:
        return read_json(osp.join(folder, f'{name}.json'))
    except (FileNotFoundError, ValueError):
        return None


def run_steps(
    steps: list[Step],
    folder: str,
    key: str,
    on_step: Callable[[list[dict[str, Any]]], None] | None = None,
    at_once: int = 1,
) -> list[dict[str, Any]]:
    """Run the steps that have not succeeded before. A step that fails does not stop the others.

    Args:
        steps: The steps in the order in which they run.
        folder: Folder of ``{name}.json``, the record of a step that ended, and ``{name}.log``.
        key: Text on the device and the sources. A step whose record has another key runs again.
        on_step: Function that is called after every step with the records until then.
        at_once: Number of steps that run at the same time.

    Returns:
        list[dict]: A record of each step: name, title, status (``'passed'``, ``'failed'``,
        ``'timed out'`` or ``'not available'``), seconds, limit, command, reason, result, key.
    """
    os.makedirs(folder, exist_ok=True)
    found: dict[int, dict[str, Any]] = {}
    waiting = list(enumerate(steps))
    running: dict[int, _Run] = {}

    def keep(index: int, record: dict[str, Any], text: str) -> None:
        found[index] = record
        print(f'{_label(index, steps)}: {text}', flush=True)
        if on_step:
            on_step([found[i] for i in sorted(found)])

    try:
        while waiting or running:
            awaited = any(run.step.awaited for run in running.values())
            if waiting and len(running) < at_once and not awaited:
                index, step = waiting.pop(0)
                record = load_record(folder, step.name)
                if record and record['key'] == key and record['status'] in FINISHED:
                    keep(index, record, f'{record["status"]} before')
                else:
                    print(f'{_label(index, steps)}: running, at most {step.limit} s', flush=True)
                    running[index] = _Run(step, folder)
                continue
            for index in [i for i, run in running.items() if run.ended()]:
                record = dict(running[index].record(), key=key)
                name = running.pop(index).step.name
                write_json(osp.join(folder, f'{name}.json'), record)
                reason = f' ({record["reason"]})' if record['reason'] else ''
                keep(index, record, f'{record["status"]} in {record["seconds"]} s{reason}')
            time.sleep(0.02)
    finally:
        for run in running.values():
            run.end()
    return [found[i] for i in sorted(found)]


def _label(index: int, steps: list[Step]) -> str:
    return f'[{index + 1}/{len(steps)}] {steps[index].name}'


class _Run:
    """The run of a step."""

    def __init__(self, step: Step, folder: str) -> None:
        self.step, self.folder = step, folder
        self.log = osp.join(folder, f'{step.name}.log')
        self.missing = step.missing
        if step.needs and not shutil.which(step.needs):
            self.missing = f'{step.needs} is not installed'
        self.begin = time.monotonic()
        self.process: subprocess.Popen | None = None
        if not self.missing:
            with open(self.log, 'w', encoding='utf-8') as output:
                self.process = subprocess.Popen(
                    step.command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **step.env},
                    start_new_session=True,
                )

    def ended(self) -> bool:
        """Whether the command has ended, or its time is over."""
        late = time.monotonic() - self.begin > self.step.limit
        return self.process is None or late or self.process.poll() is not None

    def end(self) -> None:
        """End the command, if it still runs, and the processes that it started."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def record(self) -> dict[str, Any]:
        """Describe the command that has ended, or end it."""
        step, log = self.step, self.log
        record = dict(
            name=step.name,
            title=step.title,
            command=' '.join(step.command),
            limit=step.limit,
            seconds=0.0,
            status='not available' if self.process is None else 'passed',
            reason=self.missing,
            result=None,
        )
        if self.process is None:
            return record
        record['seconds'] = round(time.monotonic() - self.begin, 1)
        code = self.process.poll()
        self.end()
        if code is None:
            record.update(status='timed out', reason=f'stopped after {step.limit} s, see {log}')
        elif code:
            record.update(status='failed', reason=f'exit status {code}, see {log}', tail=_tail(log))
        elif step.read:
            try:
                record['result'] = step.read(self.folder)
            except (OSError, ValueError, LookupError) as error:
                record.update(status='failed', reason=f'no result: {error}')
        return record


def _tail(path: str) -> list[str]:
    with open(path, encoding='utf-8', errors='replace') as file:
        lines = file.read().replace('\r', '\n').split('\n')
    return [line for line in lines if line.strip()][-_TAIL:]
