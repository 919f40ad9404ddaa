"""Train a model: ``python tools/train.py CONFIG`` or ``mim train sfnet_mm CONFIG``."""

import argparse
import os

from mmengine.config import DictAction
from mmengine.runner import Runner

from sfnet_mm.utils import enable_amp, load_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from the latest checkpoint of the work dir, or from the one named',
    )
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the batch'
    )
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
        if args.amp:
            enable_amp(cfg)
        if args.auto_scale_lr:
            cfg.auto_scale_lr.enable = True
        if args.resume is not None:
            cfg.resume = True
            if args.resume != 'auto':
                cfg.load_from = args.resume
    except (OSError, ValueError) as e:
        raise SystemExit(f'error: {e}') from None
    Runner.from_cfg(cfg).train()


if __name__ == '__main__':
    main()
