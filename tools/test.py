"""Test a checkpoint: ``python tools/test.py CONFIG CHECKPOINT`` or ``mim test sfnet_mm CONFIG``."""

import argparse
import os

from mmengine.config import DictAction
from mmengine.runner import Runner

from sfnet_mm.utils import enable_drawing, enable_tta, keep_predictions, load_config
from sfnet_mm.utils.file_names import NameCollision


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--work-dir', help='where the metrics are written')
    parser.add_argument('--out', help='folder for the predicted masks')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for pictures of the predictions')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds per shown picture')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, help='override settings: key=value ...'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main() -> None:
    args = parse_args()
    try:
        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
        cfg.load_from = args.checkpoint
        if args.show or args.show_dir:
            enable_drawing(cfg, args.show_dir, args.show, args.wait_time)
        if args.tta:
            enable_tta(cfg)
    except (OSError, ValueError) as e:
        raise SystemExit(f'error: {e}') from None
    if args.out:
        keep_predictions(cfg, args.out)
    try:
        Runner.from_cfg(cfg).test()
    except NameCollision as e:
        raise SystemExit(f'error: {e}') from None


if __name__ == '__main__':
    main()
