"""Makes CPU tensors reuse memory from one image to the next."""

import ctypes
import platform
from collections.abc import Callable

try:
    import resource
except ImportError:  # Windows
    resource = None

# These are parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_MIB = 2**20
# A call with fewer new pages (of 4 KiB) takes them for small objects only.
_FEW_PAGES = 256


def reuse_memory(on: bool = True) -> bool:
    """Make this process keep large freed blocks, or restore the default, which returns them.

    By default, glibc maps new memory for every large tensor and unmaps it when it is freed. Each
    image then causes a fault for every page, which takes longer than some layers do. Torch has no
    caching allocator on the CPU. A process that keeps its blocks keeps as much memory as its
    largest image needed.

    Args:
        on: Whether to keep blocks. False restores the values that glibc itself reaches in a process
            with large tensors.

    Returns:
        bool: Whether the setting was possible, which needs Linux with glibc.
    """
    if platform.system() != 'Linux' or platform.libc_ver()[0] != 'glibc':
        return False
    libc = ctypes.CDLL(None)
    if on:
        # Without mapping and trimming, all blocks come from the heap and stay there.
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


def warm_up_memory(call: Callable[[], object], most: int = 6) -> None:
    """Repeat a call until it takes no new page, because the process keeps enough memory for it.

    The next call fills the freed blocks in another order. Under :func:`reuse_memory`, it is
    therefore the second to fourth call that finds free blocks for all its tensors. The same holds
    after another model ran in between.

    Args:
        call: A forward pass.
        most: Largest number of calls. Without counts of page faults (Windows), there is one call.
    """
    for _ in range(most):
        before = _page_faults()
        call()
        if _page_faults() - before < _FEW_PAGES:
            return


def _page_faults() -> int:
    return 0 if resource is None else resource.getrusage(resource.RUSAGE_SELF).ru_minflt
