"""Merges the kernels of K-Net into a panoptic map, or into instances, in bounded memory.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855, section 3.4 (authors'
``get_panoptic`` and ``merge_stuff_thing``).
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from mmdet.evaluation.functional import INSTANCE_OFFSET
from mmdet.models.seg_heads.panoptic_fusion_heads import MaskFormerFusionHead
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from sfnet_mm.models.layers.upsampling import resize
from sfnet_mm.utils.arguments import check_least


@MODELS.register_module()
class KNetFusionHead(MaskFormerFusionHead):
    """Gives every pixel to the kernel with the highest product of score and probability.

    Segments are then kept in the order of their scores: things below ``instance_score_thr`` are
    dropped, and so is a segment that got less than ``overlap_thr`` of its own mask. Pixels of
    dropped segments stay void (the number of classes). Thing segments are counted from 1: the
    authors' code counts from 0, which turns the best segment of class 0 into the value that PQ
    reads as void.

    Masks are resized to the image ``kernels_per_chunk`` at a time; of each chunk, only the best
    kernel per pixel so far and the areas are kept.

    Args:
        num_things_classes: Classes ``0 .. T - 1``; each such kernel takes its best thing class.
        num_stuff_classes: The last S kernels are these classes.
        test_cfg: ``panoptic_on`` (True), ``instance_on`` (False), ``instance_score_thr`` (0.3),
            ``overlap_thr`` (0.6), ``max_per_image`` (100 instances), ``mask_thr`` (0.5, of
            instances).
        kernels_per_chunk: Number of masks that are held at the size of the image at once.
        **kwargs: Arguments of ``mmdet.MaskFormerFusionHead``.

    Raises:
        ValueError: ``kernels_per_chunk`` is below 1.
    """

    def __init__(
        self,
        num_things_classes: int = 80,
        num_stuff_classes: int = 53,
        test_cfg: Any = None,
        kernels_per_chunk: int = 8,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_things_classes, num_stuff_classes, test_cfg, **kwargs)
        check_least('KNetFusionHead', 1, kernels_per_chunk=kernels_per_chunk)
        self.test_cfg = self.test_cfg or {}
        self.kernels_per_chunk = kernels_per_chunk

    def predict(
        self,
        mask_cls_results: Tensor,
        mask_pred_results: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = True,
        **kwargs: Any,
    ) -> list[dict]:
        """Compute the results of a batch.

        Args:
            mask_cls_results: Class logits (B, K, C).
            mask_pred_results: Mask probabilities (B, K, h, w) of the padded images.
            batch_data_samples: Data samples whose metainfo has the shapes of the images.
            rescale: Whether maps have the original size instead of the tested size.
            **kwargs: Not used.

        Returns:
            list[dict]: For each image ``pan_results``, a ``PixelData`` whose ``sem_seg`` (1, H, W)
            holds ``class + 1000 * instance`` (instance 0 for stuff, void = number of classes), and
            ``ins_results``, as ``test_cfg`` sets.
        """
        results = []
        for logits, masks, sample in zip(mask_cls_results, mask_pred_results, batch_data_samples):
            meta = sample.metainfo
            sizes = (
                meta.get('batch_input_shape', meta['img_shape'])[:2],
                meta['img_shape'][:2],
                meta['ori_shape' if rescale else 'img_shape'][:2],
            )
            result = {}
            if self.test_cfg.get('panoptic_on', True):
                result['pan_results'] = self.panoptic_postprocess(logits, masks, sizes)
            if self.test_cfg.get('instance_on', False):
                result['ins_results'] = self.instance_postprocess(logits, masks, sizes)
            results.append(result)
        return results

    def full_size_masks(
        self, masks: Tensor, sizes: Sequence[Sequence[int]]
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield chunks of masks at the size of the image, with the index of their first kernel.

        Args:
            masks: Probabilities (K, h, w) of the padded image.
            sizes: Height and width of the padded image, the tested image and the result.
        """
        padded, tested, returned = sizes
        for first in range(0, len(masks), self.kernels_per_chunk):
            chunk = resize(masks[None, first : first + self.kernels_per_chunk], padded, False)
            yield first, resize(chunk[..., : tested[0], : tested[1]], returned, False)[0]

    def kernel_classes(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Compute score (K,) and class (K,) of each kernel from class logits (K, C)."""
        scores = logits.sigmoid()
        num_proposals = len(scores) - self.num_stuff_classes
        thing_scores, thing_labels = scores[:num_proposals, : self.num_things_classes].max(dim=1)
        stuff_scores = scores[num_proposals:, self.num_things_classes :].diagonal()
        stuff_labels = torch.arange(self.num_things_classes, self.num_classes, device=scores.device)
        return torch.cat([thing_scores, stuff_scores]), torch.cat([thing_labels, stuff_labels])

    def panoptic_postprocess(
        self, mask_cls: Tensor, mask_pred: Tensor, sizes: Sequence[Sequence[int]]
    ) -> PixelData:
        """Compute the panoptic map of one image.

        Args:
            mask_cls: Class logits (K, C).
            mask_pred: Mask probabilities (K, h, w).
            sizes: See :meth:`full_size_masks`.
        """
        scores, labels = self.kernel_classes(mask_cls)
        best = mask_pred.new_full(tuple(sizes[2]), -1)
        owner = torch.zeros(tuple(sizes[2]), dtype=torch.long, device=mask_pred.device)
        mask_areas = []
        for first, masks in self.full_size_masks(mask_pred, sizes):
            mask_areas.append((masks >= 0.5).flatten(1).sum(dim=1))
            value, index = (masks * scores[first : first + len(masks), None, None]).max(dim=0)
            # A strict comparison gives ties to the first kernel, as one argmax over all does.
            better = value > best
            best = torch.where(better, value, best)
            owner = torch.where(better, index + first, owner)
        won_areas = owner.flatten().bincount(minlength=len(scores)).tolist()
        mask_areas = torch.cat(mask_areas).tolist()

        values = torch.full((len(scores),), self.num_classes, dtype=torch.int32)
        instance = 1
        labels, score_list = labels.tolist(), scores.tolist()
        for k in scores.argsort(descending=True, stable=True).tolist():
            is_thing = labels[k] < self.num_things_classes
            if is_thing and score_list[k] < self.test_cfg.get('instance_score_thr', 0.3):
                continue
            if not won_areas[k] or not mask_areas[k]:
                continue
            if won_areas[k] / mask_areas[k] < self.test_cfg.get('overlap_thr', 0.6):
                continue
            values[k] = labels[k] + (instance * INSTANCE_OFFSET if is_thing else 0)
            instance += is_thing
        return PixelData(sem_seg=values.to(owner.device)[owner][None])

    def instance_postprocess(
        self, mask_cls: Tensor, mask_pred: Tensor, sizes: Sequence[Sequence[int]]
    ) -> InstanceData:
        """Find the instances of one image: the best pairs of kernel and thing class.

        Args:
            mask_cls: Class logits (K, C).
            mask_pred: Mask probabilities (K, h, w).
            sizes: See :meth:`full_size_masks`.

        Returns:
            InstanceData: ``scores``, ``labels``, ``masks`` (M, H, W) bool and ``bboxes`` (M, 4)
            around the masks.
        """
        num_proposals = len(mask_cls) - self.num_stuff_classes
        scores = mask_cls[:num_proposals, : self.num_things_classes].sigmoid().flatten()
        count = min(self.test_cfg.get('max_per_image', 100), len(scores))
        scores, pairs = scores.topk(count)
        kernels = torch.div(pairs, self.num_things_classes, rounding_mode='floor')
        masks = torch.empty((count, *sizes[2]), dtype=torch.bool, device=mask_pred.device)
        for first, chunk in self.full_size_masks(mask_pred[kernels], sizes):
            masks[first : first + len(chunk)] = chunk > self.test_cfg.get('mask_thr', 0.5)
        return InstanceData(
            bboxes=mask2bbox(masks),
            labels=pairs % self.num_things_classes,
            scores=scores,
            masks=masks,
        )
