from unittest.mock import Mock

import cv2
import mmcv
import numpy as np
import pytest
import torch
from helpers import config_to_test
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from PIL import Image

from sfnet_mm.engine import PredictionHook
from sfnet_mm.utils.config import enable_drawing, keep_predictions
from sfnet_mm.utils.file_names import NameCollision

SIZE = (40, 60)


@MODELS.register_module()
class BrightPixels(BaseModel):
    """Class 1 where an image is bright, class 0 elsewhere."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        for image, sample in zip(inputs, data_samples):
            sample.pred_sem_seg = PixelData(data=(image[:1] > 127).long())
        return data_samples


@pytest.fixture
def data(tmp_path):
    """Two drives whose frames have the same names."""
    for i in range(2):
        image = np.zeros((*SIZE, 3), np.uint8)
        image[:, : 10 + 20 * i] = 255
        mmcv.imwrite(image, f'{tmp_path}/img/val/drive_{i}/frame.png')
        mmcv.imwrite(np.zeros(SIZE, np.uint8), f'{tmp_path}/ann/val/drive_{i}/frame.png')
    return tmp_path


def config(data, **dataset):
    return config_to_test(
        data,
        data=dict(data_prefix=dict(img_path='img/val', seg_map_path='ann/val'), **dataset),
        model=dict(type='BrightPixels', data_preprocessor=dict(type='SegDataPreProcessor')),
        test_evaluator=[
            dict(type='IoUMetric'),
            dict(type='IoUMetric', iou_metrics=['mFscore'], prefix='f'),
        ],
        default_hooks=dict(visualization=dict(type='SegVisualizationHook')),
    )


def test_masks_and_pictures_of_equal_names_are_all_written(data):
    cfg = config(data)
    keep_predictions(cfg, str(data / 'masks'))
    enable_drawing(cfg, str(data / 'pictures'), show=False, wait_time=0)
    Runner.from_cfg(cfg).test()
    for i in range(2):
        mask = cv2.imread(f'{data}/masks/drive_{i}/frame.png', cv2.IMREAD_UNCHANGED)
        expected = np.zeros(SIZE, np.uint8)
        expected[:, : 10 + 20 * i] = 1
        np.testing.assert_array_equal(mask, expected)
        picture = cv2.imread(f'{data}/pictures/drive_{i}/frame.png')
        # label and prediction side by side, large enough to be seen, with the key below
        assert picture.shape[1] > 1024 and picture.shape[0] > 512 * SIZE[0] // SIZE[1] + 50
    assert len(list(data.glob('masks/**/*.png'))) == len(list(data.glob('pictures/**/*.png'))) == 2


def test_masks_keep_the_ids_of_a_data_set_whose_label_0_is_reduced(data):
    cfg = config(data, reduce_zero_label=True)
    keep_predictions(cfg, str(data / 'masks'))
    Runner.from_cfg(cfg).test()
    mask = cv2.imread(f'{data}/masks/drive_0/frame.png', cv2.IMREAD_UNCHANGED)
    assert np.unique(mask).tolist() == [1, 2]


def test_no_class_has_the_id_of_the_ignored_label(data):
    names = [str(i) for i in range(255)]
    palette = [[i, 0, 0] for i in range(255)]
    cfg = config(data, reduce_zero_label=True, metainfo=dict(classes=names, palette=palette))
    keep_predictions(cfg, str(data / 'masks'))
    Runner.from_cfg(cfg).test()
    mask = cv2.imread(f'{data}/masks/drive_0/frame.png', cv2.IMREAD_UNCHANGED)
    # The last class has the id 255, which is the ignored label in a mask of 8 bits.
    assert mask.dtype == np.uint16


def test_names_that_collide_end_the_test_before_it_begins(data):
    other = dict(config(data).test_dataloader.dataset, img_suffix='.jpg')
    image = cv2.imread(f'{data}/img/val/drive_0/frame.png')
    mmcv.imwrite(image, f'{data}/img/val/drive_0/frame.jpg')
    cfg = config(data)
    cfg.test_dataloader.dataset = dict(
        type='ConcatDataset', datasets=[other, cfg.test_dataloader.dataset]
    )
    keep_predictions(cfg, str(data / 'masks'))
    with pytest.raises(NameCollision, match=r'frame\.jpg and .*frame\.png'):
        Runner.from_cfg(cfg).test()
    assert not (data / 'masks').exists()


@pytest.mark.parametrize(
    'masks, pictures, line',
    [
        ('ann/val', 'pictures', 'ann/val/drive_0/frame.png is an input'),
        ('img/../img/val', None, 'img/val/drive_0/frame.png is an input'),
        ('results', 'results', 'results/drive_0/frame.png would be written for 2 inputs'),
    ],
)
def test_results_replace_no_label_and_no_other_result(masks, pictures, line, data):
    before = {path: path.read_bytes() for path in data.rglob('*.png')}
    cfg = config(data)
    keep_predictions(cfg, str(data / masks))
    if pictures:
        enable_drawing(cfg, str(data / pictures), show=False, wait_time=0)
    with pytest.raises(NameCollision, match=line):
        Runner.from_cfg(cfg).test()
    assert before == {path: path.read_bytes() for path in data.rglob('*.png')}


def test_an_image_with_exif_is_drawn_as_its_mask_lies(data):
    path = data / 'img/val/drive_0/frame.png'
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = 3  # half a turn: sizes stay, so that only the pixels tell
    image.save(path, exif=exif)
    cfg = config(data)
    enable_drawing(cfg, str(data / 'pictures'), show=False, wait_time=0)
    Runner.from_cfg(cfg).test()
    picture = cv2.imread(f'{data}/pictures/drive_0/frame.png').astype(int)
    # the bright part of the image is on the left, in the tile of the label
    tile = picture[60 : 60 + 300, 20 : 20 + 512].sum(-1).mean(0)
    assert tile[:60].mean() > tile[-60:].mean() + 200


def test_an_image_that_is_no_picture_has_a_mask_and_a_warning(data, monkeypatch):
    monkeypatch.setattr(mmcv, 'imfrombytes', lambda *args, **kwargs: None)
    hook = PredictionHook(picture_dir=str(data / 'pictures'), mask_dir=str(data / 'masks'))
    path = str(data / 'img/val/drive_0/frame.png')
    hook.names = {path: 'frame'}
    sample = SegDataSample(metainfo=dict(img_path=path))
    sample.pred_sem_seg = PixelData(data=torch.zeros(1, *SIZE))
    logger = Mock()
    hook.after_test_iter(Mock(logger=logger), 0, None, [sample])
    assert 'frame' in logger.warning.call_args[0][0]
    assert (data / 'masks/frame.png').is_file() and not (data / 'pictures').exists()


def test_masks_of_more_classes_than_a_byte_holds_have_16_bits(data):
    hook = PredictionHook(mask_dir=str(data / 'masks'))
    hook.names, hook.meta = {'x.png': 'x'}, {'classes': [str(i) for i in range(300)]}
    sample = SegDataSample(metainfo=dict(img_path='x.png'))
    sample.pred_sem_seg = PixelData(data=torch.full((1, *SIZE), 299))
    hook.after_test_iter(Mock(), 0, None, [sample])
    assert (cv2.imread(f'{data}/masks/x.png', cv2.IMREAD_UNCHANGED) == 299).all()
