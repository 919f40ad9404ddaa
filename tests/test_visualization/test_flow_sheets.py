import cv2
import mmcv
import numpy as np
import pytest
import torch
from helpers import ROOT, config_to_test, has_hooks, load_tool, run_tool
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.registry import HOOKS
from mmseg.structures import SegDataSample
from PIL import Image

from sfnet_mm.engine import FlowVisualizationHook
from sfnet_mm.engine.hooks import flow_visualization_hook
from sfnet_mm.visualization import image_row, read_sample_image

SIZE = (64, 128)


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(3):
        mmcv.imwrite(rng.integers(0, 255, (*SIZE, 3), np.uint8), f'{tmp_path}/img/street_{i}.png')
        mmcv.imwrite(rng.integers(0, 2, SIZE, np.uint8), f'{tmp_path}/ann/street_{i}.png')
    return tmp_path


def runner(data, align=dict(type='GatedDualFlowAlignmentModule'), batch_size=2, **hook):
    cfg = config_to_test(
        data,
        batch_size,
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(type='SegDataPreProcessor', mean=[0] * 3, std=[255] * 3),
            backbone=dict(type='STDCPyramid'),
            decode_head=dict(
                type='SFNetLiteHead',
                in_channels=[64, 512, 1024],
                channels=8,
                num_classes=2,
                align=align,
                loss_decode=dict(type='CrossEntropyLoss'),
            ),
            test_cfg=dict(mode='whole'),
        ),
        test_evaluator=dict(type='IoUMetric'),
        custom_hooks=[dict(type='FlowVisualizationHook', tile_width=96, **hook)],
    )
    return Runner.from_cfg(cfg)


def test_hook_writes_a_sheet_for_each_of_the_first_images(data):
    run = runner(data, num_images=3)
    run.test()
    written = sorted(p.relative_to(data).as_posix() for p in data.glob('work/flow/*'))
    assert written == [f'work/flow/00{i}_street_{i}.png' for i in range(3)]
    # first row of four tiles, then two rows of GD-FAM
    assert cv2.imread(str(data / written[2])).shape[1] > 4 * 96
    assert not any(map(has_hooks, run.model.modules()))


def test_hook_keeps_to_its_number_and_folder_and_ignores_what_the_metric_does(data, monkeypatch):
    out_dir, row = data / 'pictures', []
    monkeypatch.setattr(
        flow_visualization_hook, 'image_row', lambda *args: row.append(args) or image_row(*args)
    )
    run = runner(data, num_images=1, out_dir=str(out_dir))
    run.test_loop.evaluator.metrics[0].ignore_index = 1
    run.test()
    assert [p.name for p in out_dir.iterdir()] == ['000_street_0.png']
    assert row[0][-1] == 1


def test_hook_can_be_switched_off(data):
    runner(data, draw=False).test()
    assert not (data / 'work' / 'flow').exists()


def test_model_without_flow_still_gets_its_first_row(data):
    runner(data, None, num_images=1).test()
    sheet = cv2.imread(str(data / 'work/flow/000_street_0.png'))
    assert sheet.shape[0] < 200


@pytest.mark.parametrize('fault', ['no picture', 'no file', 'no folder'])
def test_what_cannot_be_drawn_is_named_and_the_rest_goes_on(data, monkeypatch, fault):
    run = runner(data, None, batch_size=1, num_images=3)
    warnings = []
    monkeypatch.setattr(run.logger, 'warning', lambda text: warnings.append(text))
    dataset = run.test_dataloader.dataset
    broken = data / 'img/street_1.png'
    if fault == 'no folder':
        (data / 'work').mkdir(exist_ok=True)
        (data / 'work/flow').write_text('a file')
    else:
        # The pipeline of the data set reads another file than the hook.
        samples = [dataset[i] for i in range(3)]
        monkeypatch.setattr(type(dataset), '__getitem__', lambda self, i: samples[i])
        broken.write_bytes(b'no picture') if fault == 'no picture' else broken.unlink()
    assert 'mIoU' in run.test()
    drawn = sorted(p.name for p in data.glob('work/flow/*'))
    assert drawn == ([] if fault == 'no folder' else ['000_street_0.png', '002_street_2.png'])
    named = [w for w in warnings if 'is not drawn' in w]
    assert len(named) == (3 if fault == 'no folder' else 1)
    assert str(broken) in ''.join(named) and '\n' not in named[0]


@pytest.mark.parametrize('labeled', [True, False])
def test_the_image_of_a_sample_is_rgb(data, labeled):
    path = data / 'red.png'
    Image.new('RGB', (4, 2), (250, 20, 30)).save(path)
    sample = SegDataSample(metainfo=dict(img_path=str(path)))
    if labeled:
        sample.gt_sem_seg = PixelData(data=torch.zeros(1, 2, 4))
    assert read_sample_image(sample)[0, 0].tolist() == [250, 20, 30]


def test_hook_is_found_by_name_and_checks_its_arguments():
    assert HOOKS.get('FlowVisualizationHook') is FlowVisualizationHook
    with pytest.raises(ValueError, match='num_images=0'):
        FlowVisualizationHook(num_images=0)


DRAW_FLOW = 'analysis_tools/draw_flow'
CONFIG = f'{ROOT}/configs/sfnet_lite_stdc1_cityscapes.py'


def test_draw_flow_writes_a_sheet_per_image_of_a_folder(data, capsys):
    (data / 'img' / 'drive').mkdir()
    (data / 'img' / 'street_1.png').rename(data / 'img' / 'drive' / 'street_0.png')
    (data / 'img' / 'street_2.png').write_bytes(b'not a picture')
    whole = (data / 'img' / 'street_0.png').read_bytes()
    (data / 'img' / 'whole.png').write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit, match='2 of 4 files failed'):
        run_tool(DRAW_FLOW, CONFIG, 'none', data / 'img', '--out', data / 'out')
    names = sorted(p.relative_to(data / 'out').as_posix() for p in data.glob('out/**/*.png'))
    assert names == ['drive/street_0.png', 'street_0.png']
    failed = [s for s in capsys.readouterr().err.splitlines() if s.startswith('failed: ')]
    assert len(failed) == 2
    assert 'street_2.png' in failed[0] and 'whole.png is truncated' in failed[1]


def test_draw_flow_never_replaces_its_input(data):
    before = (data / 'img/street_0.png').read_bytes()
    with pytest.raises(SystemExit, match='choose another'):
        run_tool(DRAW_FLOW, CONFIG, 'none', data / 'img/street_0.png', '--out', data / 'img')
    assert (data / 'img/street_0.png').read_bytes() == before


def test_draw_flow_maps_the_label_ids_of_the_data_set(data, monkeypatch):
    path, image = data / 'x_gtFine_labelIds.png', data / 'img/street_0.png'
    mmcv.imwrite(np.full(SIZE, 26, np.uint8), str(path))
    shown = []
    monkeypatch.setattr(
        load_tool(DRAW_FLOW), 'image_row', lambda i, label, *_: shown.append(label) or [('', i)]
    )
    args = [CONFIG, 'none', image, '--labels', path, '--out', data / 'out']
    run_tool(DRAW_FLOW, *args)
    assert (shown[0] == 13).all()  # a car
    with pytest.raises(SystemExit, match='holds 26, but the classes are 0 to 18'):
        run_tool(DRAW_FLOW, *args, '--label-table', 'none')


@pytest.mark.parametrize('labeled', [True, False])
def test_draw_flow_turns_an_image_by_exif_only_without_a_label(data, monkeypatch, labeled):
    path, label = data / 'img/street_0.png', data / 'ann/street_0.png'
    stored = np.asarray(Image.open(path).convert('RGB'))
    exif = Image.Exif()
    exif[274] = 3
    Image.fromarray(stored).save(path, exif=exif)
    shown = []
    monkeypatch.setattr(
        load_tool(DRAW_FLOW), 'image_row', lambda i, *_: shown.append(i) or [('', i)]
    )
    options = ['--labels', label, '--label-table', 'none'] if labeled else []
    run_tool(DRAW_FLOW, CONFIG, 'none', path, '--out', data / 'out', *options)
    assert np.array_equal(shown[0], stored if labeled else np.rot90(stored, 2))


@pytest.mark.parametrize(
    'args, message',
    [
        (['none', 'missing.png'], 'image missing.png does not exist'),
        (['none', 'EMPTY'], 'holds no image'),
        (['none', 'BROKEN'], 'cannot be decoded'),
        (['missing.pth', 'img/street_0.png'], 'checkpoint missing.pth does not exist'),
        (['OTHER', 'img/street_0.png'], 'does not belong to'),
        (['none', 'img/street_0.png', '--labels', 'a', 'b'], '2 labels were given for 1'),
        (['none', 'img/street_0.png', '--labels', 'SMALL'], 'label is 32x32 and the image 64x128'),
    ],
)
def test_draw_flow_names_what_is_wrong_in_one_line(data, monkeypatch, args, message):
    (data / 'empty').mkdir()
    (data / 'broken.png').write_bytes(b'not a picture')
    torch.save({'state_dict': {'layer.weight': torch.zeros(3)}}, data / 'other.pth')
    mmcv.imwrite(np.zeros((32, 32), np.uint8), str(data / 'small.png'))
    named = {
        'SMALL': 'small.png',
        'EMPTY': 'empty',
        'BROKEN': 'broken.png',
        'OTHER': str(data / 'other.pth'),
    }
    monkeypatch.chdir(data)
    with pytest.raises(SystemExit, match=message) as caught:
        run_tool(DRAW_FLOW, CONFIG, *[named.get(a, a) for a in args])
    assert '\n' not in str(caught.value)


@pytest.mark.gpu
def test_hook_draws_what_a_model_on_the_device_does(data, gpu_device):
    run = runner(data, num_images=1)
    if gpu_device.type == 'cuda':
        assert next(run.model.parameters()).is_cuda
    run.test()
    sheet = cv2.imread(str(data / 'work/flow/000_street_0.png'))
    assert sheet.shape[1] > 4 * 96 and sheet.std() > 10
