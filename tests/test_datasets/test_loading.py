"""Loading of images and masks: mapping, formats, and what is refused."""

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from sfnet_mm.datasets import LoadImageWhole, LoadMappedAnnotations
from sfnet_mm.datasets.label_maps import CITYSCAPES_IDS, DRIVING_CLASSES


def load(path, table='cityscapes', label_map=None, **extra):
    results = {
        'seg_map_path': str(path),
        'label_table': table,
        'label_map': label_map,
        'seg_fields': [],
        'reduce_zero_label': False,
        **extra,
    }
    return LoadMappedAnnotations()(results)['gt_seg_map']


def by_hand(ids):
    """Loop over pixels and names, independent of the lookup table."""
    out = np.full(ids.shape, 255, dtype=np.uint8)
    for i, name in enumerate(DRIVING_CLASSES):
        for row, col in np.argwhere(ids == CITYSCAPES_IDS[name]):
            out[row, col] = i
    return out


@pytest.fixture
def ids():
    return np.random.default_rng(0).integers(0, 34, (12, 17)).astype(np.uint8)


@pytest.mark.parametrize('kind', ['gray', 'palette', '16 bit'])
def test_mapping_equals_a_loop_over_pixels(tmp_path, ids, kind):
    path = tmp_path / 'mask.png'
    if kind == 'gray':
        Image.fromarray(ids).save(path)
    elif kind == 'palette':
        mask = Image.fromarray(ids)
        # Colors that would give other ids if they were read instead of the indices.
        mask.putpalette([(7 * i + 3) % 256 for i in range(768)])
        mask.save(path)
        assert Image.open(path).mode == 'P'
    else:
        cv2.imwrite(str(path), ids.astype(np.uint16))
    mapped = load(path)
    assert mapped.dtype == np.uint8
    np.testing.assert_array_equal(mapped, by_hand(ids))


def test_chosen_classes_are_mapped_on(tmp_path, ids):
    Image.fromarray(ids).save(tmp_path / 'mask.png')
    chosen = dict.fromkeys(range(19), 255)
    chosen.update({0: 1, 13: 0})
    mapped = load(tmp_path / 'mask.png', label_map=chosen)
    np.testing.assert_array_equal(mapped == 1, ids == CITYSCAPES_IDS['road'])
    np.testing.assert_array_equal(mapped == 0, ids == CITYSCAPES_IDS['car'])
    assert set(np.unique(mapped)) == {0, 1, 255}


@pytest.mark.parametrize('reduce_zero_label', [False, True])
@pytest.mark.parametrize('label_map', [None, {3: 0, 0: 5, 7: 255}])
def test_other_data_sets_load_as_in_the_host(tmp_path, ids, label_map, reduce_zero_label):
    ids[0, :3] = 255, 254, 1
    Image.fromarray(ids).save(tmp_path / 'mask.png')
    results = {
        'seg_map_path': str(tmp_path / 'mask.png'),
        'seg_fields': [],
        'reduce_zero_label': reduce_zero_label,
        'label_map': label_map,
    }
    host = LoadAnnotations()({**results, 'seg_fields': []})['gt_seg_map']
    np.testing.assert_array_equal(LoadMappedAnnotations()(results)['gt_seg_map'], host)


def refuse(call, *words):
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        call()
    message = str(caught.value)
    assert '\n' not in message
    for word in words:
        assert word in message, message


@pytest.mark.parametrize('dtype, wrong', [(np.uint8, 34), (np.uint8, 255), (np.uint16, 26001)])
def test_ids_outside_the_table(tmp_path, ids, dtype, wrong):
    ids = ids.astype(dtype)
    ids[3, 4] = wrong
    path = tmp_path / 'mask.png'
    cv2.imwrite(str(path), ids)
    refuse(lambda: load(path), str(path), f'ids {wrong},', 'cityscapes', '0..33')
    if wrong > 255:
        # mmseg cuts the ids to 8 bits, so that 26001 becomes class 145.
        refuse(lambda: load(path, table=None), str(path), f'ids {wrong}:', '0..255')


@pytest.mark.parametrize('table', ['cityscapes', None])
def test_colored_mask(tmp_path, table):
    path = tmp_path / 'color.png'
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(path)
    refuse(lambda: load(path, table), str(path), '3 channels')


def test_size_of_mask_and_image(tmp_path, ids):
    path = tmp_path / 'mask.png'
    Image.fromarray(ids).save(path)
    load(path, ori_shape=(12, 17))
    call = lambda: load(path, ori_shape=(17, 12), img_path='x.png')  # noqa: E731
    refuse(call, str(path), '12x17', 'x.png', '17x12')


def test_reduce_zero_label_is_refused_where_a_table_maps_the_ids(tmp_path, ids):
    path = tmp_path / 'mask.png'
    Image.fromarray(ids).save(path)
    words = 'reduce_zero_label=True', "'cityscapes'", 'leave it out'
    refuse(lambda: load(path, reduce_zero_label=True), *words)
    info = dict(seg_map_path=str(path), label_table='cityscapes', seg_fields=[])
    refuse(lambda: LoadMappedAnnotations(reduce_zero_label=True)(info), *words)
    # Masks of the host's data sets are shifted as the host does it.
    plain = dict(info, label_table=None, reduce_zero_label=True)
    shifted = LoadMappedAnnotations(reduce_zero_label=True)(plain)['gt_seg_map']
    np.testing.assert_array_equal(shifted, ids - np.uint8(1))


@pytest.mark.parametrize('table', ['cityscapes', None])
def test_truncated_mask(tmp_path, ids, table):
    path = tmp_path / 'mask.png'
    Image.fromarray(ids).save(path)
    path.write_bytes(path.read_bytes()[:-20])
    refuse(lambda: load(path, table), str(path), 'truncated')


@pytest.fixture
def picture():
    return np.random.default_rng(1).integers(0, 256, (60, 80, 3)).astype(np.uint8)


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_whole_image_is_the_hosts(tmp_path, picture, suffix):
    path = tmp_path / f'image{suffix}'
    cv2.imwrite(str(path), picture)
    ours = LoadImageWhole()({'img_path': str(path)})
    host = LoadImageFromFile()({'img_path': str(path)})
    np.testing.assert_array_equal(ours['img'], host['img'])
    assert ours['img_shape'] == host['img_shape'] and ours['ori_shape'] == host['ori_shape']


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('keep', [0.97, 0.5, 0.0])
def test_truncated_image(tmp_path, picture, suffix, keep):
    path = tmp_path / f'image{suffix}'
    cv2.imwrite(str(path), picture)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    word = 'truncated' if keep else 'empty'
    refuse(lambda: LoadImageWhole()({'img_path': str(path)}), str(path), word)
    assert LoadImageWhole(ignore_empty=True)({'img_path': str(path)}) is None


def test_truncated_photo_with_a_whole_thumbnail(tmp_path, picture):
    """The header of a photo holds a JPEG of its own, with an end."""
    path = tmp_path / 'image.jpg'
    small, data = (cv2.imencode('.jpg', x)[1].tobytes() for x in (picture[:20], picture))
    assert small[-2:] == b'\xff\xd9'
    segment = b'\xff\xe1' + (2 + len(small)).to_bytes(2, 'big') + small
    path.write_bytes(data[:2] + segment + data[2:])
    assert LoadImageWhole()({'img_path': str(path)})['img'].shape == (60, 80, 3)
    path.write_bytes(data[:2] + segment + data[2 : len(data) // 4])
    refuse(lambda: LoadImageWhole()({'img_path': str(path)}), str(path), 'truncated')


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('more', [100, 100000])
def test_bytes_after_the_end_are_allowed(tmp_path, picture, more, suffix):
    path = tmp_path / f'image{suffix}'
    cv2.imwrite(str(path), picture)
    whole = LoadImageWhole()({'img_path': str(path)})['img']
    path.write_bytes(path.read_bytes() + b'\0' * more)
    np.testing.assert_array_equal(LoadImageWhole()({'img_path': str(path)})['img'], whole)


def test_no_image(tmp_path):
    path = tmp_path / 'image.jpg'
    path.write_text('<html>not found</html>')
    refuse(lambda: LoadImageWhole()({'img_path': str(path)}), str(path), 'decoded')
    refuse(lambda: LoadImageWhole()({'img_path': str(tmp_path / 'no.jpg')}), 'no.jpg')


def test_a_mask_over_the_size_limit_of_pillow_is_named_in_one_line(tmp_path, monkeypatch):
    path = tmp_path / 'mask.png'
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(path)
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 10)  # Pillow refuses twice as many.
    with pytest.raises(ValueError, match=r'mask\.png cannot be decoded: Image size \(72 pixels\)'):
        load(path)
