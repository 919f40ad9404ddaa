"""``examples/cpp`` is built and gives the mask of the Python runtime."""

import os.path as osp
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from deploy_helpers import SIZE, needs_onnx, small_model, smooth_image, strip_metadata
from helpers import ROOT

from sfnet_mm.deploy import export_onnx, load_model, load_runtime
from sfnet_mm.visualization import overlay


def build(folder):
    """Compile the example; the path of the program, and whether it knows PPM only."""
    needs_onnx('openvino')
    for program in ('cmake', 'c++'):
        if not shutil.which(program):
            pytest.skip(f'{program} is not installed')
    source = osp.join(ROOT, 'examples', 'cpp')
    options = [f'-DPython3_EXECUTABLE={sys.executable}', '-DCMAKE_BUILD_TYPE=Debug']
    command = ['cmake', '-S', source, '-B', folder, *options]
    for step in (command, ['cmake', '--build', folder]):
        result = subprocess.run(step, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        if 'pictures: ' in result.stdout:
            ppm_only = 'pictures: PPM only' in result.stdout
    return osp.join(folder, 'segment'), ppm_only


@pytest.fixture(scope='module')
def program(tmp_path_factory):
    """A function of arguments that runs the program, and whether it knows PPM only."""
    path, ppm_only = build(str(tmp_path_factory.mktemp('build')))

    def run(*arguments):
        return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True)

    return run, ppm_only


@pytest.fixture(scope='module')
def graphs(program, tmp_path_factory):
    """Files of classes and of logits, of normalized and of raw images, fixed and of any size."""
    folder = tmp_path_factory.mktemp('graphs')
    config, checkpoint, _ = small_model(folder)
    model = load_model(config, checkpoint)
    export_onnx(model, str(folder / 'classes.onnx'), SIZE)
    raw = dict(output='logits', normalize=True, dynamic=True)
    export_onnx(model, str(folder / 'logits.onnx'), SIZE, **raw)
    return folder


@pytest.mark.parametrize(
    'graph, size', [('classes', SIZE), ('logits', SIZE), ('logits', (110, 200))]
)
def test_mask_and_overlay_are_those_of_python(program, graphs, tmp_path, graph, size):
    run, ppm_only = program
    image = smooth_image(size)
    cv2.imwrite(str(tmp_path / 'street.ppm'), image)
    result = run(graphs / f'{graph}.onnx', tmp_path / 'street.ppm', tmp_path / 'out')
    assert result.returncode == 0 and not result.stderr, result.stderr
    runtime = load_runtime('openvino', str(graphs / f'{graph}.onnx'), threads=1)
    expected = runtime.predict(image)
    suffixes = ('pgm', 'ppm') if ppm_only else ('png', 'png')
    mask = cv2.imread(str(tmp_path / f'out_mask.{suffixes[0]}'), cv2.IMREAD_UNCHANGED)
    assert len(np.unique(expected)) == 3 and (mask == expected).mean() >= 0.9999
    drawn = cv2.imread(str(tmp_path / f'out_overlay.{suffixes[1]}'))[..., ::-1]
    wanted = overlay(image[..., ::-1], mask, runtime.palette)
    assert np.abs(drawn.astype(int) - wanted).max() <= 1
    for k, line in enumerate(result.stdout.splitlines()):
        share, name = line.split(' %  ')
        assert name == f'class {k}' and float(share) == pytest.approx(
            100 * (mask == k).mean(), abs=0.051
        )
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        ['street.ppm', f'out_mask.{suffixes[0]}', f'out_overlay.{suffixes[1]}']
    )


def test_bad_input_is_one_line(program, graphs, tmp_path):
    run, _ = program
    graph = graphs / 'classes.onnx'
    cv2.imwrite(str(tmp_path / 'large.ppm'), smooth_image((128, 160)))
    cv2.imwrite(str(tmp_path / 'street.ppm'), smooth_image())
    (tmp_path / 'text.ppm').write_text('P6 10 10 255\nshort')
    (tmp_path / 'text.onnx').write_text('no graph')
    image = tmp_path / 'street.ppm'
    for arguments, message in (
        (
            (graph, tmp_path / 'large.ppm', tmp_path / 'out'),
            'is 128x160 and the input of the graph',
        ),
        ((graph, tmp_path / 'text.ppm', tmp_path / 'out'), 'text.ppm'),
        ((graph, tmp_path / 'missing.ppm', tmp_path / 'out'), 'missing.ppm'),
        ((tmp_path / 'text.onnx', image, tmp_path / 'out'), 'text.onnx cannot be read as ONNX'),
        ((graph, image, tmp_path / 'no' / 'folder'), 'cannot be written'),
        ((graph,), 'usage: segment MODEL.onnx IMAGE OUT'),
    ):
        result = run(*arguments)
        assert result.returncode != 0 and message in result.stderr, result
        # OpenVINO's readers of other formats print lines of their own before it.
        lines = result.stderr.splitlines()
        assert lines[-1].startswith('error: ') and message in lines[-1], result
        assert len(lines) == 1 or 'text.onnx' in message
    assert not list(tmp_path.glob('out*'))


def test_foreign_graph_is_refused(program, graphs, tmp_path):
    run, _ = program
    strip_metadata(graphs / 'classes.onnx', tmp_path / 'other.onnx')
    cv2.imwrite(str(tmp_path / 'street.ppm'), smooth_image())
    result = run(tmp_path / 'other.onnx', tmp_path / 'street.ppm', tmp_path / 'out')
    assert result.returncode == 1 and 'has no metadata of sfnet_mm' in result.stderr
