"""Lets CPU tensors reuse memory from one image to the next."""

import ctypes
import platform
from collections.abc import Callable

try:
    import resource
except ImportError:  # Windows
    resource = None

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_MIB = 2**20
# New pages (of 4 KiB) of a call that has its memory: those of small objects.
_FEW_PAGES = 256


def reuse_memory(on: bool = True) -> bool:
    """Make this process keep large freed blocks, or give them back again, as it does by itself.

    By default glibc maps every large tensor anew and unmaps it when it is freed, so that each of
    its pages is faulted in again for each image, which takes longer than some layers do. Torch has
    no caching allocator on the CPU. The process then keeps as much memory as its largest image
    needed.

    Args:
        on: False restores what glibc settles at for a process that uses large tensors.

    Returns:
        bool: Whether it could be set, that is, whether this is Linux with glibc.
    """
    if platform.system() != 'Linux' or platform.libc_ver()[0] != 'glibc':
        return False
    libc = ctypes.CDLL(None)
    if on:
        # Never map, never trim: all blocks come from the heap and stay there.
        settings = {_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1}
    else:
        settings = {
            _M_MMAP_MAX: 65536,
            _M_MMAP_THRESHOLD: 32 * _MIB,
            _M_TRIM_THRESHOLD: 64 * _MIB,
        }
    done = all(libc.mallopt(name, value) == 1 for name, value in settings.items())
    if not on:
        libc.malloc_trim(0)
    return done


def settle(call: Callable[[], object], most: int = 6) -> None:
    """Call until the memory that it needs is there: until a call takes no new page.

    Freed blocks become holes that the next call fills in another order, so that under
    :func:`reuse_memory` it is the second to fourth call that finds a place for everything, and so
    again after another model ran in between.

    Args:
        call: A forward pass.
        most: Calls at most. Where page faults are not counted (Windows), one is made.
    """
    for _ in range(most):
        before = _page_faults()
        call()
        if _page_faults() - before < _FEW_PAGES:
            return


def _page_faults() -> int:
    return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_minflt
