"""Defines the steps of the GPU report, the most important first."""

import os
import os.path as osp
import shlex
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from sfnet_mm.utils.tooling import read_json

from .steps import Step

LITE, LITE_R18 = 'configs/sfnet_lite_stdc1_cityscapes.py', 'configs/sfnet_lite_r18_cityscapes.py'
SFNET = 'configs/sfnet_stdc1_cityscapes.py'
CAMVID = (
    'configs/ablation/fpn_ppm_efflite0_camvid360.py',
    'configs/sfnet_efflite0_camvid360.py',
    'configs/sfnet_lite_efflite0_camvid360.py',
)
MINI_UDS = ('configs/sfnet_lite_stdc1_miniuds.py',)


@dataclass
class Plan:
    """The device, the folders and the amount of training of a report.

    Args:
        device: ``'cuda'``, or ``'cpu'`` for a rehearsal of the same steps at toy size.
        folder: Folder of the report.
        camvid: Folder of CamVid. Without it, the training uses drawn scenes.
        iters: Number of iterations of each training run.
        seeds: Number of training runs of each config.
        jobs: Number of training runs at the same time.
    """

    device: str
    folder: str
    camvid: str | None = None
    iters: int = 400
    seeds: int = 3
    jobs: int = 3

    @property
    def site(self) -> str:
        """The folder into which the package is installed with its compiled warp."""
        return osp.join(self.folder, 'site')


def make_steps(plan: Plan) -> list[Step]:
    """Make all steps of a report. Those after the build import the package that it installed."""
    steps = [_describe(plan), _build(plan), _tests(plan), *_sanitizer(plan), _ops(plan)]
    steps += [*_networks(plan), _kernel(plan), _two_processes(plan), _training(plan)]
    steps.append(_tensorrt(plan))
    # The installed package comes before a source tree in the caller's PYTHONPATH.
    paths = osp.abspath(plan.site), os.environ.get('PYTHONPATH')
    for step in steps[2:]:
        step.env.setdefault('PYTHONPATH', os.pathsep.join(filter(None, paths)))
        if plan.device == 'cpu':
            # Two steps of a rehearsal run at the same time.
            step.env['OMP_NUM_THREADS'] = '1'
    return steps


def _python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _tool(name: str, *arguments: str) -> list[str]:
    return _python(f'tools/analysis_tools/{name}.py', *arguments)


def _program(name: str, *arguments: str) -> list[str]:
    """Make the command of a module of the installed package, and not of the source tree."""
    start = f'import sys; sys.path.pop(0); from sfnet_mm.benchmark.{name} import main; main()'
    return _python('-c', start, *arguments)


def _json(name: str) -> Callable[[str], Any]:
    return lambda folder: read_json(osp.join(folder, name))


def _describe(plan: Plan) -> Step:
    out = osp.join(plan.folder, 'machine.json')
    command = _python('-m', 'sfnet_mm.benchmark.machine', '--device', plan.device, '--out', out)
    return Step('device', 'device and versions', command, 120, read=_json('machine.json'))


def _build(plan: Plan) -> Step:
    base = osp.join(plan.folder, 'build')
    command = _python('setup.py', '-q', 'build', '--build-base', base, '--build-lib', plan.site)
    env = dict(SFNET_MM_WITH_OPS='1')
    return Step('build', 'build of the compiled warp', command, 420, env, awaited=True)


def _tests(plan: Plan) -> Step:
    report = osp.join(plan.folder, 'junit.xml')
    # `-m pytest` would import the source tree instead of the installed package.
    start = 'import sys; sys.path.pop(0); import pytest; sys.exit(pytest.main(sys.argv[1:]))'
    command = _python('-c', start, '-q', '-m', 'gpu', '--gpu-device', plan.device)
    command += ['-p', 'no:cacheprovider', f'--junitxml={report}', 'tests']
    if plan.device == 'cuda':
        command += ['-n', '12']
    return Step('tests', 'tests on the device', command, 300, read=_junit)


def _junit(folder: str) -> dict[str, int]:
    suites = ElementTree.parse(osp.join(folder, 'junit.xml')).getroot().iter('testsuite')
    counts = dict(tests=0, failures=0, errors=0, skipped=0)
    for suite in suites:
        for key in counts:
            counts[key] += int(suite.get(key, 0))
    return counts


def _sanitizer(plan: Plan) -> list[Step]:
    program = _program('warp_program', '--device', plan.device)
    if plan.device == 'cpu':
        return [Step('memcheck', 'reads and writes out of bounds', program, 120)]
    env = dict(PYTORCH_NO_CUDA_MEMORY_CACHING='1')
    command = ['compute-sanitizer', '--error-exitcode', '9']
    checks = dict(memcheck='reads and writes out of bounds', racecheck='races in shared memory')
    return [
        Step(name, title, [*command, '--tool', name, *program], 150, dict(env), needs=command[0])
        for name, title in checks.items()
    ]


def _ops(plan: Plan) -> Step:
    out = osp.join(plan.folder, f'ops_{plan.device}.json')
    command = _tool('benchmark_ops', '--device', plan.device, '--out', out)
    if plan.device == 'cpu':
        command += ['--rounds', '1', '--sizes', '512x1024', '--dtypes', 'float32']
        command += ['--ways', 'authors', 'native', 'ext']
    else:
        # Compiling every case would take longer than all the rest of the report.
        command += ['--rounds', '15', '--ways', 'authors', 'native', 'ext']
    return Step('ops', 'speed of the warp', command, 240, read=_json(osp.basename(out)))


def _networks(plan: Plan) -> list[Step]:
    """Make the steps that time networks beside their twins without flow, and beside peers."""

    def step(name: str, title: str, limit: int, *arguments: str) -> Step:
        out = osp.join(plan.folder, f'speed_{plan.device}_{name}.json')
        command = _tool('benchmark', *arguments, '--device', plan.device, '--out', out)
        command += ['--cache', osp.join(plan.folder, 'exported')]
        if plan.device == 'cpu':
            command += ['--size', '128x256', '--rounds', '1', '--warmup', '0']
        else:
            command += ['--rounds', '15', '--repeats', '5']
        return Step(name, title, command, limit, read=_json(osp.basename(out)))

    if plan.device == 'cpu':
        backends, fast, peers = 'authors,ext,optimize', 'optimize', 'BiSeNetV2'
    else:
        half = 'ext@float16,compile@float16,graph@float16,compile-graph@float16'
        backends = f'authors,native,ext,graph,{half}'
        fast, peers = 'authors,ext,ext@float16,graph@float16', 'all'
    more = [] if plan.device == 'cpu' else [LITE_R18, SFNET]
    return [
        step('networks', 'network and twin', 300, LITE, '--twins', '--backend', backends),
        step('peers', 'networks and peers', 240, LITE, *more, '--peers', peers, '--backend', fast),
    ]


def _kernel(plan: Plan) -> Step:
    program = _program('warp_program', '--device', plan.device, '--large')
    title = 'kernels of GD-FAM under the profiler'
    if plan.device == 'cpu':
        return Step('kernels', title, program, 120)
    # ncu must not change the clock frequencies of the GPU.
    command = ['ncu', '--clock-control', 'none', '--set', 'basic', '--csv', '--kernel-name']
    command += ['regex:forward_cl|backward_flow|gather|cells', '--log-file']
    command += [osp.join(plan.folder, 'ncu.csv'), *program]
    return Step('kernels', title, command, 120, needs='ncu', read=_read_ncu)


def _read_ncu(folder: str) -> list[str]:
    with open(osp.join(folder, 'ncu.csv'), encoding='utf-8') as file:
        return [line.strip() for line in file if line.startswith('"')]


def _two_processes(plan: Plan) -> Step:
    command = _program('two_processes', '--device', plan.device)
    return Step('two_processes', 'two processes on one device', command, 300)


def _training(plan: Plan) -> Step:
    work_dir = osp.join(plan.folder, 'training')
    configs = CAMVID if plan.camvid else MINI_UDS
    command = _tool('compare', *configs, '--work-dir', work_dir, '--iters', str(plan.iters))
    command += ['--seeds', *map(str, range(plan.seeds)), '--jobs', str(plan.jobs)]
    if plan.camvid:
        command += ['--data-root', plan.camvid, '--optimizer', 'config']
    if plan.device == 'cuda':
        command += ['--batch-size', '8', '--amp', '--workers', '3']
    else:
        command += ['--batch-size', '2', '--crop', '64', '64', '--workers', '0']
    results = osp.join('training', 'results.json')
    limit = 480 if plan.device == 'cuda' else 240
    return Step('training', 'training with mixed precision', command, limit, read=_json(results))


def _tensorrt(plan: Plan) -> Step:
    onnx = osp.join(plan.folder, 'lite.onnx')
    engine = osp.join(plan.folder, 'lite.engine')
    export = shlex.join(_python('tools/deployment/export_onnx.py', LITE, onnx))
    build = shlex.join(_python('tools/deployment/build_trt.py', onnx, engine, '--fp16'))
    command = ['sh', '-c', f'{export} && {build}']
    missing = '' if plan.device == 'cuda' else 'TensorRT needs a CUDA device'
    if not missing and find_spec('tensorrt') is None:
        missing = 'TensorRT is not installed'
    return Step('tensorrt', 'TensorRT engine', command, 240, missing=missing)
