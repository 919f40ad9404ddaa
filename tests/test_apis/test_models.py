"""Models by name: what is listed, built, loaded, and what a wrong name or number is told."""

import glob
import os.path as osp

import pytest
import torch
from helpers import ROOT
from mmengine.config import Config
from mmseg.models import EncoderDecoder

import sfnet_mm
from sfnet_mm import config_files

NAME = 'sfnet_lite_stdc1_cityscapes'


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """Weights of the model with the 19 classes of its config."""
    path = str(tmp_path_factory.mktemp('weights') / 'model.pth')
    torch.save(dict(state_dict=sfnet_mm.create_model(NAME).state_dict()), path)
    return path


def test_models_are_listed_by_the_names_of_their_configs():
    found = sfnet_mm.list_models('sfnet_lite*')
    paths = glob.glob(osp.join(ROOT, 'configs', 'sfnet_lite*.py'))
    assert {osp.basename(p)[:-3] for p in paths} <= set(found)
    assert found == sorted(set(found)) and all(name.startswith('sfnet_lite') for name in found)
    every = sfnet_mm.list_models()
    assert {'fpn_ppm_r50_cityscapes', 'pspnet_r50_uds'} < set(every)
    assert not {'sfnet_lite', 'default_runtime', 'sfnet_knet_r50_coco'} & set(every)
    assert sfnet_mm.list_models('unet*') == []


def test_model_is_an_mmseg_segmentor_for_other_classes():
    model = sfnet_mm.create_model(NAME, num_classes=7)
    assert isinstance(model, EncoderDecoder) and not model.training
    assert model.decode_head.conv_seg.out_channels == model.num_classes == 7
    assert list(model.dataset_meta['classes']) == list('0123456') and model.cfg.model
    assert model(torch.zeros(1, 3, 64, 128)).shape[1] == 7
    assert len(sfnet_mm.create_model(NAME).dataset_meta['classes']) == 19


def test_auxiliary_heads_follow_but_for_that_of_boundaries():
    model = sfnet_mm.create_model('stdcseg_stdc1_cityscapes', num_classes=7)
    assert [head.num_classes for head in model.auxiliary_head] == [7, 7, 2]


def test_config_of_the_model_still_names_the_weights_to_train_from():
    model = sfnet_mm.create_model('sfnet_efflite0_camvid360', num_classes=4)
    assert model.cfg.model.backbone.init_cfg.checkpoint.startswith('package://')
    assert model.cfg.model.decode_head.num_classes == 4


def test_features_are_the_maps_of_backbone_and_neck():
    image = torch.rand(1, 3, 64, 128)
    for name in (NAME, 'icnet_r50_cityscapes'):
        segmentor = sfnet_mm.create_model(name)
        features = sfnet_mm.create_model(name, features=True)
        features.load_state_dict(segmentor.state_dict(), strict=False)
        assert {k.split('.')[0] for k in features.state_dict()} <= {'backbone', 'neck'}
        for ours, expected in zip(features(image), segmentor.extract_feat(image), strict=True):
            assert torch.equal(ours, expected)


def test_checkpoint_of_the_same_classes_is_loaded_whole(checkpoint):
    saved = torch.load(checkpoint)['state_dict']
    state = sfnet_mm.create_model(NAME, weights=checkpoint).state_dict()
    assert all(torch.equal(state[key], value) for key, value in saved.items())


def test_checkpoint_of_other_classes_gives_all_but_the_classifier(checkpoint, monkeypatch):
    said = []
    monkeypatch.setattr('mmengine.logging.print_log', lambda text, **_: said.append(text))
    saved = torch.load(checkpoint)['state_dict']
    state = sfnet_mm.create_model(NAME, 7, checkpoint).state_dict()
    differ = [key for key, value in saved.items() if not torch.equal(state[key], value)]
    # The classifiers of the head and of its deep supervision.
    assert differ == [
        f'decode_head.{part}conv_seg.{name}'
        for part in ('', 'dsn.0.')
        for name in ('weight', 'bias')
    ]
    assert '19 classes, the model 7' in said[-1] and all(key in said[-1] for key in differ)


def test_checkpoint_with_the_asked_classes_is_loaded_whole(tmp_path):
    saved = sfnet_mm.create_model(NAME, 7).state_dict()
    torch.save(dict(state_dict=saved), tmp_path / 'mine.pth')
    state = sfnet_mm.create_model(NAME, 7, tmp_path / 'mine.pth').state_dict()
    assert all(torch.equal(state[key], value) for key, value in saved.items())


def test_own_config_is_named_by_its_path(tmp_path):
    path = tmp_path / 'mine.py'
    Config.fromfile(sfnet_mm.config_path(NAME)).dump(path)
    assert sfnet_mm.create_model(str(path), num_classes=3).num_classes == 3


@pytest.mark.parametrize(
    'arguments, kind, line',
    [
        (('sfnet_lite_stdc1_cityscape',), FileNotFoundError, rf'similar names: {NAME}\.py'),
        (('sfnet_lite',), ValueError, r'is a base'),
        (('ocrnet_r50_cityscapes',), ValueError, r'ocrnet_r50_cityscapes is no model with one'),
        ((NAME, 0), ValueError, r'num_classes is a positive number, not 0'),
        ((NAME, None, 'camvd'), FileNotFoundError, r'weights camvd do not exist: .* camvid$'),
    ],
)
def test_mistake_is_told_in_one_line(arguments, kind, line):
    with pytest.raises(kind, match=line) as error:
        sfnet_mm.create_model(*arguments)
    assert '\n' not in str(error.value)


def test_checkpoint_of_another_model_is_refused(checkpoint):
    with pytest.raises(ValueError, match='does not belong to .*sfnet_stdc1_cityscapes.py'):
        sfnet_mm.create_model('sfnet_stdc1_cityscapes', 7, checkpoint)


def test_weights_of_the_package_are_found_or_said_to_be_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(config_files, '_FOLDERS', (tmp_path / 'configs',))
    with pytest.raises(FileNotFoundError, match=r"weights 'camvid' are not there: .*\.pth"):
        config_files.weights_path('camvid')
    path = tmp_path / 'weights' / 'sfnet_efflite0_camvid360.pth'
    path.parent.mkdir()
    path.touch()
    assert config_files.weights_path('camvid') == str(path)
    assert config_files.weights_path('https://a.b/c.pth') == 'https://a.b/c.pth'
