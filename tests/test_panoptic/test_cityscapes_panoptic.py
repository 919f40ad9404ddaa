import os

import cv2
import numpy as np
import pytest
import torch
from helpers import run_tool
from mmcv import imwrite
from mmdet.registry import DATASETS, METRICS
from mmdet.structures import DetDataSample
from mmengine.fileio import dump, load
from mmengine.structures import PixelData
from PIL import Image

from sfnet_mm.panoptic import KNetFusionHead
from sfnet_mm.panoptic.cityscapes_maps import convert_cityscapes

# Label ids of cityscapesScripts, in the order that panoptic heads need: 8 things, 11 stuff.
LABEL_IDS = (24, 25, 26, 27, 28, 31, 32, 33, 7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23)
LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadPanopticAnnotations')]
PACK = dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape'))
HEIGHT, WIDTH = 48, 64
MAPS = 'gtFine/cityscapes_panoptic_val_mmdet'


def instance_maps():
    """Three maps: things, a crowd and void; stuff only; things only."""
    first = np.full((HEIGHT, WIDTH), 7, dtype=np.uint16)
    first[:20] = 23
    first[:4] = 4  # static: void
    first[10:30, 5:15] = 24000
    first[12:30, 20:34] = 26000
    first[14:30, 34:44] = 26001
    first[30:, 40:] = 26  # a group of cars
    first[0:3, 60:] = 29001  # caravan: void
    second = np.full((HEIGHT, WIDTH), 8, dtype=np.uint16)
    second[:30] = 21
    third = np.full((HEIGHT, WIDTH), 1, dtype=np.uint16)
    third[5:20, 5:20] = 33000
    return [first, second, third]


@pytest.fixture
def root(tmp_path):
    tmp_path = tmp_path / 'drive [1]'
    for i, ids in enumerate(instance_maps()):
        image = np.full((HEIGHT, WIDTH, 3), 40 * i, dtype=np.uint8)
        for name, pixels in (('leftImg8bit', image), ('gtFine_instanceIds', ids)):
            folder = tmp_path / name.split('_')[0] / 'val/town'
            imwrite(pixels, folder / f'town_{i:06d}_000019_{name}.png')
    return tmp_path


@pytest.fixture
def path(root):
    return convert_cityscapes(str(root), 'val', workers=0)[0]


def build_dataset(root, **kwargs):
    pytest.importorskip(
        'panopticapi', reason='needs panopticapi-lite, see requirements/panoptic.txt'
    )
    cfg = dict(
        type='CityscapesPanopticDataset',
        data_root=str(root),
        ann_file=f'{MAPS}.json',
        data_prefix=dict(img='leftImg8bit/val/', seg=f'{MAPS}/'),
        pipeline=[*LOAD, PACK],
    )
    return DATASETS.build(dict(cfg, **kwargs))


def label_of(ids):
    return np.where(ids < 1000, ids, ids // 1000)


def read_ids(path):
    rgb = np.asarray(Image.open(path)).astype(np.int64)
    return rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]


def test_annotations_describe_the_maps(root):
    path, written, kept = convert_cityscapes(str(root), 'val', workers=2)
    assert (written, kept) == (3, 0)
    annotation = load(path)
    assert [c['isthing'] for c in annotation['categories']] == [1] * 8 + [0] * 11
    assert [c['id'] for c in annotation['categories']] == list(range(19))
    assert annotation['categories'][0]['name'] == 'person'
    assert annotation['categories'][8]['name'] == 'road'
    used = set()
    for image, entry, ids in zip(annotation['images'], annotation['annotations'], instance_maps()):
        assert image['id'] == entry['image_id'] and isinstance(image['id'], int)
        assert (image['height'], image['width']) == ids.shape
        assert (root / 'leftImg8bit/val' / image['file_name']).is_file()
        panoptic = read_ids(root / MAPS / entry['file_name'])
        covered = np.zeros(ids.shape, bool)
        for segment in entry['segments_info']:
            mask = panoptic == segment['id']
            (value,) = np.unique(ids[mask])
            assert label_of(value) == LABEL_IDS[segment['category_id']]
            # Two segments never share a value, so the mask is the whole instance.
            assert np.array_equal(mask, ids == value) and segment['area'] == mask.sum()
            ys, xs = np.nonzero(mask)
            assert segment['bbox'] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            assert segment['iscrowd'] == (value == 26)
            covered |= mask
            used.add(segment['id'])
        void = ~np.isin(label_of(ids), LABEL_IDS)
        assert np.array_equal(covered, ~void) and (panoptic[void] == 0).all()
    assert len(used) == sum(len(e['segments_info']) for e in annotation['annotations']) == 9
    assert 0 not in used


def test_interrupted_conversion_goes_on(root, path):
    expected = load(path)
    maps = sorted((root / MAPS).iterdir())
    os.remove(path)
    maps[1].unlink()
    stamp = maps[0].stat().st_mtime_ns
    assert convert_cityscapes(str(root), 'val', workers=0)[1:] == (1, 2)
    assert load(path) == expected and maps[0].stat().st_mtime_ns == stamp
    # A changed source is converted again.
    source = next((root / 'gtFine/val/town').glob('*000002_*'))
    cv2.imwrite(str(source), np.full((HEIGHT, WIDTH), 11, dtype=np.uint16))
    assert convert_cityscapes(str(root), 'val', workers=0)[1:] == (1, 2)
    assert not list((root / 'gtFine').rglob('*.tmp'))


@pytest.mark.parametrize(
    'content, message',
    [
        (b'\x89PNG broken', 'not an instance map'),
        (np.full((4, 4), 34, np.uint16), 'value 34'),
        (np.full((4, 4), 7001, np.uint16), 'value 7001'),
    ],
)
def test_maps_that_are_none(root, content, message):
    source = root / 'gtFine/val/town/town_000001_000019_gtFine_instanceIds.png'
    if isinstance(content, bytes):
        source.write_bytes(content)
    else:
        cv2.imwrite(str(source), content)
    with pytest.raises(ValueError, match=f'{source.name}.*{message}'):
        convert_cityscapes(str(root), 'val', workers=0)
    assert not (root / f'{MAPS}.json').exists()


def test_missing_data(root):
    with pytest.raises(FileNotFoundError, match='no instance maps .*gtFine_trainvaltest.zip'):
        convert_cityscapes(str(root), 'train')
    next((root / 'leftImg8bit/val/town').iterdir()).unlink()
    with pytest.raises(FileNotFoundError, match='1 of 3 images are missing'):
        convert_cityscapes(str(root), 'val')


def test_command(root, capsys):
    args = [root, '--workers', 1, '--splits', 'val', 'train']
    with pytest.raises(SystemExit, match='^error: no instance maps'):
        run_tool('dataset_converters/cityscapes_panoptic', *args)
    assert '3 maps written, 0 were there already' in capsys.readouterr().out


def test_loaded_masks_are_those_of_the_instances(root, path):
    dataset = build_dataset(root)
    assert len(dataset) == 3
    for item, ids in zip(dataset, instance_maps()):
        sample = item['data_samples']
        seg_map = np.full(ids.shape, 255)
        for category, label in enumerate(LABEL_IDS):
            seg_map[label_of(ids) == label] = category
        assert np.array_equal(sample.gt_sem_seg.sem_seg[0].numpy(), seg_map)
        values = [v for v in np.unique(ids) if v >= 24000 and v // 1000 in LABEL_IDS]
        labels = [LABEL_IDS.index(v // 1000) for v in values]
        assert sample.gt_instances.labels.tolist() == labels
        for mask, value in zip(sample.gt_instances.masks.masks, values):
            assert np.array_equal(mask, ids == value)


def test_annotations_of_the_stock_tool_are_refused(root, path):
    annotation = load(path)
    stock = annotation['categories'][8:] + annotation['categories'][:8]
    for categories in (stock, annotation['categories'][:18], []):
        dump(dict(annotation, categories=categories), path)
        with pytest.raises(ValueError, match='tools/dataset_converters/cityscapes_panoptic.py'):
            build_dataset(root)
    os.remove(path)
    with pytest.raises(FileNotFoundError, match='tools/dataset_converters/cityscapes_panoptic.py'):
        build_dataset(root)


def test_missing_map(root, path):
    (root / MAPS / 'town_000001_000019_leftImg8bit.png').unlink()
    with pytest.raises(FileNotFoundError, match='1 of 3 panoptic maps.*town_000001_000019'):
        build_dataset(root)
    # Testing without ground truth needs no maps.
    assert len(build_dataset(root, data_prefix=dict(img='leftImg8bit/val/'), test_mode=True)) == 3


def score(root, path, maps, **kwargs):
    dataset = build_dataset(root, pipeline=[LOAD[0], PACK], test_mode=True)
    files = dict(ann_file=path, seg_prefix=str(root / MAPS))
    metric = METRICS.build(dict(type='CityscapesPanopticMetric', **files, **kwargs))
    metric.dataset_meta = dataset.metainfo
    for item, values in zip(dataset, maps):
        sample = item['data_samples']
        sample.pred_panoptic_seg = PixelData(sem_seg=torch.as_tensor(values)[None])
        metric.process({}, [sample.to_dict()])
    return metric.evaluate(len(dataset))


def perfect_maps():
    """Maps of K-Net's fusion for kernels that give the true segments; 12 are for things."""
    head, maps = KNetFusionHead(8, 11, test_cfg={}), []
    shapes = dict.fromkeys(('batch_input_shape', 'img_shape', 'ori_shape'), (HEIGHT, WIDTH))
    for ids in instance_maps():
        logits = torch.full((1, 23, 19), -9.0)
        probabilities = torch.zeros(1, 23, HEIGHT, WIDTH)
        probabilities[0, 11] = 0.01  # This kernel has no class and gets the void pixels.
        for i, value in enumerate(np.unique(ids)):
            if value != 26 and label_of(value) in LABEL_IDS:
                category = LABEL_IDS.index(label_of(value))
                kernel = i if category < 8 else 4 + category
                logits[0, kernel, category] = 5
                probabilities[0, kernel] = torch.as_tensor(ids == value) * 0.99
        result = head.predict(logits, probabilities, [DetDataSample(metainfo=shapes)])
        maps.append(result[0]['pan_results'].sem_seg[0].numpy())
    return maps


@pytest.mark.parametrize('in_files', [False, True])
def test_perfect_prediction_scores_100(root, path, in_files):
    prefix = f'{root}/out/results'
    options = dict(outfile_prefix=prefix, nproc=1) if in_files else {}
    metrics = score(root, path, perfect_maps(), **options)
    for name in ('PQ', 'SQ', 'RQ', 'PQ_th', 'PQ_st'):
        assert metrics[f'coco_panoptic/{name}'] == pytest.approx(100)
    if in_files:
        written = load(f'{prefix}.panoptic.json')['annotations']
        assert [len(a['segments_info']) for a in written] == [5, 2, 1]
        for annotation in written:
            ids = read_ids(f'{prefix}.panoptic/{annotation["file_name"]}')
            assert {s['id'] for s in annotation['segments_info']} == set(np.unique(ids)) - {0}


def test_first_person_is_counted(root, path):
    # Ids that start at 0 give the first person (class 0) the value of void, and all void with it.
    maps = perfect_maps()
    assert (maps[0][10:30, 5:15] == 1000).all()
    published = [np.where((m >= 1000) & (m != 19), m - 1000, m) for m in maps]
    assert score(root, path, published)['coco_panoptic/PQ_th'] == pytest.approx(100 * 2 / 3)
