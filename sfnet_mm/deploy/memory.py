"""Lets CPU tensors reuse memory from one image to the next."""

import ctypes
import platform

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_MIB = 2**20


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
