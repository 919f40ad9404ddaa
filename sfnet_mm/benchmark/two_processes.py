"""Trains SFNet-Lite in two processes on one device, each on half of a batch.

    python -m sfnet_mm.benchmark.two_processes --device cuda

Their weights after a step are compared with those of one process that sees the whole batch, with
normalization frozen, so that both compute the same function. NCCL refuses two ranks on one device;
gloo, which averages on the host, does not.
"""

import argparse
import tempfile
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import sfnet_mm.models  # noqa: F401  registers the head

CHANNELS = [8, 12, 16]
SIZES = [(32, 64), (8, 16), (4, 8)]
# One process waits this long for the other.
PATIENCE = timedelta(seconds=60)


def make_head(device: str) -> nn.Module:
    """Build a small SFNet-Lite head, the same in every process."""
    torch.manual_seed(0)
    cfg = dict(
        type='SFNetLiteHead', in_channels=CHANNELS, in_index=[0, 1, 2], channels=16, num_classes=5
    )
    # With frozen statistics, a batch and its halves are normalized alike.
    return MODELS.build(cfg).to(device).eval()


def batch(device: str) -> list[Tensor]:
    """Draw random feature maps of three strides and labels for four images."""
    generator = torch.Generator().manual_seed(1)
    maps = [torch.randn(4, c, *s, generator=generator) for c, s in zip(CHANNELS, SIZES)]
    label = torch.randint(5, (4, *SIZES[0]), generator=generator)
    return [t.to(device) for t in (*maps, label)]


def step(head: nn.Module, images: list[Tensor]) -> None:
    """Take one step of SGD."""
    *maps, label = images
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    F.cross_entropy(head(maps), label).backward()
    optimizer.step()


def work(rank: int, store: str, device: str, expected: list[Tensor]) -> None:
    """Run one of the two processes, which find each other by the file ``store``."""
    dist.init_process_group(
        'gloo', init_method=f'file://{store}', rank=rank, world_size=2, timeout=PATIENCE
    )
    head = make_head(device)
    wrapped = DistributedDataParallel(head)
    step(wrapped, [t[2 * rank : 2 * rank + 2] for t in batch(device)])
    for parameter, value in zip(head.parameters(), expected):
        torch.testing.assert_close(parameter.detach().cpu(), value, rtol=1e-4, atol=1e-5)
    # Neither process may close its connection while the other still reads from it.
    dist.barrier()
    dist.destroy_process_group()


def main(argv: list[str] | None = None) -> None:
    """Compare two processes with one."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--device', default='cuda', help='device of both processes')
    args = parser.parse_args(argv)
    head = make_head(args.device)
    step(head, batch(args.device))
    expected = [p.detach().cpu() for p in head.parameters()]
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, (f'{folder}/store', args.device, expected), nprocs=2)
    print('two processes and one end with the same weights')


if __name__ == '__main__':
    main()
