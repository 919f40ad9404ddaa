"""The tool that builds engines, without TensorRT."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import load_tool, run_tool

from sfnet_mm.deploy.runtimes import Runtime


def test_missing_tensorrt_is_named_after_the_command_that_does_the_same(
    monkeypatch, capsys, tmp_path
):
    monkeypatch.setitem(sys.modules, 'tensorrt', None)
    with pytest.raises(SystemExit, match='TensorRT is not installed'):
        run_tool('deployment/build_trt', 'm.onnx', tmp_path / 'm.engine', '--fp16')
    assert 'trtexec --onnx=m.onnx' in capsys.readouterr().out


META = dict(input='normalized', output='argmax', size=[64, 96], num_classes=2)
META.update(mean=[0.0] * 3, std=[1.0] * 3, bgr_to_rgb=True)


@pytest.mark.parametrize('differing', [0, 1])
def test_engine_and_metadata_appear_only_if_the_engine_agrees(differing, monkeypatch, tmp_path):
    class Half(Runtime):
        """Its upper rows are of class 1, up to a row."""

        def infer(self, data):
            return np.arange(64).reshape(1, 64, 1) < 32 * np.ones((1, 1, 96)) + self.more

    def engine_runtime(path):
        with open(path, 'rb') as engine, open(f'{path}.json', encoding='utf-8') as meta:
            assert engine.read() == b'an engine'
            runtime = Half(json.load(meta))
        runtime.more = differing
        return runtime

    tool = load_tool('deployment/build_trt')
    reference = Half(META)
    reference.more = 0
    monkeypatch.setattr(tool, 'require', lambda *_: SimpleNamespace(__version__='10.1'))
    monkeypatch.setattr(tool, 'build', lambda *_: b'an engine')
    monkeypatch.setattr(tool, 'OnnxRuntime', lambda path: reference)
    monkeypatch.setattr(tool, 'TensorRTRuntime', engine_runtime)
    arguments = ['model.onnx', str(tmp_path / 'model.engine')]
    if differing:
        with pytest.raises(SystemExit, match='agrees with ONNX Runtime on 98.4375% of the classes'):
            tool.main(arguments)
        assert not list(tmp_path.iterdir())
    else:
        tool.main(arguments)
        assert (tmp_path / 'model.engine').read_bytes() == b'an engine'
        assert json.loads((tmp_path / 'model.engine.json').read_text()) == META
