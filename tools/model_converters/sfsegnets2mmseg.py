"""Convert a checkpoint of SFNet's authors (SFSegNets) to the names of this package.

    python tools/model_converters/sfsegnets2mmseg.py SRC DST

The model is recognized from the tensors: SFNet and SFNet-Lite with ResNet-18/50/101, STDC1/2 or
DF1/2, with and without deep supervision, and the baselines FPN+PPM and DF-Seg. ImageNet weights of
these backbones are recognized too. The ``init_cfg`` of the backbone then loads DST.
"""

import argparse
import os.path as osp
import sys
from collections.abc import Sequence
from typing import Any

import torch

import sfnet_mm
from sfnet_mm.compat import load_checkpoint_file
from sfnet_mm.converters.sfsegnets import Conversion, convert
from sfnet_mm.converters.sfsegnets_families import ConversionError
from sfnet_mm.utils.made_files import file_digest
from sfnet_mm.utils.tooling import atomic_file, check_conversion, one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('src', help='checkpoint of the authors; code in it is not run')
    parser.add_argument('dst', help='checkpoint to write')
    parser.add_argument(
        '--backbone-only',
        action='store_true',
        help='write the backbone alone, named as its init_cfg expects',
    )
    return parser.parse_args(argv)


def metadata(result: Conversion, src: str) -> dict[str, Any]:
    """Make the ``meta`` of the new checkpoint; ``init_model`` reads its ``dataset_meta``."""
    meta = dict(
        sfnet_mm_version=sfnet_mm.__version__,
        family=str(result.family),
        converted_from=osp.basename(src),
        converted_from_sha256=file_digest(src),
    )
    if result.family.num_classes == 19:
        from mmseg.datasets import CityscapesDataset

        meta['dataset_meta'] = dict(CityscapesDataset.METAINFO)
    return meta


def report(result: Conversion, dst: str) -> None:
    family = result.family
    print(f'recognized {family}')
    dropped = sum(map(len, result.dropped.values()))
    print(f'mapped {len(result.state_dict) - len(result.filled)} tensors, dropped {dropped}')
    for reason, keys in result.dropped.items():
        print(f'  dropped {len(keys)}: {reason} ({keys[0]}{", ..." if len(keys) > 1 else ""})')
    if result.folded:
        print(f'  folded {len(result.folded)} biases into the running_mean of the BN after them')
    if result.filled:
        print(f'  set {len(result.filled)} counters (num_batches_tracked) that SRC lacks to 0')
    print(f'wrote {dst}, sha256 {file_digest(dst)}')
    if family.head is None:
        print(f"use: backbone.init_cfg=dict(type='Pretrained', checkpoint='{dst}')")
        return
    print(f'configs: {" or ".join(family.configs())}')
    if family.options():
        print(f'  with --cfg-options {" ".join(family.options())}')


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    try:
        check_conversion(args.src, args.dst)
        result = convert(load_checkpoint_file(args.src), args.backbone_only)
        checkpoint = dict(meta=metadata(result, args.src), state_dict=result.state_dict)
        with atomic_file(args.dst) as temporary:
            torch.save(checkpoint, temporary)
    except ConversionError as e:
        for name in e.unplaced:
            print(f'no place for: {name}', file=sys.stderr)
        for name in e.missing:
            print(f'missing: {name}', file=sys.stderr)
        raise ValueError(f'{args.src}: {e}') from None
    report(result, args.dst)


if __name__ == '__main__':
    main()
