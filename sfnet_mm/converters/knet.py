"""Converts the authors' checkpoints of K-Net (panoptic or instance) to the names of this package.

K-Net: Towards Unified Image Segmentation, https://arxiv.org/abs/2106.14855.
"""

HEADS = ('rpn_head.', 'roi_head.')
KEPT = ('backbone.', 'neck.')
NEEDED = ('rpn_head.init_kernels.weight', 'roi_head.mask_head.0.fc_cls.weight')


def rename(state_dict: dict) -> dict:
    """Rename a state dict for ``mmdet.MaskFormer`` with ``KNetPanopticHead``.

    Raises:
        ValueError: The state dict is not that of a K-Net for instance or panoptic segmentation.
    """
    missing = [name for name in NEEDED if name not in state_dict]
    if missing:
        raise ValueError(
            f'no {missing[0]}: not a published K-Net for instance or panoptic segmentation (its '
            f'names start with {", ".join(sorted({key.split(".")[0] for key in state_dict})[:4])})'
        )
    renamed = {}
    for name, tensor in state_dict.items():
        head = next((prefix for prefix in HEADS if name.startswith(prefix)), None)
        if head is None and not name.startswith(KEPT):
            raise ValueError(f'no place for {name}, which is in none of {", ".join(HEADS + KEPT)}')
        target = name if head is None else 'panoptic_head.' + name[len(head) :]
        if target in renamed:
            raise ValueError(f'{name} and another tensor would both become {target}')
        renamed[target] = tensor
    return renamed
