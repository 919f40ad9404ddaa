"""``predict`` gives the mask of mmseg's ``inference_model``, whatever the model and the image."""

import cv2
import numpy as np
import pytest
import torch
from helpers import randomize_norms
from mmengine.config import Config
from mmseg.apis import inference_model

import sfnet_mm
from sfnet_mm.deploy import load_runtime

NAME = 'sfnet_lite_stdc1_miniuds'
SIZE = (96, 160)


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """A small model whose classes vary over an image."""
    torch.manual_seed(0)
    cfg = Config.fromfile(sfnet_mm.config_path(NAME))
    cfg.model.backbone.channels = (8, 8, 16, 24, 32)
    cfg.model.decode_head.update(in_channels=[8, 24, 32], channels=8)
    path = str(tmp_path_factory.mktemp('config') / 'small.py')
    cfg.dump(path)
    model = randomize_norms(sfnet_mm.create_model(path, num_classes=5))
    torch.nn.init.normal_(model.decode_head.conv_seg.weight)
    logits = model((torch.from_numpy(picture()).permute(2, 0, 1)[None] - 120) / 60)
    model.decode_head.conv_seg.bias.data -= logits.mean((0, 2, 3))
    return model


@pytest.fixture(scope='module')
def files(model, tmp_path_factory):
    """Paths of its config, of its checkpoint and of an image."""
    folder = tmp_path_factory.mktemp('predict')
    paths = [str(folder / name) for name in ('config.py', 'model.pth', 'image.png')]
    model.cfg.dump(paths[0])
    torch.save(dict(state_dict=model.state_dict()), paths[1])
    cv2.imwrite(paths[2], picture())
    return paths


def picture():
    cells = np.random.default_rng(0).integers(0, 256, (6, 10, 3), dtype=np.uint8)
    return cv2.resize(cells, SIZE[::-1], interpolation=cv2.INTER_CUBIC)


def expected(files):
    fresh = sfnet_mm.create_model(files[0], weights=files[1])
    return inference_model(fresh, files[2]).pred_sem_seg.data[0].numpy()


def test_path_and_array_give_the_mask_of_mmseg(model, files):
    mask = expected(files)
    assert len(np.unique(mask)) > 2
    for image in (picture(), files[2], picture()):
        ours = sfnet_mm.predict(image, model)
        assert ours.dtype == np.uint8 and ours.shape == SIZE and (ours == mask).all()
    # The model can still be given to mmseg with a path.
    assert (inference_model(model, files[2]).pred_sem_seg.data[0].numpy() == mask).all()


def test_names_and_runtimes_give_it_too(files):
    mask = expected(files)
    by_name = sfnet_mm.predict(files[2], files[0], files[1])
    by_runtime = sfnet_mm.predict(files[2], load_runtime('torch', *files[:2]))
    assert (by_name == by_runtime).all() and (by_name == mask).mean() > 0.999


def test_model_of_a_name_is_kept_until_its_checkpoint_changes(files, monkeypatch, tmp_path):
    path = str(tmp_path / 'model.pth')
    state = torch.load(files[1])['state_dict']
    torch.save(dict(state_dict=state), path)
    first = sfnet_mm.predict(picture(), files[0], path)
    with monkeypatch.context() as patch:
        patch.setattr('sfnet_mm.deploy.load_runtime', None)
        assert (sfnet_mm.predict(picture(), files[0], path) == first).all()
    state['decode_head.conv_seg.bias'][3] += 1000
    torch.save(dict(state_dict=state), path)
    assert (sfnet_mm.predict(picture(), files[0], path) == 3).all()


@pytest.mark.parametrize(
    'image, kind, line',
    [
        ('nowhere.jpg', FileNotFoundError, 'image nowhere.jpg does not exist'),
        (np.zeros((8, 8), np.uint8), ValueError, r'shape \(8, 8\): expected \(H, W, 3\)'),
        (np.zeros((64, 64, 3)), ValueError, 'image is float64: expected uint8'),
        ([1], ValueError, 'image is a list: give a path or an array'),
    ],
)
def test_image_that_cannot_be_used_is_told_in_one_line(model, image, kind, line):
    with pytest.raises(kind, match=line) as error:
        sfnet_mm.predict(image, model)
    assert '\n' not in str(error.value)


def test_model_that_cannot_predict_is_told_in_one_line(model):
    with pytest.raises(ValueError, match='random weights without a checkpoint'):
        sfnet_mm.predict(picture(), NAME, None)
    with pytest.raises(ValueError, match='model is a Conv2d: give the name of a config'):
        sfnet_mm.predict(picture(), torch.nn.Conv2d(3, 3, 1))
    model.train()
    try:
        with pytest.raises(ValueError, match='training mode'):
            sfnet_mm.predict(picture(), model)
    finally:
        model.eval()
