"""Train SFNet-Lite on mini-UDS, test it and show the results (``make demo``).

The tool runs ``mim train`` and ``mim test`` and reads the figures from their logs.
"""

import argparse
import glob
import json
import os
import os.path as osp
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from sfnet_mm.utils.tooling import one_error_line

CONFIG = osp.join('configs', 'sfnet_lite_stdc1_miniuds.py')


def mim(*args):
    """Run a mim command of this environment and show its output."""
    command = [osp.join(osp.dirname(sys.executable), 'mim'), *args]
    print('\n$ mim ' + ' '.join(args), flush=True)
    subprocess.run(command, check=True, env=dict(os.environ, PYTHONWARNINGS='ignore'))


def validations(work_dir):
    """Read (iteration, metrics) of every validation of the latest training run."""
    logs = sorted(glob.glob(osp.join(work_dir, '*', 'vis_data', 'scalars.json')))
    rows = []
    for log in logs:
        with open(log, encoding='utf-8') as file:
            rows += map(json.loads, file)
    return [(row['step'], row) for row in rows if 'mIoU' in row]


def next_commands(checkpoint):
    """List commands that use the checkpoint: predict, export, serve a page."""
    model = f'{CONFIG} {checkpoint}'
    python = osp.relpath(sys.executable)
    return [
        f'  {python} tools/demo/predict.py {model} IMAGE --out-dir predictions',
        f'  {python} tools/deployment/export_onnx.py {model} model.onnx --size 128x256',
        f'  {python} tools/demo/app.py --config {CONFIG} --checkpoint {checkpoint}',
    ]


@one_error_line(subprocess.CalledProcessError)
def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--work-dir',
        default=osp.join('work_dirs', 'demo'),
        help='folder of logs, checkpoints and pictures',
    )
    parser.add_argument('--cfg-options', nargs='*', default=[], help='passed on to train and test')
    args = parser.parse_args(argv)
    begin = time.time()
    options = ['--cfg-options', *args.cfg_options] if args.cfg_options else []
    options = ['--gpus', '0', *options]
    names = ('train', 'test', 'pictures')
    train_dir, test_dir, pictures = (osp.join(args.work_dir, name) for name in names)
    shutil.rmtree(args.work_dir, ignore_errors=True)

    mim('train', 'sfnet_mm', CONFIG, '--work-dir', train_dir, *options)
    with open(osp.join(train_dir, 'last_checkpoint'), encoding='utf-8') as f:
        checkpoint = f.read().strip()
    folders = ['--work-dir', test_dir, '--show-dir', pictures]
    mim('test', 'sfnet_mm', CONFIG, '--checkpoint', checkpoint, *folders, *options)

    history = validations(train_dir)
    (first, early), (last, final) = history[0], history[-1]
    print(f'\nval mIoU after {first} iterations: {early["mIoU"]:.2f}')
    print(f'val mIoU after {last} iterations: {final["mIoU"]:.2f}')
    for name in sorted(k for k in final if k.startswith('mIoU/')):
        print(f'  {name}: {final[name]:.2f}')
    print('sheets (input, label, prediction, flows and gate of GD-FAM):')
    for path in sorted(glob.glob(osp.join(pictures, 'flow', '*.png'))):
        print(f'  {path}')
    print(f'label and prediction over every image: {pictures}')
    print(f'demo took {time.time() - begin:.0f} s')
    print('\n'.join(['', f'checkpoint: {checkpoint}', 'next:', *next_commands(checkpoint)]))


if __name__ == '__main__':
    main()
