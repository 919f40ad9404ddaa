"""Convert a checkpoint of K-Net's authors (panoptic or instance) to the names of this package.

    python tools/model_converters/knet2mmdet.py SRC DST

``rpn_head.`` and ``roi_head.`` become ``panoptic_head.``; backbone and neck keep their names.
"""

import argparse
import os.path as osp
from collections.abc import Sequence

import torch
from torch import Tensor

import sfnet_mm
from sfnet_mm.compat import load_checkpoint_file
from sfnet_mm.converters.knet import rename
from sfnet_mm.utils.tooling import atomic_file, check_conversion, one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', help='checkpoint of the authors; code in it is not run')
    parser.add_argument('dst', help='checkpoint to write')
    return parser.parse_args(argv)


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    check_conversion(args.src, args.dst)
    checkpoint = load_checkpoint_file(args.src)
    state_dict = checkpoint.get('state_dict', checkpoint) if isinstance(checkpoint, dict) else 0
    if not isinstance(state_dict, dict) or not all(
        isinstance(value, Tensor) for value in state_dict.values()
    ):
        raise ValueError(f'{args.src} holds no state dict')
    renamed = rename(state_dict)
    meta = dict(sfnet_mm_version=sfnet_mm.__version__, converted_from=osp.basename(args.src))
    with atomic_file(args.dst) as temporary:
        torch.save(dict(meta=meta, state_dict=renamed), temporary)
    classes = renamed['panoptic_head.mask_head.0.fc_cls.weight'].shape[0]
    proposals = renamed['panoptic_head.init_kernels.weight'].shape[0]
    print(f'{args.dst}: {len(renamed)} tensors, {classes} classes, {proposals} proposals')


if __name__ == '__main__':
    main()
