"""Arrays whose memory is used again.

A fresh large array costs more than the arithmetic done on it: the operating system has to map and clear its pages (on
a virtual machine a 25 MB array takes 22 ms to allocate and fill, and 1.6 ms to fill again). A training step needs the
same sizes every time, so the blocks are kept, and one is given out again once no array refers to it any more.
Whoever holds an array keeps its memory: nothing that is still in use is ever overwritten.
"""

import math
import sys
import threading

import numpy as np

SMALLEST = 1 << 15  # bytes; below this the system's own allocator is quick
ALIGNMENT = 128  # bytes: arrays begin with a pair of lines of the cache, so that threads do not meet in one
PATIENCE = 2000  # requests after which an idle block is given back


class _Blocks(threading.local):
    """This thread's blocks by size in bytes, each entry `[block, number of the request that last used it, offset]`."""

    def __init__(self):
        self.by_size: dict[int, list[list]] = {}
        self.requests = 0


_blocks = _Blocks()


def _holders(entry):
    return sys.getrefcount(entry[0])


_IDLE = _holders([np.empty(1, np.uint8)])  # what getrefcount reports for a block that only its entry holds


def empty(shape, dtype):
    """An array like `np.empty(shape, dtype)`, C-contiguous, in recycled memory where a block of the size is free."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if size < SMALLEST:
        return np.empty(shape, dtype)
    _blocks.requests += 1
    entries = _blocks.by_size.setdefault(size, [])
    for entry in entries:
        if _holders(entry) == _IDLE:
            break
    else:
        _release_idle()
        block = np.empty(size + ALIGNMENT, np.uint8)
        entry = [block, 0, -block.ctypes.data % ALIGNMENT]
        _blocks.by_size.setdefault(size, []).append(entry)
    entry[1] = _blocks.requests
    return np.ndarray(shape, dtype, entry[0], entry[2])


def _release_idle():
    """Forget the blocks that nobody holds and nobody asked for in the last PATIENCE requests."""
    oldest = _blocks.requests - PATIENCE
    for size, entries in list(_blocks.by_size.items()):
        entries[:] = [entry for entry in entries if entry[1] > oldest or _holders(entry) > _IDLE]
        if not entries:
            del _blocks.by_size[size]
