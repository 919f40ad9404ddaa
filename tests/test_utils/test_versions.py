"""``python -m sfnet_mm`` says what a bug report needs, whatever is installed."""

import runpy
from importlib import metadata

import cv2
import numpy
import torch
import yaml
from helpers import read_text

import sfnet_mm
from sfnet_mm.benchmark.machine import describe
from sfnet_mm.utils import versions as module


def printed(capsys):
    runpy.run_module('sfnet_mm', run_name='__main__')
    lines = capsys.readouterr().out.splitlines()
    return {name: value.strip() for name, value in (line.split(':', 1) for line in lines)}


def test_versions_are_those_of_the_modules(capsys):
    found = printed(capsys)
    assert found['sfnet_mm'] == sfnet_mm.__version__ and found['torch'] == torch.__version__
    assert found['numpy'] == numpy.__version__
    assert found['opencv'].split()[0].startswith(cv2.__version__)
    names = (
        'python system cuda cudnn gpu mmcv mmengine mmsegmentation mmdet onnx onnxruntime openvino'
    )
    assert set(names.split()) < found.keys() and all(found.values())
    assert 'compiled warp' in found


def test_what_is_missing_is_named(monkeypatch, capsys):
    def version(name):
        if name == 'mmcv-lite':
            return '2.1.0'
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(module.metadata, 'version', version)
    monkeypatch.setattr(module.shutil, 'which', lambda name: None)
    found = printed(capsys)
    assert found['mmcv'] == '2.1.0 (mmcv-lite)'
    assert {found[n] for n in ('mmdet', 'onnx', 'openvino', 'nvcc')} == {'not installed'}


def test_facts_of_a_machine_are_the_same():
    facts = describe('cpu')
    assert module.versions().items() <= facts.items() and {'device', 'date'} < facts.keys()


def test_issue_template_asks_for_them():
    form = yaml.safe_load(read_text('.github/ISSUE_TEMPLATE/bug_report.yml'))
    first = form['body'][0]
    assert 'python -m sfnet_mm' in first['attributes']['description']
    assert first['validations']['required'] and {'name', 'description'} < form.keys()
