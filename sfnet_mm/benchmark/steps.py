"""Runs commands one after another, each with a time limit, and keeps their results."""

import json
import os
import os.path as osp
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sfnet_mm.utils.tooling import write_text

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
    """

    name: str
    title: str
    command: Sequence[str]
    limit: int
    env: dict[str, str] = field(default_factory=dict)
    needs: str = ''
    missing: str = ''
    read: Callable[[str], Any] | None = None


def load_record(folder: str, name: str) -> dict[str, Any] | None:
    """Read the record of a step in a folder, or return None if the step never ended."""
    try:
        with open(osp.join(folder, f'{name}.json'), encoding='utf-8') as file:
            return json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def run_steps(
    steps: list[Step],
    folder: str,
    key: str,
    on_step: Callable[[list[dict[str, Any]]], None] | None = None,
) -> list[dict[str, Any]]:
    """Run the steps that have not succeeded before. A step that fails does not stop the others.

    Args:
        steps: The steps in the order in which they run.
        folder: Folder of ``{name}.json``, the record of a step that ended, and ``{name}.log``.
        key: Text on the device and the sources. A step whose record has another key runs again.
        on_step: Function that is called after every step with the records until then.

    Returns:
        list[dict]: A record of each step: name, title, status (``'passed'``, ``'failed'``,
        ``'timed out'`` or ``'not available'``), seconds, limit, command, reason, result, key.
    """
    os.makedirs(folder, exist_ok=True)
    records = []
    for number, step in enumerate(steps, 1):
        record = load_record(folder, step.name)
        label = f'[{number}/{len(steps)}] {step.name}'
        if record and record['key'] == key and record['status'] in FINISHED:
            print(f'{label}: {record["status"]} before', flush=True)
        else:
            print(f'{label}: running, at most {step.limit} s', flush=True)
            record = dict(_run(step, folder), key=key)
            write_text(osp.join(folder, f'{step.name}.json'), json.dumps(record, indent=1) + '\n')
            reason = f' ({record["reason"]})' if record['reason'] else ''
            print(f'{label}: {record["status"]} in {record["seconds"]} s{reason}', flush=True)
        records.append(record)
        if on_step:
            on_step(records)
    return records


def _run(step: Step, folder: str) -> dict[str, Any]:
    missing = step.missing
    if step.needs and not shutil.which(step.needs):
        missing = f'{step.needs} is not installed'
    record = dict(
        name=step.name,
        title=step.title,
        command=' '.join(step.command),
        limit=step.limit,
        seconds=0.0,
        status='not available' if missing else 'passed',
        reason=missing,
        result=None,
    )
    if missing:
        return record
    begin = time.monotonic()
    log = osp.join(folder, f'{step.name}.log')
    code = _call(step, log)
    record['seconds'] = round(time.monotonic() - begin, 1)
    if code is None:
        record.update(status='timed out', reason=f'stopped after {step.limit} s, see {log}')
    elif code:
        record.update(status='failed', reason=f'exit status {code}, see {log}', tail=_tail(log))
    elif step.read:
        try:
            record['result'] = step.read(folder)
        except (OSError, ValueError, LookupError) as error:
            record.update(status='failed', reason=f'no result: {error}')
    return record


def _call(step: Step, log: str) -> int | None:
    """Run the command and return its exit status, or None if it was stopped at its limit."""
    with open(log, 'w', encoding='utf-8') as output:
        process = subprocess.Popen(
            step.command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **step.env},
            start_new_session=True,
        )
        try:
            return process.wait(step.limit)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # The processes that the command started are ended too.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _tail(path: str) -> list[str]:
    with open(path, encoding='utf-8', errors='replace') as file:
        lines = file.read().replace('\r', '\n').split('\n')
    return [line for line in lines if line.strip()][-_TAIL:]
