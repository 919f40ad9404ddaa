"""Compare the number of images of a config's data sets with the paper, and check their files.

    python tools/analysis_tools/verify_data.py CONFIG
    python tools/analysis_tools/verify_data.py CONFIG --decode

The numbers are those of the paper's Table 2 and section 4.1. ``--decode`` reads every image and
mask. The exit code is 0 if no image is missing or broken.
"""

import argparse
import os.path as osp
from collections.abc import Sequence

import sfnet_mm  # noqa: F401  # isort: skip  mends the hosts before mmseg is imported
from sfnet_mm.datasets.verification import find_broken, list_sources
from sfnet_mm.utils.config import read_with_options
from sfnet_mm.utils.config_parts import add_config_options
from sfnet_mm.utils.tooling import one_error_line


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument(
        '--decode', action='store_true', help='read every image and mask as a training does'
    )
    parser.add_argument(
        '--state',
        default=osp.join('work_dirs', 'verify_data.jsonl'),
        help='file that records what --decode has read (work_dirs/verify_data.jsonl)',
    )
    parser.add_argument('--workers', type=int, help='number of processes (one per CPU)')
    add_config_options(parser)
    return parser.parse_args(argv)


@one_error_line()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    sources = list_sources(read_with_options(args.config, args.cfg_options))
    for source in sources:
        print(f'{"complete" if source.is_complete else "INCOMPLETE"}: {source}')
    wrong = []
    incomplete = sum(not source.is_complete for source in sources)
    if incomplete:
        wrong.append(f'{incomplete} of {len(sources)} data sets are not complete')
    if args.decode:
        try:
            samples = [sample for source in sources for sample in source.samples]
            broken, earlier = find_broken(samples, args.state, args.workers)
        except KeyboardInterrupt:
            raise KeyboardInterrupt('stopped; the same command goes on from here') from None
        for line in broken:
            print(f'broken: {line}')
        pairs = f'{len(broken)} pairs of an image and its mask are broken'
        print(f'{pairs}; an earlier run had read {earlier:,} of all pairs')
        if broken:
            wrong.append(pairs)
    if wrong:
        raise ValueError(f'{" and ".join(wrong)}: the lines above name them')


if __name__ == '__main__':
    main()
