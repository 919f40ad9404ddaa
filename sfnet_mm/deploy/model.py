"""Builds a model from a config and a checkpoint, and says in one line what is wrong with either."""

import copy
import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.runner.checkpoint import CheckpointLoader
from mmseg.apis import init_model
from mmseg.datasets import BaseSegDataset
from mmseg.models import BaseSegmentor
from mmseg.registry import DATASETS
from torch import Tensor

from sfnet_mm.utils.config import read_config
from sfnet_mm.utils.config_parts import data_sets, registered

# Layers that run in training only: a checkpoint may have them where the model has not.
_TRAINING_ONLY = ('auxiliary_head.', 'decode_head.dsn.')


def load_model(
    config: str | Config, checkpoint: str | None = None, device: str = 'cpu'
) -> BaseSegmentor:
    """Build a segmentor for inference, as ``mmseg.apis.init_model`` does, but strictly.

    ``init_model`` loads what fits of a checkpoint and goes on with random weights for the rest.

    Args:
        config: Path of the config, or the config.
        checkpoint: Path or address of the checkpoint; None leaves the weights random (to measure
            speed).
        device: Where the model goes.

    Returns:
        BaseSegmentor: In evaluation mode, SyncBN replaced by BN, with ``cfg`` and ``dataset_meta``.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        ValueError: The file is no config or no checkpoint, or the two do not belong together; the
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
    model = revert_sync_batchnorm(init_model(copy.deepcopy(cfg), None, 'cpu'))
    meta: dict[str, Any] = {}
    if checkpoint is not None:
        meta = load_strictly(model, checkpoint, name).get('dataset_meta') or {}
    model.cfg = cfg
    # A cascade of heads has the classes of its last one.
    classes = getattr(model, 'num_classes', 0)
    if meta.get('classes'):
        model.dataset_meta = complete_meta(meta, {})
    else:
        model.dataset_meta = dataset_meta(cfg, classes)
    return model.to(device).eval()


def dataset_meta(cfg: Config, num_classes: int = 0) -> dict[str, Any]:
    """Classes and palette of the data of a config, without reading the data.

    They are those of the first of test, validation and training data that the config has. Without a
    palette, the colors are those that mmseg draws for such a data set.

    Args:
        cfg: The config.
        num_classes: How many classes the model has; they are called by their numbers where the
            config has no data.
    """
    meta: dict[str, Any] = {}
    for split in ('test', 'val', 'train'):
        for dataset in data_sets(cfg.get(f'{split}_dataloader'))[:1]:
            meta = dict(getattr(registered(DATASETS, dataset), 'METAINFO', {}))
            return complete_meta(meta, dataset.get('metainfo') or {}, num_classes)
    return complete_meta(meta, {}, num_classes)


def complete_meta(meta: Mapping, changes: Mapping, num_classes: int = 0) -> dict[str, Any]:
    """What mmseg makes of the ``METAINFO`` of a data set and the ``metainfo`` of its config.

    A class that is chosen of several keeps its color, and a palette that is missing is drawn.
    """
    meta, changes = ({k: v for k, v in m.items() if v is not None} for m in (meta, changes))
    if not (changes.get('classes') or meta.get('classes')):
        changes['classes'] = [str(i) for i in range(num_classes)]
    drawn = type('DataSet', (BaseSegDataset,), {'METAINFO': meta})
    return drawn(metainfo=changes, lazy_init=True).metainfo


def pad_to_stride(image: Tensor, stride: int = 32) -> Tensor:
    """Pad an image with zeros at the bottom and on the right to a multiple of the stride."""
    height, width = image.shape[2:]
    return F.pad(image, (0, -width % stride, 0, -height % stride))


def input_channels(model: nn.Module) -> int:
    """Channels of the images that a model takes: those of the first convolution of its backbone."""
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return 3


def normalization(model: nn.Module) -> tuple[list[float], list[float], bool]:
    """What the data preprocessor does to the values of an image.

    Returns:
        tuple: Mean and standard deviation of every channel, zero and one where it does not
        normalize, and whether it reverses the order of three channels.
    """
    channels, pre = input_channels(model), model.data_preprocessor
    mean, std = (
        torch.as_tensor(getattr(pre, name, default)).float().flatten().expand(channels).tolist()
        for name, default in (('mean', 0.0), ('std', 1.0))
    )
    # mmseg's preprocessor, then mmengine's and mmdet's.
    swap = getattr(pre, 'channel_conversion', getattr(pre, '_channel_conversion', False))
    return mean, std, bool(swap) and channels == 3


def sliding_windows(model: BaseSegmentor) -> dict[str, list[int]] | None:
    """``crop_size`` and ``stride`` of a model that is tested in sliding windows, else None."""
    test_cfg = model.test_cfg or {}
    if test_cfg.get('mode', 'whole') != 'slide':
        return None
    return {key: [int(side) for side in test_cfg[key]] for key in ('crop_size', 'stride')}


def context_size(model: BaseSegmentor) -> int:
    """The smallest side of an image, in pixels, that gives every pooling cell a pixel of its own.

    A smaller image still runs, but its cells repeat each other and the context is not what the
    model was trained with.
    """
    scales = [1]
    for module in model.modules():
        scales.extend(getattr(module, 'pool_scales', None) or ())
    return 32 * max(scales)


def load_strictly(model: nn.Module, checkpoint: str, config: str) -> dict[str, Any]:
    """Load a checkpoint that has every tensor of the model, and no others; its ``meta``.

    See :func:`read_fitting_checkpoint`.
    """
    loaded = read_fitting_checkpoint(model, checkpoint, config)
    model.load_state_dict(loaded['state_dict'], strict=False)
    return loaded['meta']


def read_fitting_checkpoint(model: nn.Module, checkpoint: str, config: str) -> dict[str, Any]:
    """Read a checkpoint that has every tensor which the model runs with, and no others.

    Args:
        model: The model, or a wrapper around it (of processes, of test-time augmentation).
        checkpoint: Path or address of the checkpoint.
        config: Name of the config, for errors.

    Returns:
        dict: ``state_dict`` with the tensors of the model, and ``meta``.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The file is no checkpoint, or it does not belong to the config.
    """
    while isinstance(getattr(model, 'module', None), nn.Module):
        model = model.module
    loaded = CheckpointLoader.load_checkpoint(checkpoint, map_location='cpu', logger='silent')
    state = loaded.get('state_dict', loaded) if isinstance(loaded, dict) else loaded
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise ValueError(
            f'checkpoint {checkpoint} holds a {type(state).__name__}, no state_dict of names'
        )
    state = {re.sub(r'^module\.', '', name): value for name, value in state.items()}
    target = model.state_dict()
    state = {k: v for k, v in state.items() if k in target or not k.startswith(_TRAINING_ONLY)}
    problems: list[str] = []
    for what, keys in (
        ('missing', {k for k in target.keys() - state.keys() if not k.startswith(_TRAINING_ONLY)}),
        ('unknown', state.keys() - target.keys()),
        ('of another shape', {k for k in target if k in state and _differs(target[k], state[k])}),
    ):
        # A checkpoint that was written before torch counted batches does without the counters.
        keys = sorted(k for k in keys if not k.endswith('num_batches_tracked'))
        if keys:
            problems.append(f'{len(keys)} tensors are {what} ({keys[0]})')
    if problems:
        raise ValueError(
            f'checkpoint {checkpoint} does not belong to {config}: {"; ".join(problems)}'
        )
    return dict(state_dict=state, meta=loaded.get('meta') or {})


def _differs(a: torch.Tensor, b: Any) -> bool:
    return not isinstance(b, torch.Tensor) or a.shape != b.shape
