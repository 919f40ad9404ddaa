"""The number format that OpenVINO computes in is the one that was asked for, or an error."""

import subprocess
import sys

import numpy as np
import pytest

from sfnet_mm.deploy import load_runtime
from sfnet_mm.deploy.runtimes.openvino_runtime import openvino_core

pytest.importorskip('openvino', reason='needs requirements/deploy.txt')

SIGNAL_AFTER_TWO_RUNTIMES = """
import gc, os, signal, sys
from sfnet_mm.deploy import load_runtime

first, second = (load_runtime('openvino', sys.argv[1]) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGINT, lambda number, frame: print('interrupted'))
os.kill(os.getpid(), signal.SIGINT)
"""


def test_ctrl_c_reaches_python_after_two_runtimes_have_ended(onnx_file):
    command = [sys.executable, '-c', SIGNAL_AFTER_TWO_RUNTIMES, onnx_file]
    process = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0 and 'interrupted' in process.stdout


@pytest.mark.parametrize('precision', ['f32', 'bf16', 'f16'])
def test_precision_is_the_one_asked_for_or_refused(precision, onnx_file):
    image = np.random.default_rng(0).integers(0, 256, (96, 160, 3), dtype=np.uint8)
    exact = load_runtime('onnxruntime', onnx_file)
    can = openvino_core().get_property('CPU', 'OPTIMIZATION_CAPABILITIES')
    name = {'f32': 'FP32', 'bf16': 'BF16', 'f16': 'FP16'}[precision]
    if name not in can:
        with pytest.raises(ValueError, match=f'CPU does not compute in {precision}: OpenVINO take'):
            load_runtime('openvino', onnx_file, precision=precision)
        return
    runtime = load_runtime('openvino', onnx_file, precision=precision)
    data = exact.prepare(image)
    logits, expected = runtime.infer(data), exact.infer(data)
    error = np.abs(logits - expected).max() / np.abs(expected).max()
    # Eight bits of bfloat16 are seen in the logits, and 24 of float32 are not.
    low, high = {'f32': (0, 1e-4), 'bf16': (1e-4, 0.2), 'f16': (1e-5, 0.05)}[precision]
    assert low <= error < high


def test_unknown_precision_is_refused(onnx_file):
    with pytest.raises(ValueError, match="precision 'int4' is not one of f32, bf16, f16"):
        load_runtime('openvino', onnx_file, precision='int4')
