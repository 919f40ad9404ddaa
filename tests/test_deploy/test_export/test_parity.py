"""The comparison of a file with torch."""

import pytest
import torch
from deploy_helpers import CONFIG, SIZE, needs_onnx

from sfnet_mm.deploy import export_onnx, load_model
from sfnet_mm.deploy.export import make_reference, parity

needs_onnx()


def test_graph_that_disagrees_is_not_written(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(parity, 'TOLERANCE', {'float32': -1.0})
    path = tmp_path / 'model.onnx'
    with pytest.raises(RuntimeError, match='does not agree'):
        export_onnx(load_model(CONFIG, checkpoint), str(path), (64, 64), 'logits', 'stride')
    assert not list(tmp_path.iterdir())


def test_rounding_is_judged_by_the_size_of_logits():
    difference, agreement = 3e-4, 1.0
    assert parity.Parity(difference, agreement, SIZE, largest=6.0).within('float32')
    assert not parity.Parity(difference, agreement, SIZE, largest=2.0).within('float32')
    assert not parity.Parity(0.0, 0.99, SIZE, largest=6.0).within('float32')


def test_rounding_of_torch_is_not_held_against_the_runtime(checkpoint, tmp_path):
    """Torch whose float32 is off by more than the tolerance, and whose float64 is right."""
    path = str(tmp_path / 'model.onnx')
    model = load_model(CONFIG, checkpoint)
    export_onnx(model, path, SIZE, 'logits')

    class Rounding(torch.nn.Module):
        def __init__(self, wrapped):
            super().__init__()
            self.wrapped, self.sample, self.form = wrapped, wrapped.sample, wrapped.form

        def forward(self, image):
            out = self.wrapped(image)
            return out + 0.5 * (out.dtype == torch.float32)

    run = parity.open_onnx(path)
    rounding = Rounding(make_reference(model, 'logits'))
    found = parity.compare_with_torch(rounding, lambda image: run(image)[0], SIZE)
    assert found.difference < 1e-4 and found.within('float32')


@pytest.mark.parametrize('normalize', [False, True])
def test_files_are_compared_on_images_with_structure(normalize):
    """Averages of white noise are all alike, so that deep networks magnify rounding errors."""
    wrapped = make_reference(load_model(CONFIG), 'logits', normalize=normalize)
    image = wrapped.sample(1, (96, 160), seed=1).double()
    image = image.permute(0, 3, 1, 2) if normalize else image
    cells = torch.nn.functional.avg_pool2d(image, 16)
    assert cells.std() > 0.3 * image.std()  # of white noise: 1 / 16
