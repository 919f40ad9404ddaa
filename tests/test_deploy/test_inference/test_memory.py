"""Memory that is kept between images."""

import mmap
import sys

import pytest

from sfnet_mm.deploy.inference.memory import warm_up_memory

PAGES = 2048


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='page faults of Linux')
@pytest.mark.parametrize('growing, calls', [(0, 1), (2, 3), (9, 6)])
def test_settle_calls_until_no_page_is_new(growing, calls):
    made = []

    def forward():
        made.append(mmap.mmap(-1, PAGES * mmap.PAGESIZE) if len(made) < growing else None)
        if made[-1] is not None:
            # As huge pages they would be four faults.
            made[-1].madvise(mmap.MADV_NOHUGEPAGE)
            for page in range(PAGES):
                made[-1][page * mmap.PAGESIZE] = 1

    warm_up_memory(forward, most=6)
    assert len(made) == calls
