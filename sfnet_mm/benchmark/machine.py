"""What a machine is: device, driver and versions.

python -m sfnet_mm.benchmark.machine --device cuda --out machine.json
"""

import argparse
import json
import time
from typing import Dict, List, Optional

import torch

from sfnet_mm.utils.tooling import write_text
from sfnet_mm.utils.versions import versions

from .complexity import device_name


def describe(device: str) -> Dict[str, str]:
    """Facts by name, as text."""
    return {
        'device': device_name(device),
        'date': time.strftime('%Y-%m-%d'),
        **versions(),
    }


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
