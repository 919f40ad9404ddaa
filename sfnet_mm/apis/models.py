"""Builds a model by the name of its config, for programs that hold no config of their own.

The hosts are imported when a function is called, so that ``import sfnet_mm`` stays fast.
"""

import copy
import logging
import os
import os.path as osp
from collections import OrderedDict
from numbers import Integral
from typing import TYPE_CHECKING

from sfnet_mm.config_files import config_path, weights_path

if TYPE_CHECKING:
    from mmengine.config import Config
    from torch import nn


def create_model(
    name: str,
    num_classes: int | None = None,
    weights: str | os.PathLike | None = None,
    features: bool = False,
    device: str = 'cpu',
) -> 'nn.Module':
    """Build the segmentor of a config of this package, or its backbone and neck alone.

    Example::

        model = sfnet_mm.create_model('sfnet_lite_stdc1_cityscapes', num_classes=7)
        mask = sfnet_mm.predict('street.jpg', model)

        maps = sfnet_mm.create_model('sfnet_lite_stdc1_cityscapes', features=True)
        shapes = [m.shape for m in maps(torch.rand(1, 3, 512, 1024))]

    Args:
        name: Name of the config (:func:`sfnet_mm.list_models` lists them), or the path of your own
            config, ending in ``.py``.
        num_classes: Number of classes of the decode head and of the auxiliary heads that have as
            many; None keeps that of the config. If the data of the config have another number,
            classes are named by their indices.
        weights: None leaves all weights random: the ImageNet weights that the config names for its
            backbone are not fetched (the training tools fetch them). A path or an address
            (``https://``, ...) is that of a checkpoint of the whole model; only an address is
            fetched. ``'camvid'`` is the checkpoint of ``sfnet_efflite0_camvid360`` that comes with
            the package. If the checkpoint has as many classes as the config, and ``num_classes`` is
            another number, the classifiers stay random and a warning names them.
        features: Return the backbone and, if there is one, the neck: a module that takes images
            (N, 3, H, W), normalized as by the ``data_preprocessor`` of the config, and returns a
            tuple of maps, finest first. SFNet's aligned pyramid is a part of its head, not a neck.
        device: Device of the model, such as ``'cuda:0'``.

    Returns:
        nn.Module: The model in evaluation mode, with SyncBN replaced by BN. A segmentor has
        ``cfg`` and ``dataset_meta``, as mmseg's ``inference_model`` needs them.

    Raises:
        FileNotFoundError: There is no such config (the message names similar ones) or checkpoint.
        ValueError: The config does not have one decode head, the checkpoint does not belong to it,
            ``num_classes`` is not positive, or the device does not exist.
    """
    from sfnet_mm.deploy.model import complete_meta
    from sfnet_mm.utils.config import read_config

    if num_classes is not None and not (isinstance(num_classes, Integral) and num_classes > 0):
        raise ValueError(f'num_classes is a positive number, not {num_classes!r}')
    own = read_config(config_file(name))
    if not isinstance(own.model.get('decode_head'), dict):
        raise ValueError(
            f'{name} is no model with one decode head: build it with mmseg.apis.init_model, '
            'or a panoptic one with mmdet.apis.init_detector'
        )
    cfg = own if num_classes is None else _with_classes(own, int(num_classes))
    path = None if weights is None else weights_path(os.fspath(weights))
    model = _build(cfg, own, path, device)
    if num_classes and len(model.dataset_meta['classes']) != num_classes:
        model.dataset_meta = complete_meta({}, {}, int(num_classes))
    return _features(model) if features else model


def config_file(name: str) -> str:
    """Return the path of a user's config, or of the package's config with this name."""
    own = name.endswith('.py') and osp.isfile(name)
    return name if own else config_path(name)


def _with_classes(cfg: 'Config', num_classes: int) -> 'Config':
    """Copy a config for another number of classes.

    Heads with another number than the decode head, such as STDC's boundary head, keep theirs.
    """
    from sfnet_mm.utils.config_parts import parts

    cfg = copy.deepcopy(cfg)
    before = cfg.model.decode_head.num_classes
    for head in [cfg.model.decode_head, *parts(cfg.model.get('auxiliary_head'))]:
        if head['num_classes'] == before != num_classes:
            head['num_classes'] = num_classes
            # These heads have two classes in one logit.
            head.pop('out_channels', None)
            head.pop('threshold', None)
    return cfg


def _build(cfg: 'Config', own: 'Config', weights: str | None, device: str) -> 'nn.Module':
    """Build the segmentor of ``cfg``. If the weights fit only ``own``, classifiers stay random."""
    from mmengine.logging import print_log

    from sfnet_mm.deploy import load_model

    try:
        return load_model(cfg, weights, device)
    except ValueError as error:
        if cfg is own or weights is None:
            raise
        try:
            source = load_model(own, weights).state_dict()
        except ValueError:
            raise error from None
        model = load_model(cfg, None, device)
        target = model.state_dict()
        kept = {k: v for k, v in source.items() if v.shape == target[k].shape}
        model.load_state_dict(kept, strict=False)
        before, now = (c.model.decode_head.num_classes for c in (own, cfg))
        dropped = ', '.join(sorted(source.keys() - kept))
        print_log(
            f'{weights} has {before} classes, the model {now}: these stay random: {dropped}',
            logger='current',
            level=logging.WARNING,
        )
        return model


def _features(model: 'nn.Module') -> 'nn.Module':
    from torch import nn

    layers = OrderedDict(backbone=model.backbone)
    if model.with_neck:
        layers['neck'] = model.neck
    return nn.Sequential(layers).eval()
