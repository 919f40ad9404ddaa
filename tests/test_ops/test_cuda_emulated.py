"""The CUDA kernels, thread by thread on the CPU, against the definition; and their compilation.

Needs a C++ compiler and the headers of CUDA, no device. It shows that indices, exchanges between
threads and sums are right; it cannot show races or speed.
"""

import ctypes
import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.cpp_extension import include_paths

from . import oracle
from .cases import DTYPES, TOLERANCE, away_from_integers, make_case, to_numpy

HERE = Path(__file__).parent
CSRC = HERE.parents[1] / 'sfnet_mm' / 'ops' / 'csrc'
# Builds of torch for CPUs have the other headers, but not this one.
MACROS = 'c10/cuda/impl/cuda_cmake_macros.h'
CUDA = Path(os.environ.get('CUDA_HOME', '/usr/local/cuda')) / 'include'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which('g++'), reason='needs g++'),
    pytest.mark.skipif(not (CUDA / 'cuda_fp16.h').exists(), reason=f'no CUDA headers in {CUDA}'),
    pytest.mark.skipif(not CSRC.exists(), reason='the sources of the kernels are not here'),
]


class Arguments(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_int32) for name in ('kind', 'channels_last', 'vector', 'crowded')]
        + [(name, ctypes.c_int32) for name in ('n', 'c', 'h', 'w')]
        + [('map_h', ctypes.c_int32 * 2), ('map_w', ctypes.c_int32 * 2)]
        + [('map', ctypes.c_void_p * 2)]
        + [(name, ctypes.c_void_p) for name in ('flow', 'gate', 'out', 'grad')]
        + [('grad_map', ctypes.c_void_p * 2)]
        + [(name, ctypes.c_void_p) for name in ('grad_flow', 'grad_gate')]
    )


@pytest.fixture(scope='module')
def library(tmp_path_factory):
    target = tmp_path_factory.mktemp('emulation') / 'kernels.so'
    subprocess.run(
        ['g++', '-O1', '-std=c++17', '-fPIC', '-shared', f'-I{CUDA}', f'-I{CSRC / "cuda"}']
        + [str(HERE / 'cuda_emulation' / 'run.cpp'), '-o', str(target)],
        check=True,
    )
    return ctypes.CDLL(str(target))


def run(library, case, grad, layout, crowded):
    """The output and the gradients of all inputs, from the kernels; without ``low``, of one map."""
    dtype = case.high.dtype
    maps = [x for x in (case.high, case.low) if x is not None]
    results = [torch.full_like(t, 7) for t in (grad, *(t for t in case if t is not None))]
    pointer = [t.data_ptr() for t in results]
    of_maps, (of_flow, *of_gate) = pointer[1 : 1 + len(maps)], pointer[1 + len(maps) :]
    n, c, h, w = grad.shape
    arguments = Arguments(
        DTYPES.index(dtype),
        layout == 'channels_last',
        c % (16 // grad.element_size()) == 0,
        crowded,
        *(n, c, h, w),
        (ctypes.c_int32 * 2)(*(x.shape[2] for x in maps)),
        (ctypes.c_int32 * 2)(*(x.shape[3] for x in maps)),
        (ctypes.c_void_p * 2)(*(x.data_ptr() for x in maps)),
        case.flow.data_ptr(),
        case.gate.data_ptr() if of_gate else None,
        pointer[0],
        grad.data_ptr(),
        (ctypes.c_void_p * 2)(*of_maps),
        of_flow,
        of_gate[0] if of_gate else None,
    )
    library.run_kernels(ctypes.byref(arguments))
    return results


SHAPES = [
    (2, 3, (5, 7), (4, 6)),
    (1, 16, (2, 2), (9, 10)),
    (1, 40, (1, 3), (2, 5)),
    (1, 8, (6, 6), (3, 2)),
]
CASES = [(layout, shape) for layout in ('nchw', 'channels_last') for shape in SHAPES]
# Threads take several turns over the samples of a cell and over the channels.
CASES.append(('channels_last', (1, 264, (1, 2), (16, 17))))
# Several tiles of a map lie below each other.
CASES.append(('channels_last', (1, 8, (3, 2), (70, 3))))


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('layout, shape', CASES, ids=str)
def test_equals_the_definition(library, layout, shape, dtype):
    for gate in (True, False):
        case = away_from_integers(make_case(shape, torch.float64, layout, gate))
        case.flow[0, 0, 0, 0], case.flow[0, 3, -1, -1] = float('nan'), 3e4
        # Half maps come with flow and gate in float32 here, bfloat16 ones with bfloat16.
        fine = torch.float32 if dtype == torch.float16 else dtype
        maps = case.high.to(dtype), case.low.to(dtype)
        case = case._replace(
            high=maps[0], low=maps[1], flow=case.flow.to(fine), gate=gate and case.gate.to(fine)
        )
        case = case._replace(gate=case.gate if gate else None)
        grad = torch.randn_like(case.low)
        expected = [
            oracle.gated_dual_flow_warp(*map(to_numpy, case)),
            *oracle.gated_dual_flow_warp_backward(to_numpy(grad), *map(to_numpy, case)),
        ]
        for crowded in (False, True):
            for ours, value in zip(run(library, case, grad, layout, crowded), expected):
                tolerance = 2 * TOLERANCE[dtype] * max(1, np.abs(value).max())
                np.testing.assert_allclose(to_numpy(ours), value, rtol=0, atol=tolerance)


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('layout', ['nchw', 'channels_last'])
def test_one_map_equals_the_definition(library, layout, dtype):
    case = away_from_integers(make_case((2, 16, (5, 4), (6, 9)), torch.float64, layout))
    fine = torch.float32 if dtype == torch.float16 else dtype
    grad = torch.randn_like(case.low).to(dtype)
    flow = case.flow[:, :2].to(fine).contiguous()
    case = case._replace(high=case.high.to(dtype), low=None, flow=flow, gate=None)
    high, flow = to_numpy(case.high), to_numpy(flow)
    gradients = oracle.flow_warp_backward(to_numpy(grad), high, flow)
    expected = [oracle.flow_warp(high, flow), *gradients]
    for crowded in (False, True):
        for ours, value in zip(run(library, case, grad, layout, crowded), expected):
            tolerance = 2 * TOLERANCE[dtype] * max(1, np.abs(value).max())
            np.testing.assert_allclose(to_numpy(ours), value, rtol=0, atol=tolerance)


@pytest.mark.parametrize('layout', ['nchw', 'channels_last'])
def test_an_infinite_gate_does_not_matter_where_nothing_is_read(library, layout):
    case = away_from_integers(make_case((1, 8, (3, 4), (4, 4)), torch.float32, layout))
    case.low[:] = case.low.abs() + 1
    case.flow[:, :2], case.flow[:, 2:], case.gate[:] = 1e4, 0.5, float('inf')
    out = run(library, case, torch.randn_like(case.low), layout, False)[0]
    # What the low map is read for is (1 - gate) of it.
    np.testing.assert_array_equal(to_numpy(out[..., :3, :3]), -np.inf)


@pytest.mark.skipif(not shutil.which('nvcc'), reason='needs nvcc')
@pytest.mark.skipif(
    not any((Path(p) / MACROS).exists() for p in include_paths()),
    reason='this torch was built without CUDA',
)
def test_kernels_and_launches_compile(tmp_path):
    folders = [*include_paths(), sysconfig.get_path('include')]
    command = ['nvcc', '-std=c++20', '-c', str(CSRC / 'cuda' / 'flow_warp.cu')]
    command += ['-Xcicc', '-O0', '-Xptxas', '-O0', '-o', str(tmp_path / 'flow_warp.o')]
    done = subprocess.run(
        [*command, *(f'-I{p}' for p in folders)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    own = [line for line in done.stderr.splitlines() if line.startswith(str(CSRC))]
    assert not own, '\n'.join(own)
