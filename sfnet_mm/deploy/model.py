"""Builds a model from a config and a checkpoint, with one-line errors if either is wrong."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.apis import init_model
from mmseg.datasets import BaseSegDataset
from mmseg.models import BaseSegmentor
from mmseg.registry import DATASETS
from torch import Tensor

from sfnet_mm.models.layers.pyramid_context import PyramidContext
from sfnet_mm.utils.config import read_config
from sfnet_mm.utils.config_parts import data_sets, registered
from sfnet_mm.utils.known_warnings import known_warnings_ignored
from sfnet_mm.utils.state_dicts import compare_tensors

from .image_pipeline import inference_pipeline

# These layers run in training only. A checkpoint may have them although the model has not.
_TRAINING_ONLY = ('auxiliary_head.', 'decode_head.dsn.')


class UnfitCheckpoint(ValueError):
    """The tensors of a checkpoint are not those of the model, or are not finite."""


def load_model(
    config: str | Config, checkpoint: str | None = None, device: str = 'cpu'
) -> BaseSegmentor:
    """Build a segmentor for inference, as ``mmseg.apis.init_model`` does, but strictly.

    ``init_model`` loads the tensors of a checkpoint that fit and leaves the others random.

    Args:
        config: The config or its path.
        checkpoint: Path or address of the checkpoint. None leaves the weights random, for
            measurements of speed.
        device: Device of the model.

    Returns:
        BaseSegmentor: The model in evaluation mode with ``cfg`` and ``dataset_meta``, and with
        SyncBN replaced by BN.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The file is not a config or checkpoint, the two do not belong together, or the
            device does not exist.
    """
    name = config if isinstance(config, str) else config.filename or 'the config'
    cfg = read_config(config)
    try:
        device = torch.device(device)
    except RuntimeError:
        raise ValueError(f'device {device!r} is not one that torch knows, such as cpu') from None
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'device {device} was asked for, but torch finds no CUDA device: use cpu')
    with known_warnings_ignored():
        model = revert_sync_batchnorm(init_model(copy.deepcopy(cfg), None, 'cpu'))
    meta: dict[str, Any] = {}
    if checkpoint is not None:
        meta = load_strictly(model, checkpoint, name).get('dataset_meta') or {}
    model.cfg = copy.deepcopy(cfg)
    model.cfg.test_pipeline = copy.deepcopy(inference_pipeline(cfg))
    set_test_mode(model)
    if meta.get('classes'):
        model.dataset_meta = complete_meta(meta, {})
    else:
        # In a cascade of heads, the last head decides on the classes.
        model.dataset_meta = dataset_meta(cfg, getattr(model, 'num_classes', 0))
    return model.to(device).eval()


def pools_context(model: nn.Module) -> bool:
    """Return whether a model has the context pooling, which needs images of some size."""
    return any(isinstance(module, PyramidContext) for module in model.modules())


def dataset_meta(cfg: Config, num_classes: int = 0) -> dict[str, Any]:
    """Return the classes and the palette of a config's data sets without reading any data.

    They come from the test data, or else from the validation or the training data. If the data set
    has no palette, mmseg's random colors are used.

    Args:
        cfg: The config.
        num_classes: Number of classes of the model. If the config has no data, the numbers serve
            as names.
    """
    for split in ('test', 'val', 'train'):
        for dataset in data_sets(cfg.get(f'{split}_dataloader'))[:1]:
            meta = dict(getattr(registered(DATASETS, dataset), 'METAINFO', {}))
            return complete_meta(meta, dataset.get('metainfo') or {}, num_classes)
    return complete_meta({}, {}, num_classes)


def complete_meta(meta: Mapping, changes: Mapping, num_classes: int = 0) -> dict[str, Any]:
    """Merge the ``METAINFO`` of a data set with the ``metainfo`` of its config, as mmseg does.

    A class of a selection keeps its color, and a missing palette is drawn at random.
    """
    meta, changes = ({k: v for k, v in m.items() if v is not None} for m in (meta, changes))
    if not (changes.get('classes') or meta.get('classes')):
        changes['classes'] = [str(i) for i in range(num_classes)]

    class DataSet(BaseSegDataset):
        METAINFO = meta

    return DataSet(metainfo=changes, lazy_init=True).metainfo


def pad_to_stride(image: Tensor, stride: int = 32) -> Tensor:
    """Pad an image with zeros at the bottom and on the right to a multiple of the stride."""
    height, width = image.shape[2:]
    return F.pad(image, (0, -width % stride, 0, -height % stride))


def input_channels(model: nn.Module) -> int:
    """Return the number of image channels, which the first convolution of the backbone defines."""
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return 3


def normalization(model: nn.Module) -> tuple[list[float], list[float], bool]:
    """Return how the data preprocessor normalizes an image.

    Returns:
        tuple: Mean and standard deviation of every channel (zero and one without normalization),
        and whether it reverses the order of three channels.
    """
    channels, pre = input_channels(model), model.data_preprocessor
    mean, std = (
        torch.as_tensor(getattr(pre, name, default)).float().flatten().expand(channels).tolist()
        for name, default in (('mean', 0.0), ('std', 1.0))
    )
    # The first name is that of mmseg's preprocessor, the second that of mmengine's and mmdet's.
    swap = getattr(pre, 'channel_conversion', getattr(pre, '_channel_conversion', False))
    return mean, std, bool(swap) and channels == 3


def set_test_mode(model: BaseSegmentor) -> None:
    """Set the mode ``'whole'`` if ``test_cfg`` has none; mmseg then fails at the first image."""
    model.test_cfg = ConfigDict({'mode': 'whole', **(model.test_cfg or {})})


def sliding_windows(model: BaseSegmentor) -> dict[str, list[int]] | None:
    """Return ``crop_size`` and ``stride`` of a model's sliding windows, or None without them.

    Raises:
        ValueError: ``test_cfg`` has another mode, or lacks a size.
    """
    test_cfg = model.test_cfg or {}
    mode = test_cfg.get('mode', 'whole')
    if mode == 'whole':
        return None
    if mode != 'slide' or not (test_cfg.get('crop_size') and test_cfg.get('stride')):
        raise ValueError(
            f"test_cfg {dict(test_cfg)}: the mode is 'whole', or 'slide' with crop_size and stride"
        )
    return {key: [int(side) for side in test_cfg[key]] for key in ('crop_size', 'stride')}


def load_strictly(model: nn.Module, checkpoint: str, config: str) -> dict[str, Any]:
    """Load a checkpoint with exactly the tensors of the model, and return its ``meta``.

    See :func:`read_fitting_checkpoint`.
    """
    loaded = read_fitting_checkpoint(model, checkpoint, config)
    model.load_state_dict(loaded['state_dict'], strict=False)
    return loaded['meta']


def read_fitting_checkpoint(model: nn.Module, checkpoint: str, config: str) -> dict[str, Any]:
    """Read a checkpoint with exactly the tensors of the model, except those of training layers.

    Args:
        model: The model, or a wrapper for several processes or for test-time augmentation.
        checkpoint: Path or address of the checkpoint.
        config: Name of the config, for errors.

    Returns:
        dict: ``state_dict`` with the tensors of the model, and ``meta``.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        UnfitCheckpoint: The checkpoint does not belong to the config or has values that are not
            finite.
        ValueError: The file is not a checkpoint.
    """
    while isinstance(getattr(model, 'module', None), nn.Module):
        model = model.module
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    state = loaded.get('state_dict', loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ValueError(
            f'checkpoint {checkpoint} holds a {type(state).__name__}, no state_dict of names'
        )
    state = {name.removeprefix('module.'): value for name, value in state.items()}
    target = model.state_dict()
    state = {k: v for k, v in state.items() if k in target or not k.startswith(_TRAINING_ONLY)}
    needed = {k: v for k, v in target.items() if k in state or not k.startswith(_TRAINING_ONLY)}
    problems = [
        f'{len(names)} tensors are {what} ({min(names)})'
        for what, names in compare_tensors(needed, state).items()
        if names
    ]
    if problems:
        raise UnfitCheckpoint(
            f'checkpoint {checkpoint} does not belong to {config}: {"; ".join(problems)}'
        )
    diverged = [k for k in needed if k in state and not torch.as_tensor(state[k]).isfinite().all()]
    if diverged:
        raise UnfitCheckpoint(
            f'checkpoint {checkpoint} has NaN or infinite values in {len(diverged)} tensors '
            f'({min(diverged)}): its training diverged, so take an earlier one'
        )
    meta = loaded.get('meta')
    return dict(state_dict=state, meta=meta if isinstance(meta, dict) else {})
