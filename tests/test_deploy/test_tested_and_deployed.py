"""Runtimes do to an image what mmseg's test does: its pipeline, padding and sliding windows."""

import json
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from deploy_helpers import (
    CROPS,
    needs_onnx,
    predicted_by_mmseg,
    small_config,
    small_model,
    smooth_image,
)
from helpers import config_paths, load_config
from mmengine.config import Config
from mmseg.models import EncoderDecoder

from sfnet_mm.apis import predict
from sfnet_mm.deploy import export_onnx, load_model, load_runtime
from sfnet_mm.deploy.image_pipeline import ImagePipeline, check_portable, pipeline_steps
from sfnet_mm.deploy.inference.upsampled_argmax import resize_classes
from sfnet_mm.deploy.runtimes.files import check_meta
from sfnet_mm.deploy.runtimes.sliding import slide

IMAGE = (128, 192)
LARGER = dict(type='Resize', scale=(1024, 192), keep_ratio=True)
SLIDE = dict(test_cfg=dict(mode='slide', crop_size=(96, 96), stride=(64, 64)))


def preprocessor(**test_cfg):
    return dict(
        type='SegDataPreProcessor',
        mean=[120.0] * 3,
        std=[60.0] * 3,
        bgr_to_rgb=True,
        pad_val=1,
        test_cfg=test_cfg,
    )


WAYS = {
    'larger': dict(pipeline=[LARGER], head=dict(align_corners=False)),
    'shrunk': dict(pipeline=[dict(type='ShrinkToFit', scale=(128, 128))]),
    'padded': dict(pipeline=[LARGER], data_preprocessor=preprocessor(size=(256, 400))),
    'slide_small_image': dict(test_cfg=dict(mode='slide', crop_size=(160, 96), stride=(64, 64))),
    'resize_pad_slide': dict(
        pipeline=[LARGER], data_preprocessor=preprocessor(size_divisor=100), **SLIDE
    ),
    'no_test_cfg': dict(test_cfg=None),
    'no_mode': dict(test_cfg=dict()),
    'binary_slide': dict(head=dict(out_channels=1, threshold=0.4), num_classes=2, **SLIDE),
}


@pytest.mark.parametrize('way', WAYS)
def test_torch_runtime_agrees_with_mmseg(way, tmp_path):
    config, checkpoint, _ = small_model(str(tmp_path), **WAYS[way])
    image = smooth_image(IMAGE)
    expected = predicted_by_mmseg(config, checkpoint, image)
    runtime = load_runtime('torch', config, checkpoint)
    got = runtime.predict(image)
    assert got.shape == expected.shape == IMAGE
    assert (got == expected).mean() > 0.999
    assert runtime.shown(image) is image


def test_pipeline_of_the_test_data_counts_if_no_variable_holds_it(tmp_path):
    config, checkpoint, _ = small_model(str(tmp_path), pipeline=[LARGER])
    image = smooth_image(IMAGE)
    expected = predicted_by_mmseg(config, checkpoint, image)
    cfg = Config.fromfile(config)
    cfg.pop('test_pipeline')
    cfg.test_dataloader.dataset.pipeline.insert(1, dict(type='mmseg.LoadAnnotations'))
    cfg.dump(config)
    assert (load_runtime('torch', config, checkpoint).predict(image) == expected).mean() > 0.999
    # mmseg's own function can run this model, too.
    assert (predict(image, load_model(config, checkpoint)) == expected).all()


def test_cropping_that_resets_the_shape_gives_the_mask_of_the_crop(tmp_path):
    config, checkpoint, _ = small_model(str(tmp_path), pipeline=CROPS)
    image = smooth_image(IMAGE)
    expected = predicted_by_mmseg(config, checkpoint, image)
    runtime = load_runtime('torch', config, checkpoint)
    got = runtime.predict(image)
    assert got.shape == expected.shape == (96, 96) and (got == expected).mean() > 0.999
    picture = runtime.shown(image)
    assert picture.shape == (96, 96, 3)
    # Rows 0 to 128 and columns 32 to 160 of the image, at three quarters of their size.
    middle = image[:, 32:160].astype(np.float32)
    assert abs(picture.mean((0, 1)) - middle.mean((0, 1))).max() < 1.5


@pytest.fixture(scope='module')
def sliding(tmp_path_factory):
    return small_model(str(tmp_path_factory.mktemp('slide')), **SLIDE)


@pytest.fixture(scope='module')
def resizing(tmp_path_factory):
    return small_model(str(tmp_path_factory.mktemp('resize')), pipeline=[LARGER])


def test_file_slides(sliding, tmp_path):
    needs_onnx()
    config, checkpoint, model = sliding
    image, path = smooth_image(IMAGE), str(tmp_path / 'model.onnx')
    export_onnx(model, path, (96, 96), 'logits', 'stride', normalize=True)
    expected = predicted_by_mmseg(config, checkpoint, image)
    assert (load_runtime('onnxruntime', path).predict(image) == expected).mean() > 0.999
    with pytest.raises(ValueError, match='smaller than the windows of 96x96.*--dynamic'):
        load_runtime('onnxruntime', path).predict(image[:80])


@pytest.mark.parametrize(
    'args, message',
    [
        (((96, 96),), '--output logits --size 96x96'),
        (((128, 128), 'logits'), 'size 128x128 is not that of the sliding windows'),
    ],
)
def test_sliding_that_a_file_cannot_carry_out_is_refused(sliding, tmp_path, args, message):
    needs_onnx()
    with pytest.raises(ValueError, match=message) as caught:
        export_onnx(sliding[2], str(tmp_path / 'model.onnx'), *args)
    assert '\n' not in str(caught.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize('output, least', [('logits', 0.999), ('argmax', 0.97)])
def test_file_resizes(resizing, tmp_path, output, least):
    needs_onnx()
    config, checkpoint, model = resizing
    image, path = smooth_image(IMAGE), str(tmp_path / 'model.onnx')
    export_onnx(model, path, (192, 288), output)
    runtime = load_runtime('onnxruntime', path)
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message='.*runs at')
        got = runtime.predict(image)
    assert (got == predicted_by_mmseg(config, checkpoint, image)).mean() > least
    with pytest.warns(UserWarning, match='192x192 runs at 192x288, the size of the graph'):
        assert runtime.predict(image[:, :128]).shape == (128, 128)


def test_transform_that_a_file_cannot_carry_is_refused(tmp_path):
    needs_onnx()
    step = dict(type='PhotoMetricDistortion')
    *_, model = small_model(str(tmp_path), pipeline=[step])
    with pytest.raises(ValueError, match='PhotoMetricDistortion in its test pipeline'):
        export_onnx(model, str(tmp_path / 'model.onnx'), (96, 96))
    assert not list(tmp_path.glob('*.onnx'))


@pytest.mark.parametrize(
    'step', [dict(type='LoadImageFromFile'), dict(type='CenterCrop', pad_cfg=dict(type='Albu'))]
)
def test_file_may_not_name_other_transforms(step):
    with pytest.raises(ValueError, match='model.onnx has .* in its test pipeline'):
        check_meta({'sfnet_mm': '1', 'pipeline': [step]}, 'model.onnx')


def test_padding_after_normalization_is_refused_in_a_graph_of_raw_images(tmp_path):
    needs_onnx()
    *_, model = small_model(str(tmp_path), data_preprocessor=preprocessor(size_divisor=32))
    with pytest.raises(ValueError, match='export without normalize'):
        export_onnx(model, str(tmp_path / 'model.onnx'), (96, 96), normalize=True)


@pytest.mark.parametrize(
    'size, crop, stride', [((50, 70), (20, 30), (15, 30)), ((8, 9), (20, 4), (3, 3))]
)
def test_windows_are_those_of_mmseg(size, crop, stride):
    """The network sums over its window, so that any other window or weight gives another result."""
    image = torch.rand(1, 2, *size)

    class Net(EncoderDecoder):
        out_channels = 2

        def __init__(self):
            torch.nn.Module.__init__(self)
            self.test_cfg = small_config(
                test_cfg=dict(mode='slide', crop_size=crop, stride=stride)
            ).model.test_cfg

        def encode_decode(self, part, metas):
            return part.cumsum(2).cumsum(3)

    expected = Net().slide_inference(image, [dict()])
    got = slide(lambda y, x: image[:, :, y, x].cumsum(2).cumsum(3), size, crop, stride)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize('align_corners', [True, False])
def test_nearest_class_lies_where_bilinear_resizing_has_its_center(align_corners):
    ramp = torch.arange(12.0).view(1, 1, 1, 12).expand(1, 1, 9, 12)
    exact = F.interpolate(ramp, (30, 29), mode='bilinear', align_corners=align_corners)[0, 0]
    got = resize_classes(ramp[0, 0].numpy(), (9, 12), (9, 12), (30, 29), align_corners)
    assert abs(got - exact.numpy()).max() < 0.501
    # Half of the input is padding.
    half = F.interpolate(ramp[..., :6], (30, 29), mode='bilinear', align_corners=align_corners)
    got = resize_classes(ramp[0, 0].numpy(), (9, 12), (9, 6), (30, 29), align_corners)
    assert abs(got - half[0, 0].numpy()).max() < 0.501


def test_files_can_carry_the_test_pipeline_of_every_data_set():
    paths = [p for p in config_paths() if 'panoptic' not in p]
    # The data set is the last word of a config's name.
    for path in {p.rpartition('_')[2]: p for p in paths}.values():
        _, steps = pipeline_steps(load_config(path))
        stored = json.loads(json.dumps(steps))
        check_portable(stored, path)
        image = smooth_image(IMAGE)
        frames = [ImagePipeline(each)(image) for each in (steps, stored)]
        assert (frames[0].image == frames[1].image).all() and frames[0].size == frames[1].size
