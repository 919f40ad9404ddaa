"""Times whole networks with the compiled warp and with plain torch, in inference and training."""

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from sfnet_mm.deploy.inference import optimize
from sfnet_mm.deploy.inference.memory import reuse_memory
from sfnet_mm.deploy.model import load_model
from sfnet_mm.engine.model_weights import remove_pretrained
from sfnet_mm.ops.loader import EXT
from sfnet_mm.utils.config import read_config
from sfnet_mm.utils.timer import Timer
from sfnet_mm.utils.tooling import file_stem

from .warps import LAYOUTS, Row, round_floats, time_in_turns


def measure_inference(path: str, size: tuple[int, int], device: str, rounds: int) -> list[Row]:
    """Time the inference of a whole network with the compiled warp and with plain torch.

    The network runs as the segmentor does, in both layouts, and in the inference form of
    :func:`sfnet_mm.deploy.inference.optimize`.

    Args:
        path: Path of the config. The weights are random.
        size: (height, width) of the image.
        device: ``'cpu'`` or ``'cuda'``.
        rounds: Number of turns of each form.
    """
    init_default_scope('mmseg')
    model = load_model(path, device=device)
    image = torch.randn(1, 3, *size, device=device)
    forms = {
        'NCHW': (model, torch.contiguous_format),
        'channels_last': (model, torch.channels_last),
        'optimized': (optimize(model, verbose=False), torch.channels_last),
    }
    rows = []
    for name, (form, memory_format) in forms.items():
        form.to(memory_format=memory_format)
        x = image.contiguous(memory_format=memory_format)
        # The torch runtime keeps its memory for this form with either warp.
        reuse_memory(name == 'optimized')
        with torch.inference_mode():
            times = _native_against_ext(partial(form, x), device, rounds)
        found = {'config': file_stem(path), 'size': list(size), 'form': name, 'ms': times}
        rows.append(round_floats(found))
    return rows


def measure_training(path: str, crop: int, device: str, rounds: int) -> list[Row]:
    """Time whole training steps with the compiled warp and with plain torch, in both layouts.

    A step has two random crops, and ends with the update by SGD. Weights are random.

    Args:
        path: Path of the config.
        crop: Height and width of a crop.
        device: ``'cpu'`` or ``'cuda'``.
        rounds: Number of turns of each way.
    """
    init_default_scope('mmseg')
    rows = []
    for layout, memory_format in LAYOUTS.items():
        cfg = read_config(path).model
        # Otherwise, the preprocessor pads to the crop of the config.
        cfg.data_preprocessor.size = (crop, crop)
        model = MODELS.build(cfg)
        remove_pretrained(model)
        model = revert_sync_batchnorm(model).to(device, memory_format=memory_format).train()
        sgd = OptimWrapper(torch.optim.SGD(model.parameters(), lr=1e-4))
        batch = _random_batch(crop, model.decode_head.num_classes)
        times = _native_against_ext(partial(model.train_step, batch, sgd), device, rounds)
        found = {'config': file_stem(path), 'size': [crop, crop], 'form': layout, 'ms': times}
        rows.append(round_floats(found))
    return rows


def _random_batch(crop: int, num_classes: int) -> dict[str, list]:
    images, samples = [], []
    for _ in range(2):
        images.append(torch.randint(0, 256, (3, crop, crop), dtype=torch.uint8))
        sample = SegDataSample(metainfo=dict(img_shape=(crop, crop), ori_shape=(crop, crop)))
        label = torch.randint(0, num_classes, (1, crop, crop))
        sample.gt_sem_seg = PixelData(data=label)
        samples.append(sample)
    return dict(inputs=images, data_samples=samples)


def _native_against_ext(
    call: Callable[[], Any], device: str, rounds: int
) -> dict[str, dict[str, float]]:
    def run(warp: Callable[[], Any]) -> None:
        with warp():
            call()

    ways = {'native': EXT.switched_off, 'ext': contextlib.nullcontext}
    calls = {way: partial(run, warp) for way, warp in ways.items()}
    return time_in_turns(Timer(device, kernels_only=True), calls, rounds)
