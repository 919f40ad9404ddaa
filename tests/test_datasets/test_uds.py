"""UDS and its parts: real layouts in small, subsets of sources, folders that are wrong."""

import numpy as np
import pytest
from mmcv import imwrite
from mmseg.registry import DATASETS, TRANSFORMS

from sfnet_mm.datasets import (
    CamVidDataset,
    IDDDataset,
    MapillaryDrivingDataset,
    UDSDataset,
    source_layouts,
)

META = ('img_path', 'source')
PIPELINE = [
    {'type': 'LoadImageWhole'},
    {'type': 'LoadMappedAnnotations'},
    {'type': 'PackSegInputs', 'meta_keys': META},
]
# Image and mask of one sample of each source, and the id of a car in it.
FILES = {
    'cityscapes': (
        'leftImg8bit/{s}/ulm/ulm_000001_000019_leftImg8bit.png',
        'gtFine/{s}/ulm/ulm_000001_000019_gtFine_labelIds.png',
        26,
    ),
    'idd': (
        'leftImg8bit/{s}/201/frame7_leftImg8bit.jpg',
        'gtFine/{s}/201/frame7_gtFine_labelids.png',
        12,
    ),
    'mapillary': ('{s}/images/aBc-_1.jpg', '{s}/labels/aBc-_1.png', 55),
    'bdd': ('images/10k/{s}/00a-1.jpg', 'labels/sem_seg/masks/{s}/00a-1.png', 13),
}
MAPILLARY_SPLITS = {'train': 'training', 'val': 'validation'}


def add(root, source, split='train', files=None):
    """Write one sample: the left half of its mask is car, the rest ignored or road."""
    image, mask, car = files or FILES[source]
    folder = MAPILLARY_SPLITS[split] if source == 'mapillary' else split
    ids = np.zeros((6, 8), np.uint8)
    ids[:, :4] = car
    paths = [root / part.format(s=folder) for part in (image, mask)]
    imwrite(np.full((6, 8, 3), 90, np.uint8), paths[0])
    imwrite(ids, paths[1])
    return paths


@pytest.fixture
def root(tmp_path):
    for source in FILES:
        for split in ('train', 'val'):
            add(tmp_path / source, source, split)
    return tmp_path


def test_all_sources(root):
    dataset = DATASETS.build(
        {'type': 'UDSDataset', 'data_root': str(root), 'split': 'val', 'pipeline': PIPELINE}
    )
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    assert [sample.source for sample in samples] == ['cityscapes', 'idd', 'mapillary', 'bdd']
    for sample in samples:
        label = sample.gt_sem_seg.data[0].numpy()
        assert (label[:, :4] == 13).all() and (label[:, 4:] != 13).all()


def test_any_subset_of_sources(root):
    dataset = UDSDataset(root, sources={'bdd': 'bdd', 'idd': root / 'idd', 'cityscapes': None})
    assert [dataset.get_data_info(i)['source'] for i in range(len(dataset))] == ['idd', 'bdd']


def test_a_source_by_itself_equals_its_part(root):
    for cls, source in ((IDDDataset, 'idd'), (MapillaryDrivingDataset, 'mapillary')):
        alone = cls(root / source, pipeline=PIPELINE)
        mixed = UDSDataset(root, sources={source: source}, pipeline=PIPELINE)
        assert len(alone) == len(mixed) == 1
        assert alone[0]['data_samples'].img_path == mixed[0]['data_samples'].img_path


def test_older_releases(tmp_path):
    add(tmp_path, 'bdd', files=('images/{s}/1.jpg', 'labels/{s}/1_train_id.png', 13))
    add(tmp_path, 'mapillary', files=('{s}/images/1.jpg', '{s}/v1.2/labels/1.png', 55))
    dataset = UDSDataset(tmp_path, sources={'bdd': '.', 'mapillary': '.'})
    assert len(dataset) == 2


def test_chosen_classes(root):
    dataset = UDSDataset(root, metainfo={'classes': ('car', 'road')}, pipeline=PIPELINE)
    for i in range(4):
        label = dataset[i]['data_samples'].gt_sem_seg.data[0].numpy()
        assert (label[:, :4] == 0).all()


@pytest.mark.parametrize(
    'image, mask', [('{s}/1.png', '{s}annot/1.png'), ('images/{s}/1.jpg', 'annotations/{s}/1.png')]
)
def test_camvid(tmp_path, image, mask):
    add(tmp_path, 'camvid', 'val', files=(image, mask, 11))
    dataset = CamVidDataset(tmp_path, 'val', PIPELINE)
    label = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert (label[:, :4] == 255).all() and (label[:, 4:] == 0).all()
    assert len(dataset.metainfo['classes']) == 11


def refuse(error, words, **kwargs):
    with pytest.raises(error) as caught:
        UDSDataset(**kwargs)
    message = str(caught.value)
    assert '\n' not in message
    for word in words:
        assert str(word) in message, message


def test_unknown_names(root):
    refuse(ValueError, ['kitti', 'mapillary'], data_root=root, sources={'kitti': 'kitti'})
    refuse(ValueError, ['test', 'train, val'], data_root=root, split='test')
    refuse(ValueError, ['no source', 'bdd'], data_root=root, sources={'bdd': None})


def test_plain_loading_of_labels_is_refused(root):
    steps = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}]
    nested = [{'type': 'TestTimeAug', 'transforms': [[steps[0]], [steps[1]]]}]
    built = [TRANSFORMS.build(step) for step in steps]
    for pipeline in (steps, nested, built):
        refuse(ValueError, ['LoadMappedAnnotations'], data_root=root, pipeline=pipeline)


def test_reduce_zero_label_is_refused_wherever_it_is_set(root):
    steps = [
        {'type': 'LoadImageWhole'},
        {'type': 'LoadMappedAnnotations', 'reduce_zero_label': True},
    ]
    nested = [{'type': 'TestTimeAug', 'transforms': [[step] for step in steps]}]
    refuse(ValueError, ['reduce_zero_label=True'], data_root=root, reduce_zero_label=True)
    for pipeline in (steps, nested):
        refuse(ValueError, ['reduce_zero_label=True'], data_root=root, pipeline=pipeline)
    wrong = {'type': 'MiniUDSDataset', 'reduce_zero_label': True}
    for wrapper in ('ClassUniformDataset', 'RepeatDataset'):
        times = {'times': 2} if wrapper == 'RepeatDataset' else {}
        with pytest.raises(ValueError, match='reduce_zero_label=True'):
            DATASETS.build({'type': wrapper, 'dataset': wrong, **times})


def test_missing_folders(root):
    refuse(
        FileNotFoundError,
        ['mapillary', root / 'maps', 'does not exist', '--cfg-options sources.mapillary=None'],
        data_root=root,
        sources={'mapillary': 'maps'},
    )
    # One level too high: names what was expected and what is there.
    refuse(
        FileNotFoundError,
        ['bdd', root / 'images/10k/train', 'holds bdd, cityscapes, idd, mapillary'],
        data_root=root,
        sources={'bdd': '.'},
    )
    (root / 'bdd/labels').rename(root / 'bdd/other')
    refuse(
        FileNotFoundError,
        ['bdd', root / 'bdd/labels/sem_seg/masks/train', 'holds images, other'],
        data_root=root,
    )


def test_empty_folder(root):
    next((root / 'cityscapes/leftImg8bit/train/ulm').iterdir()).unlink()
    refuse(
        FileNotFoundError,
        ['cityscapes', '*_leftImg8bit.png', 'leftImg8bit/train holds ulm'],
        data_root=root,
    )


def test_images_without_a_mask_are_left_out_with_one_warning(root, monkeypatch):
    said = []
    monkeypatch.setattr(source_layouts, 'print_log', lambda text, *_, level: said.append(text))
    folder = root / 'bdd/images/10k/train'
    for name in ('x', 'y'):
        imwrite(np.zeros((6, 8), np.uint8), folder / f'{name}.jpg')
    dataset = UDSDataset(root, sources={'bdd': 'bdd'}, pipeline=PIPELINE)
    assert [dataset[i]['data_samples'].img_path for i in range(len(dataset))] == [
        str(folder / '00a-1.jpg')
    ]
    assert len(said) == 1 and '2 of 3 images' in said[0]
    assert str(folder / 'x.jpg') in said[0] and str(folder / 'y.jpg') in said[0]


def test_no_image_with_a_mask_is_an_error(root):
    mask = next((root / 'cityscapes/gtFine/train/ulm').iterdir())
    mask.rename(mask.with_name('other_gtFine_labelIds.png'))
    refuse(
        FileNotFoundError,
        ['cityscapes', '1 of 1 images', 'ulm_000001_000019_gtFine_labelIds.png'],
        data_root=root,
    )


def test_the_test_split_of_cityscapes_has_no_labels(root):
    image = FILES['cityscapes'][0].format(s='test')
    imwrite(np.zeros((6, 8, 3), np.uint8), root / 'cityscapes' / image)
    dataset = UDSDataset(
        root, 'test', sources={'cityscapes': 'cityscapes'}, pipeline=PIPELINE, test_mode=True
    )
    sample = dataset[0]['data_samples']
    assert sample.img_path.endswith(image) and 'gt_sem_seg' not in sample


def test_idd_without_masks_names_the_converter(root):
    mask = next((root / 'idd/gtFine/train/201').iterdir())
    mask.rename(mask.with_name('frame7_gtFine_polygons.json'))
    refuse(FileNotFoundError, ['idd', 'tools/dataset_converters/idd.py'], data_root=root)
