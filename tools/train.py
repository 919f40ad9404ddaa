"""Train a model: ``python tools/train.py CONFIG`` or ``mim train sfnet_mm CONFIG``."""

import argparse
import os
from collections.abc import Sequence


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='resume from the given checkpoint, or from the latest one of the work dir, if any',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate with the batch size'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action='extend', help='override settings: key=value ...'
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='launcher of the processes',
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    # These are imported late, because mim first asks for the help page, which must be fast.
    from sfnet_mm.engine.runner import DataFirstRunner
    from sfnet_mm.utils.config import (
        enable_amp,
        enable_auto_scale_lr,
        enable_resume,
        load_config,
    )
    from sfnet_mm.utils.tooling import one_error_line

    # A fault of the config that is not expected shows its traceback above the line.
    with one_error_line(trace=True), one_error_line():
        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
        if not cfg.get('train_dataloader') or not cfg.get('train_cfg'):
            raise ValueError(
                f'config {args.config} has no train_dataloader or no train_cfg: '
                'there is nothing to train'
            )
        if args.amp:
            enable_amp(cfg)
        if args.auto_scale_lr:
            enable_auto_scale_lr(cfg)
        if args.resume is not None:
            enable_resume(cfg, args.resume)
        runner = DataFirstRunner.from_cfg(cfg)
    with one_error_line(trace=True):
        runner.train()


if __name__ == '__main__':
    main()
