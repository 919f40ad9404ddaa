"""What a machine is: device, driver and versions.

python -m sfnet_mm.benchmark.machine --device cuda --out machine.json
"""

import argparse
import json
import platform
import shutil
import subprocess
import time
from importlib import metadata
from typing import Dict, List, Optional

import torch

from sfnet_mm.deploy.measuring import device_name
from sfnet_mm.utils.tooling import write_text

PACKAGES = ('sfnet_mm', 'mmcv', 'mmcv-lite', 'mmengine', 'mmsegmentation', 'mmdet', 'numpy')
_QUERY = ('nvidia-smi', '--query-gpu=name,driver_version,memory.total', '--format=csv,noheader')


def describe(device: str) -> Dict[str, str]:
    """Facts by name, as text."""
    facts = dict(
        device=device_name(device),
        date=time.strftime('%Y-%m-%d'),
        python=platform.python_version(),
        torch=torch.__version__,
        cuda=str(torch.version.cuda),
        cudnn=str(torch.backends.cudnn.version()),
        driver=_output(*_QUERY),
        nvcc=_output('nvcc', '--version').split('\n')[-1],
    )
    for name in PACKAGES:
        try:
            facts[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return facts


def _output(*command: str) -> str:
    if not shutil.which(command[0]):
        return 'not installed'
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else 'not working'


def main(argv: Optional[List[str]] = None) -> None:
    """Write the facts of a device."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--out', required=True, help='JSON file')
    args = parser.parse_args(argv)
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise SystemExit('error: there is no CUDA device: rehearse with --device cpu')
    facts = describe(args.device)
    write_text(args.out, json.dumps(facts, indent=1) + '\n')
    for name, value in facts.items():
        print(f'{name}: {value}')


if __name__ == '__main__':
    main()
