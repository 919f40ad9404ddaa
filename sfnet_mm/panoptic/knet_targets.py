"""Matches the kernels of K-Net with the segments of one image and makes their targets.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855, section 3.4.
"""

from typing import Any, NamedTuple

import torch
from mmdet.models.task_modules.assigners import HungarianAssigner
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from sfnet_mm.models.layers.upsampling import resize


class Segments(NamedTuple):
    """The segments of one image, either things or stuff.

    Fields: ``labels`` (M,), class indices; ``masks`` (M, H / 4, W / 4) in 0..1, soft at borders.
    """

    labels: Tensor
    masks: Tensor


class KernelTargets(NamedTuple):
    """The positive kernels of one image.

    Fields: ``kernels`` (P,), indices in ascending order, so things before stuff; ``labels`` (P,),
    class indices; ``masks`` (P, H / 4, W / 4) in 0..1.
    """

    kernels: Tensor
    labels: Tensor
    masks: Tensor


def read_segments(
    sample: DetDataSample,
    num_things_classes: int,
    num_stuff_classes: int,
    size: tuple[int, int],
    device: torch.device,
) -> tuple[Segments, Segments]:
    """Read the things and the stuff of one image, at the size of the losses.

    Crowds and void are left out. They are background for all kernels, and no loss ignores them.

    Args:
        sample: Data sample with ``gt_instances.{labels, masks}``, and for stuff
            ``gt_sem_seg.sem_seg`` (1, H, W), things first.
        num_things_classes: Classes ``0 .. num_things_classes - 1`` are things.
        num_stuff_classes: Number of classes after them; 0 segments only instances.
        size: Height and width of the masks that are returned.
        device: Device of the results.

    Raises:
        ValueError: There are no instance masks, or stuff classes without a semantic map, a label is
            not a thing, or masks or the semantic map are not padded to the size of the batch.
    """
    things, image = sample.gt_instances, sample.get('img_path', 'an image')
    if 'masks' not in things or 'labels' not in things:
        raise ValueError(
            f'KNetPanopticHead: {image} has no instance masks or labels: load them with '
            'LoadPanopticAnnotations(with_mask=True, with_label=True)'
        )
    outside = things.labels[(things.labels < 0) | (things.labels >= num_things_classes)].tolist()
    if outside:
        raise ValueError(
            f'KNetPanopticHead: {image} has instances of class {outside[0]}, but '
            f'num_things_classes={num_things_classes}'
        )
    _check_padded(sample, things.masks, 'instance masks', 'pad_mask')
    thing_masks = things.masks.to_tensor(dtype=torch.float32, device=device)
    thing_masks = resize(thing_masks[:, None], size, False)[:, 0]
    thing_segments = Segments(things.labels.to(device), thing_masks)
    if num_stuff_classes == 0:
        return thing_segments, Segments(thing_segments.labels[:0], thing_masks[:0])
    if 'gt_sem_seg' not in sample:
        raise ValueError(
            f'KNetPanopticHead: {image} has no semantic map for '
            f'{num_stuff_classes} stuff classes: load it with LoadPanopticAnnotations('
            'with_seg=True), or set num_stuff_classes=0'
        )
    seg_map = sample.gt_sem_seg.sem_seg.to(device).squeeze(0)
    _check_padded(sample, seg_map, 'semantic map', 'pad_seg')
    labels = torch.unique(seg_map).long()
    first, last = num_things_classes, num_things_classes + num_stuff_classes
    labels = labels[(labels >= first) & (labels < last)]
    stuff_masks = (seg_map == labels[:, None, None]).float()
    return thing_segments, Segments(labels, resize(stuff_masks[:, None], size, False)[:, 0])


def _check_padded(sample: DetDataSample, masks: Any, name: str, option: str) -> None:
    """Raise a ValueError unless masks have the size of the batch, to which they would be stretched.

    mmdet's preprocessor writes ``batch_input_shape``; without a preprocessor it is missing.
    """
    size = tuple(sample.get('batch_input_shape', ()))
    got = (masks.height, masks.width) if hasattr(masks, 'height') else tuple(masks.shape)
    if size and got != size:
        raise ValueError(
            f'KNetPanopticHead: the {name} of {sample.get("img_path", "an image")} has {got[0]}x'
            f'{got[1]} pixels (height x width), but the batch is padded to {size[0]}x{size[1]}: '
            f'set {option}=True in the data_preprocessor'
        )


def match_things(
    assigner: HungarianAssigner, masks: Tensor, things: Segments, scores: Tensor | None = None
) -> KernelTargets:
    """Match kernels to things one to one.

    Args:
        assigner: Assigner whose costs read ``masks`` and, if ``scores`` are given, ``scores``.
        masks: Logits (N, H / 4, W / 4) of the kernels for things.
        things: The things of the image.
        scores: Class logits (N, num_things_classes).
    """
    predictions = InstanceData(masks=masks.detach().float())
    if scores is not None:
        predictions.scores = scores.detach().float()
    segments = InstanceData(labels=things.labels, masks=things.masks)
    matched = assigner.assign(predictions, segments).gt_inds
    kernels = torch.nonzero(matched > 0).squeeze(1)
    index = matched[kernels] - 1
    return KernelTargets(kernels, things.labels[index], things.masks[index])


def add_stuff(
    targets: KernelTargets, stuff: Segments, first_kernel: int, num_things_classes: int
) -> KernelTargets:
    """Append the stuff kernels, which are not matched because each belongs to one class.

    Args:
        targets: Targets of the matched things.
        stuff: The stuff of the image.
        first_kernel: Index of the first stuff kernel, which is the number of kernels for things.
        num_things_classes: The class of the first stuff kernel.
    """
    kernels = stuff.labels - num_things_classes + first_kernel
    return KernelTargets(
        torch.cat([targets.kernels, kernels]),
        torch.cat([targets.labels, stuff.labels]),
        torch.cat([targets.masks, stuff.masks]),
    )


def paint_masks(
    masks: Tensor, values: Tensor, background: int, canvas: Tensor | None = None
) -> Tensor:
    """Paint the value of each mask onto a map (H, W); later masks cover earlier ones.

    Args:
        masks: (P, H, W); every pixel that is not 0 is covered.
        values: (P,), the value of each mask.
        background: Value of pixels that nothing covers.
        canvas: Map that is painted in place; None starts with a map of ``background``.
    """
    if canvas is None:
        canvas = torch.full(masks.shape[1:], background, dtype=torch.long, device=masks.device)
    for mask, value in zip(masks, values):
        canvas[mask != 0] = value
    return canvas
