"""Loads images, and masks whose ids it maps to train ids."""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import cv2
import mmcv
import mmengine.fileio as fileio
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmseg.datasets.transforms import LoadAnnotations
from mmseg.registry import TRANSFORMS
from PIL import Image
from PIL.Image import DecompressionBombError

from sfnet_mm.utils.media import check_whole

from ..label_maps import LABEL_TABLES
from ..pipelines import exif_remark, stored_color_type


@TRANSFORMS.register_module()
class LoadImageWhole(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile`` that refuses a truncated image.

    The image of a sample with a mask is loaded as stored, without the rotation by its EXIF tag,
    because the mask has the pixels of the file. An image without a mask is rotated, as in the host.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, truncated or not an image.
    """

    def transform(self, results: dict) -> dict | None:
        """Load ``results['img_path']`` into ``results['img']``, (H, W, 3) BGR.

        With ``ignore_empty`` the result is None if the image cannot be used, and the data set takes
        another one.
        """
        try:
            image = self._read(results)
        except (OSError, ValueError, cv2.error):
            if self.ignore_empty:
                return None
            raise
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, results: dict) -> np.ndarray:
        path = results['img_path']
        data = fileio.get(path, backend_args=self.backend_args)
        check_whole(data, path)
        flag = self.color_type
        if results.get('seg_map_path') is not None:
            flag = stored_color_type(flag, self.imdecode_backend)
        image = mmcv.imfrombytes(data, flag=flag, backend=self.imdecode_backend)
        if image is None:
            raise ValueError(f'{path} cannot be decoded; is it an image?')
        return image


@lru_cache(maxsize=64)
def _lut(
    table: str | None, label_map: tuple[tuple[int, int], ...] | None, reduce_zero_label: bool
) -> np.ndarray:
    """Return the lookup table (256,) of a label table for the classes that a data set chooses.

    Without a label table, an id is a class, or its number plus one with ``reduce_zero_label``.
    """
    lut = LABEL_TABLES[table].lut if table else np.arange(256, dtype=np.uint8)
    if reduce_zero_label:
        lut = np.append(np.roll(lut, 1)[:255], np.uint8(255))
    if label_map:
        chosen = dict(label_map)
        lut = np.array([chosen.get(int(train_id), train_id) for train_id in lut], dtype=np.uint8)
    return lut


def open_image(path: str, backend_args: dict | None = None) -> Image.Image:
    """Open and decode an image, with the pixels as the file stores them.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is empty, truncated, damaged or not an image.
    """
    data = fileio.get(path, backend_args=backend_args)
    check_whole(data, path)
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, DecompressionBombError) as e:
        raise ValueError(f'{path} cannot be decoded: {e}') from None
    return image


def read_ids(path: str, backend_args: dict | None = None) -> np.ndarray:
    """Read the ids (H, W) of a mask as they are stored: 8-bit gray, palette or 16-bit PNG.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The mask is truncated, not an image, or has several channels.
    """
    # Palette images have ids as indices, not as colors.
    mask = np.asarray(open_image(path, backend_args))
    if mask.ndim != 2:
        raise ValueError(
            f'{path} has {mask.shape[-1]} channels; expected a mask of ids with one channel, '
            'not a colored one'
        )
    return mask


@TRANSFORMS.register_module()
class LoadMappedAnnotations(LoadAnnotations):
    """Loads a mask and translates its ids to train ids by the label table of the sample.

    This takes one lookup per pixel, so that masks stay on disk as they were distributed. They may
    be 8-bit gray, palette or 16-bit PNGs, which Pillow reads. The masks of samples without
    ``label_table`` (of mmseg's own data sets) get the labels of mmseg's ``LoadAnnotations``, which
    lets wrong masks pass. An image without a mask, as mmseg's ``inference_model`` passes it, stays
    without a label.

    Required keys: ``seg_map_path``; ``label_table``, the name of a table in
    :data:`~sfnet_mm.datasets.label_maps.LABEL_TABLES`; ``label_map`` (class selection by
    ``metainfo``, or None). With ``ori_shape`` (after loading the image) sizes are compared.

    Added keys: ``gt_seg_map``, uint8 (H, W), train ids and 255; ``seg_fields``.

    Raises:
        ValueError: The mask is truncated, has several channels, has ids outside its table or
            above 255, or differs in size from its image; or ``reduce_zero_label`` is set for a
            mapped mask.
    """

    def _load_seg_map(self, results: dict) -> None:
        if 'seg_map_path' not in results:
            # mmseg's inference_model and MMSegInferencer give the test pipeline an image without a
            # mask.
            return
        path, name = results['seg_map_path'], results.get('label_table')
        reduce_zero_label = bool(self.reduce_zero_label or results.get('reduce_zero_label'))
        if name is not None and reduce_zero_label:
            raise ValueError(
                f'LoadMappedAnnotations: reduce_zero_label=True does not go with the label table '
                f'{name!r}, which maps the ids to classes from 0 on: leave it out'
            )
        mask = read_ids(path, self.backend_args)
        self._check_size(mask, results)
        label_map = results.get('label_map')
        lut = _lut(name, tuple(label_map.items()) if label_map else None, reduce_zero_label)
        if mask.dtype != np.uint8:
            if mask.size and (mask.max() > 255 or mask.min() < 0):
                self._refuse(path, mask, name)
            mask = mask.astype(np.uint8)
        mapped = cv2.LUT(mask, lut)
        if name is not None and (mapped == LABEL_TABLES[name].UNKNOWN).any():
            self._refuse(path, mask, name)
        results['gt_seg_map'] = mapped
        results['seg_fields'].append('gt_seg_map')

    def _check_size(self, mask: np.ndarray, results: dict) -> None:
        """Raise a ValueError unless the mask has the size of the image as loaded."""
        size, image = results.get('ori_shape'), results.get('img_path')
        if size is not None and tuple(size[:2]) != mask.shape[:2]:
            raise ValueError(
                f'{results["seg_map_path"]} has {mask.shape[0]}x{mask.shape[1]} pixels (height x '
                f'width), but its image {image} has {size[0]}x{size[1]}'
                f'{exif_remark(image, self.backend_args)}'
            )

    @staticmethod
    def _refuse(path: str, mask: np.ndarray, name: str | None) -> None:
        if name is None:
            ids = np.unique(mask[(mask < 0) | (mask > 255)])[:8].tolist()
            raise ValueError(f'{path} holds the ids {", ".join(map(str, ids))}: a class is 0..255')
        table = LABEL_TABLES[name]
        raise ValueError(
            f'{path} holds the ids {table.describe_unknown(mask)}, which are not in the label '
            f'table {name!r} ({min(table.known_ids)}..{max(table.known_ids)}); is it in '
            'another encoding?'
        )
