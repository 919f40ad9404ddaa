"""Images whose EXIF tag asks for a turn: their masks have the pixels of the file."""

import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets import BaseSegDataset
from PIL import Image, ImageOps

from sfnet_mm.datasets import ClassUniformDataset, LoadImageWhole, LoadMappedAnnotations, UDSDataset
from sfnet_mm.engine.data_check import read_data_set

ORIENTATIONS = range(1, 9)
MASK = LoadMappedAnnotations()


def write(folder, orientation, size):
    """A picture, white where its mask is sky (10); both lie as BDD's do."""
    mask = np.zeros(size, np.uint8)
    # No turn or reflection maps this corner on itself.
    mask[: size[0] // 4, : size[1] // 2] = 10
    exif = Image.Exif()
    exif[274] = orientation
    image, label = folder / 'images/10k/train/a.jpg', folder / 'labels/sem_seg/masks/train/a.png'
    for path in (image, label):
        path.parent.mkdir(parents=True)
    picture = np.repeat(np.where(mask, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    Image.fromarray(picture).save(image, exif=exif, quality=95)
    Image.fromarray(mask).save(label)
    return image, label, mask


def check(sample, mask):
    np.testing.assert_array_equal(sample['gt_seg_map'], mask)
    agreement = (sample['img'][..., 0] > 127) == (mask == 10)
    # JPEG blurs the edges a little.
    assert agreement.mean() > 0.97


@pytest.mark.parametrize('size', [(64, 96), (64, 64)])
@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_image_and_mask_agree_whatever_loads_the_image(tmp_path, orientation, size):
    image, label, mask = write(tmp_path, orientation, size)
    for loader in (
        LoadImageWhole(),
        LoadImageFromFile(),
        LoadImageFromFile(imdecode_backend='pillow'),
    ):
        check(UDSDataset(sources=dict(bdd=tmp_path), pipeline=[loader, MASK])[0], mask)
    info = dict(img_path=str(image), seg_map_path=str(label), label_table='bdd', seg_fields=[])
    check(MASK(LoadImageWhole()(info)), mask)


@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_test_time_augmentation_and_class_uniform_crops(tmp_path, orientation):
    _, _, mask = write(tmp_path, orientation, (64, 96))
    flip = [[dict(type='RandomFlip', prob=0.0)], [MASK]]
    steps = [dict(type='LoadImageFromFile'), dict(type='TestTimeAug', transforms=flip)]
    outputs = UDSDataset(sources=dict(bdd=tmp_path), pipeline=steps)[0]
    check({key: value[0] for key, value in outputs.items()}, mask)
    inner = BaseSegDataset(
        data_prefix=dict(
            img_path=f'{tmp_path}/images/10k/train',
            seg_map_path=f'{tmp_path}/labels/sem_seg/masks/train',
        ),
        metainfo=dict(classes=[str(i) for i in range(11)]),
        pipeline=[LoadImageFromFile(), dict(type='LoadAnnotations'),
                  dict(type='CropAroundCentroid', crop_size=(64, 96))],
    )  # fmt: skip
    dataset = ClassUniformDataset(inner, fraction=0, workers=0)
    check(dataset[0], mask)


@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_a_run_reads_any_data_set_as_stored(tmp_path, orientation):
    """The hosts' own data set, with the hosts' loaders, scored the mask of a turned image."""
    _, _, mask = write(tmp_path, orientation, (64, 96))
    config = dict(
        type='BaseSegDataset',
        data_root=str(tmp_path),
        data_prefix=dict(img_path='images/10k/train', seg_map_path='labels/sem_seg/masks/train'),
        metainfo=dict(classes=[str(i) for i in range(11)]),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    )
    check(read_data_set(config, 'val')[0], mask)


def test_an_image_alone_is_turned_as_in_the_host(tmp_path):
    image, _, _ = write(tmp_path, 6, (64, 96))
    alone = LoadImageWhole()(dict(img_path=str(image)))['img']
    assert alone.shape == (96, 64, 3)
    with Image.open(image) as picture:
        turned = np.asarray(ImageOps.exif_transpose(picture))
    assert abs(alone.astype(int) - turned).max() < 8


def test_an_error_of_size_names_exif_where_that_is_why(tmp_path):
    image, label, mask = write(tmp_path, 6, (64, 96))
    info = dict(img_path=str(image), seg_map_path=str(label), label_table='bdd', seg_fields=[])
    Image.fromarray(mask.T).save(label)
    line = r'has 96x64 .*, but its image .*a.jpg has 64x96; its EXIF orientation 6[^\n]*$'
    with pytest.raises(ValueError, match=line):
        MASK(LoadImageWhole()(info))
    plain = dict(info, reduce_zero_label=False, label_table=None)
    with pytest.raises(ValueError, match='its EXIF orientation 6'):
        MASK(LoadImageWhole()(plain))
    write(tmp_path / 'other', 3, (64, 96))
    with pytest.raises(ValueError, match=r'has 96x64 .* has 64x96$'):
        MASK(LoadImageWhole()(dict(info, img_path=str(tmp_path / 'other/images/10k/train/a.jpg'))))
