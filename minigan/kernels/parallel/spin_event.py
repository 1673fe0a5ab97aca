"""An event that one thread sets and another waits for, without losing the moment it takes to wake a sleeping core."""

import queue
import time
from functools import cache

import numpy as np

from minigan.kernels.jit import COMPILED, kernel

if COMPILED:
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic
else:
    intrinsic = kernel  # neither does anything, and nobody spins

PATIENCE = 200e-6  # seconds of spinning before going to sleep


class SpinEvent:
    """`set` from one thread, `wait` in one other.

    Waking a sleeping thread takes 50 microseconds and more, as much as many a kernel; kernels follow each other faster
    than that. So `wait` first spins on the counter, without the GIL, for as long as waking would take, and then sleeps.
    """

    def __init__(self):
        self.count = np.zeros(1, np.int64)
        self.asleep, self.tokens = False, queue.SimpleQueue()

    def set(self, count):
        """Say that it has been set `count` times in all, and wake who sleeps."""
        self.count[0] = count
        if self.asleep:
            self.tokens.put(None)

    def wait(self, count):
        """Until it has been set `count` times in all."""
        if _spin(self.count, count, spins(PATIENCE)):
            return
        self.asleep = True
        try:
            while self.count[0] < count:  # a token may be left from a set that was seen before it was taken
                self.tokens.get()
        finally:
            self.asleep = False


def spins(seconds):
    """How many readings of a counter take so long on this machine; none where kernels are plain Python."""
    return int(_spins_per_second() * seconds) if COMPILED else 0


@cache
def _spins_per_second():
    never, count, times = np.zeros(1, np.int64), 20_000, []
    for _ in range(4):  # the first loads or compiles the code
        start = time.perf_counter()
        _spin(never, 1, count)
        times.append(time.perf_counter() - start)
    return count / min(times)


@kernel
def _spin(counter, count, spins):
    """Read counter[0] up to `spins` times; whether it has reached `count`."""
    for _ in range(spins):  # noqa: SIM110 - Numba compiles no generators
        if load(counter) >= count:
            return True
    return False


@intrinsic
def load(typing_context, array):
    """array[0], read from memory each time: an ordinary load would be moved out of the loop, which writes nothing."""

    def generate(context, builder, signature, arguments):
        (kind,), (argument,) = signature.args, arguments
        fields, index = context.make_array(kind)(context, builder, argument), [context.get_constant(types.intp, 0)]
        first = cgutils.get_item_pointer(context, builder, kind, fields, index, wraparound=False)
        return builder.load_atomic(first, "acquire", 8)

    return types.int64(array), generate
