"""Test a checkpoint: ``python tools/test.py CONFIG CHECKPOINT`` or ``mim test sfnet_mm CONFIG``."""

import argparse
import os
from collections.abc import Sequence


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path or address of the checkpoint')
    parser.add_argument(
        '--no-strict',
        action='store_true',
        help='test although the checkpoint lacks tensors, has others, or has NaN values',
    )
    parser.add_argument('--work-dir', help='folder of the metrics')
    parser.add_argument(
        '--out',
        help='folder for the predicted masks: class indices, plus one with reduce_zero_label',
    )
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for pictures of the predictions')
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds for which a picture is shown'
    )
    parser.add_argument('--tta', action='store_true', help='use test-time augmentation')
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
    from sfnet_mm.deploy.model import UnfitCheckpoint, read_fitting_checkpoint
    from sfnet_mm.engine.runner import DataFirstTestRunner
    from sfnet_mm.utils.config import enable_drawing, enable_tta, keep_predictions, load_config
    from sfnet_mm.utils.file_names import NameCollision
    from sfnet_mm.utils.tooling import check_out_folder, one_error_line

    # A fault of the config that is not expected shows its traceback above the line.
    with one_error_line(trace=True), one_error_line():
        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
        cfg.load_from = args.checkpoint
        if not cfg.get('test_dataloader') or not cfg.get('test_evaluator'):
            raise ValueError(
                f'config {args.config} has no test_dataloader or no test_evaluator: '
                'there is nothing to test'
            )
        for option, folder in (('--out', args.out), ('--show-dir', args.show_dir)):
            if folder:
                check_out_folder(folder, option)
        if args.show or args.show_dir:
            enable_drawing(cfg, args.show_dir, args.show, args.wait_time)
        if args.tta:
            enable_tta(cfg)
        if args.out:
            keep_predictions(cfg, args.out)
        runner = DataFirstTestRunner.from_cfg(cfg)
        if not args.no_strict:
            try:
                read_fitting_checkpoint(runner.model, args.checkpoint, args.config)
            except UnfitCheckpoint as e:
                raise ValueError(f'{e}; --no-strict tests it all the same') from None
    with one_error_line(trace=True):
        try:
            runner.test()
        except NameCollision as e:
            raise SystemExit(f'error: {e}') from None


if __name__ == '__main__':
    main()
