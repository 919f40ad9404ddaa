"""Write the weights of a training checkpoint in float16, without data that only training needs.

    python tools/model_converters/publish.py CONFIG SRC DST

mmseg's ``publish_model.py`` drops only the optimizer. DST has the weights, the classes and their
palette, and the name of the config; ``torch.load(DST, weights_only=True)`` reads it, and so does
every tool that takes a checkpoint.
"""

import argparse
import os.path as osp
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

import sfnet_mm  # isort: skip  fixes the hosts before mmseg is imported
from sfnet_mm.checkpoints import load_checkpoint_file
from sfnet_mm.deploy.model import load_model
from sfnet_mm.utils.tooling import atomic_file, check_conversion, one_error_line


def to_half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert the floating-point tensors of a state dict to float16.

    Raises:
        ValueError: A tensor has values that are not finite or that float16 cannot represent.
    """
    half = {}
    for name, tensor in state.items():
        half[name] = tensor.half() if tensor.is_floating_point() else tensor
        if not half[name].isfinite().all():
            raise ValueError(
                f'{name} has values up to {tensor.abs().max():g}: no float16 holds them'
            )
    return half


def publish(config: str, src: str, dst: str) -> None:
    """Write the weights of a checkpoint.

    Args:
        config: Path of the config that the checkpoint was trained with.
        src: The checkpoint.
        dst: The file, which is written atomically.

    Raises:
        FileNotFoundError: There is no such config or checkpoint.
        ValueError: The checkpoint does not belong to the config, its weights do not fit float16,
            or DST is SRC or a folder.
    """
    check_conversion(src, dst)
    model = load_model(config, src)
    found = load_checkpoint_file(src)
    meta: dict[str, Any] = dict(
        sfnet_mm_version=sfnet_mm.__version__,
        config=osp.basename(config),
        dataset_meta=dict(
            classes=list(map(str, model.dataset_meta['classes'])),
            palette=[list(map(int, color)) for color in model.dataset_meta['palette']],
        ),
    )
    state = {name: tensor.cpu() for name, tensor in found.get('state_dict', found).items()}
    checkpoint = dict(meta=meta, state_dict=to_half(state))
    with atomic_file(dst) as temporary:
        torch.save(checkpoint, temporary)


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='config that the checkpoint was trained with')
    parser.add_argument('src', help='checkpoint of a training')
    parser.add_argument('dst', help='file to write')
    args = parser.parse_args(argv)
    publish(args.config, args.src, args.dst)
    print(f'wrote {args.dst}, {osp.getsize(args.dst) / 1e6:.1f} MB')


if __name__ == '__main__':
    main()
