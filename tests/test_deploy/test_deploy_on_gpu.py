"""Inference form, runtime, export and checkpoints of a model that sits on a GPU."""

import copy

import numpy as np
import pytest
import torch
from deploy_helpers import CONFIG, SIZE, needs_onnx, small_model

from sfnet_mm.compat import load_checkpoint_file
from sfnet_mm.deploy import export_onnx, load_model, load_runtime, optimize

pytestmark = pytest.mark.gpu


def random_images(num=1):
    return torch.randn(num, 3, *SIZE)


@pytest.fixture(scope='module')
def files(request, tmp_path_factory):
    """A config and its checkpoint; a rehearsal on the CPU takes a thin model."""
    if request.config.getoption('gpu_device') == 'cpu':
        return small_model(str(tmp_path_factory.mktemp('thin')))[:2]
    return CONFIG, request.getfixturevalue('checkpoint')


@pytest.fixture
def exact(files):
    """The same model in float64 on the CPU."""
    return load_model(*files).double()


def distance(got, expected):
    """Largest difference, in units of the largest value expected."""
    got = got.detach().cpu().double()
    return float((got - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize('rearrange', [True, False])
@torch.no_grad()
def test_inference_form_gives_the_logits_of_float64(rearrange, files, exact, gpu_device):
    model = load_model(*files, str(gpu_device))
    form = optimize(model, rearrange=rearrange, output_size='stride')
    assert all(p.device.type == gpu_device.type for p in form.parameters())
    images = random_images(2)
    expected = exact(images.double())
    logits = form(images.to(gpu_device))
    assert logits.device.type == gpu_device.type
    assert distance(logits, expected) < 1e-3
    masks = optimize(model, rearrange=rearrange, output='argmax', output_size='stride')
    agreement = (masks(images.to(gpu_device)).cpu() == expected.argmax(1)).float().mean()
    assert agreement > 0.999


@torch.no_grad()
def test_inference_form_in_half_precision(files, exact, gpu_device):
    dtype = torch.float16 if gpu_device.type == 'cuda' else torch.bfloat16
    form = optimize(load_model(*files, str(gpu_device)), output_size='stride').to(dtype)
    images = random_images()
    logits = form(images.to(gpu_device, dtype))
    assert logits.dtype == dtype
    expected = exact(images.double())
    assert distance(logits, expected) < (0.02 if dtype == torch.float16 else 0.1)


@pytest.mark.parametrize('compiled', [False, True])
def test_runtime_gives_the_mask_of_float64(compiled, files, exact, gpu_device):
    torch.compiler.reset()
    runtime = load_runtime('torch', *files, device=str(gpu_device), compiled=compiled)
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    data = exact.data_preprocessor(
        dict(inputs=[torch.from_numpy(image).permute(2, 0, 1)], data_samples=None), False
    )
    with torch.no_grad():
        logits = exact.encode_decode(
            data['inputs'].double(), [dict(ori_shape=SIZE, img_shape=SIZE)]
        )
    # The first calls of CUDA graphs record, later ones replay.
    masks = [runtime.predict(image) for _ in range(4)]
    for mask in masks:
        assert (mask == logits[0].argmax(0).numpy()).mean() > 0.999


def test_export_of_a_model_on_the_device(files, exact, gpu_device, tmp_path):
    needs_onnx()
    model = load_model(*files, str(gpu_device))
    path = str(tmp_path / 'model.onnx')
    export_onnx(model, path, SIZE, 'logits', output_size='stride')
    assert next(model.parameters()).device.type == gpu_device.type
    images = random_images()
    with torch.no_grad():
        expected = exact(images.double())
    logits = load_runtime('onnxruntime', path).infer(images.numpy())
    assert distance(torch.from_numpy(logits), expected) < 1e-3


@torch.no_grad()
def test_a_checkpoint_moves_between_devices(files, exact, gpu_device, tmp_path):
    model = load_model(*files, str(gpu_device))
    path = str(tmp_path / 'moved.pth')
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, path)
    loaded = load_checkpoint_file(path)['state_dict']
    assert {value.device.type for value in loaded.values()} == {'cpu'}
    images = random_images()
    expected = exact(images.double())
    on_cpu, back = load_model(files[0], path), load_model(files[0], path, str(gpu_device))
    assert distance(on_cpu(images), expected) < 1e-3
    assert distance(back(images.to(gpu_device)), expected) < 1e-3
    half = copy.deepcopy(back).to('cpu')
    for name, value in half.state_dict().items():
        assert torch.equal(value, loaded[name]), name
