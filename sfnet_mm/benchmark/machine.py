"""Describes a machine: its device, its driver and its versions.

python -m sfnet_mm.benchmark.machine --device cuda --out machine.json
"""

import argparse
import os
import platform
import time

import torch

from sfnet_mm.utils.tooling import write_json
from sfnet_mm.utils.versions import versions


def device_name(device: str) -> str:
    """Describe the processor with its cores or its memory, and the versions of CUDA and torch."""
    if device.startswith('cuda'):
        found = torch.cuda.get_device_properties(device)
        where = f'{found.name}, {found.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}'
    else:
        where = f'{cpu_model()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads'
    return f'{where}, torch {torch.__version__}'


def cpu_model() -> str:
    """Return the name of the CPU."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            return next(
                line.split(':', 1)[1].strip() for line in f if line.startswith('model name')
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def describe(device: str) -> dict[str, str]:
    """Collect facts on a device: a dict from the name of each fact to its text."""
    return {'device': device_name(device), 'date': time.strftime('%Y-%m-%d'), **versions()}


def main(argv: list[str] | None = None) -> None:
    """Print the facts on a device and write them to a JSON file."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--device', default='cuda', help='device to describe')
    parser.add_argument('--out', required=True, help='JSON file')
    args = parser.parse_args(argv)
    if args.device == 'cuda' and not torch.cuda.is_available():
        raise SystemExit('error: there is no CUDA device: rehearse with --device cpu')
    facts = describe(args.device)
    write_json(args.out, facts)
    for name, value in facts.items():
        print(f'{name}: {value}')


if __name__ == '__main__':
    main()
