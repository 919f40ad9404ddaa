"""Builds a model from a config and a checkpoint, and says in one line what is wrong with either."""

import os.path as osp
from typing import Any, Dict, List, Optional, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmseg.apis import init_model
from mmseg.models import BaseSegmentor
from mmseg.registry import DATASETS
from torch import nn

from sfnet_mm.compat import load_checkpoint_file

# Layers that run in training only: a checkpoint may have them where the model has not.
_TRAINING_ONLY = ('auxiliary_head.', 'decode_head.dsn.')


def load_model(
    config: Union[str, Config], checkpoint: Optional[str] = None, device: str = 'cpu'
) -> BaseSegmentor:
    """Build a segmentor for inference, as ``mmseg.apis.init_model`` does, but strictly.

    ``init_model`` loads what fits of a checkpoint and goes on with random weights for the rest.

    Args:
        config: Path of the config, or the config.
        checkpoint: Path of the checkpoint; None leaves the weights random (to measure speed).
        device: Where the model goes.

    Returns:
        BaseSegmentor: In evaluation mode, SyncBN replaced by BN, with ``cfg`` and ``dataset_meta``.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        ValueError: The file is no config or no checkpoint, or the two do not belong together; the
            device does not exist.
    """
    name = config if isinstance(config, str) else config.filename or 'the config'
    cfg = _read_config(config)
    try:
        device = torch.device(device)
    except RuntimeError:
        raise ValueError(f'device {device!r} is not one that torch knows, such as cpu') from None
    if device.type == 'cuda' and not torch.cuda.is_available():
        raise ValueError(f'device {device} was asked for, but torch finds no CUDA device: use cpu')
    model = revert_sync_batchnorm(init_model(cfg.copy(), None, 'cpu'))
    meta: Dict[str, Any] = {}
    if checkpoint is not None:
        loaded = load_checkpoint_file(checkpoint)
        meta = loaded.get('meta') or {}
        _load_strictly(model, loaded.get('state_dict', loaded), checkpoint, name)
    model.cfg = cfg
    model.dataset_meta = meta.get('dataset_meta') or dataset_meta(cfg)
    return model.to(device).eval()


def dataset_meta(cfg: Config) -> Dict[str, Any]:
    """Classes and palette of the test data of a config, without reading the data."""
    dataset = cfg.get('test_dataloader', {}).get('dataset', {})
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    meta = dict(getattr(DATASETS.get(dataset.get('type', '')), 'METAINFO', {}))
    meta.update(dataset.get('metainfo') or {})
    return meta


def input_channels(model: nn.Module) -> int:
    """Channels of the images that a model takes: those of the first convolution of its backbone."""
    for module in model.backbone.modules():
        if isinstance(module, nn.Conv2d):
            return module.in_channels
    return 3


def normalization(model: nn.Module) -> Tuple[List[float], List[float], bool]:
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


def sliding_windows(model: BaseSegmentor) -> Optional[Dict[str, List[int]]]:
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


def _read_config(config: Union[str, Config]) -> Config:
    if isinstance(config, Config):
        cfg, config = config, config.filename or 'that was given'
    elif not osp.isfile(config):
        raise FileNotFoundError(f'config {config} does not exist')
    elif not config.endswith(('.py', '.json', '.yaml', '.yml')):
        raise ValueError(f'config {config} is no config: its name must end in .py, .json or .yaml')
    else:
        cfg = Config.fromfile(config)
    if 'model' not in cfg:
        raise ValueError(f'config {config} has no model: it may be a base that others build on')
    return cfg


def _load_strictly(
    model: BaseSegmentor, state: Dict[str, torch.Tensor], checkpoint: str, config: str
) -> None:
    target = model.state_dict()
    state = {k: v for k, v in state.items() if k in target or not k.startswith(_TRAINING_ONLY)}
    problems: List[str] = []
    for what, keys in (
        ('missing', target.keys() - state.keys()),
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
    model.load_state_dict(state, strict=False)


def _differs(a: torch.Tensor, b: Any) -> bool:
    return not isinstance(b, torch.Tensor) or a.shape != b.shape
