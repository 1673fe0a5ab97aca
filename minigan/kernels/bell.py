"""A bell that one thread rings and another waits for, without losing the moment it takes to wake a sleeping core."""

import queue

import numpy as np
from llvmlite import ir  # what Numba itself is built on
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from minigan.kernels.jit import kernel

PATIENCE = 0 if config.DISABLE_JIT else 200_000  # looks at the counter before going to sleep, 0.1 to 0.2 ms


class Bell:
    """`ring` from one thread, `wait` in one other.

    Waking a sleeping thread takes 50 microseconds and more, as much as many a kernel; kernels follow each other faster
    than that. So `wait` first watches the counter, without the GIL, for as long as waking would take, and then sleeps.
    """

    def __init__(self):
        self.rung = np.zeros(1, np.int64)
        self.asleep, self.tokens = False, queue.SimpleQueue()

    def ring(self):
        self.rung[0] += 1
        if self.asleep:
            self.tokens.put(None)

    def wait(self, count):
        """Until it has been rung more than `count` times in all."""
        if _watch(self.rung, count, PATIENCE):
            return
        self.asleep = True
        try:
            while self.rung[0] <= count:  # a token may be left from a ring that was seen before it was taken
                self.tokens.get()
        finally:
            self.asleep = False


@kernel
def _watch(rung, count, looks):
    """Look at rung[0] up to `looks` times; whether it exceeds `count`."""
    for _ in range(looks):
        if _load(rung) > count:
            return True
    return False


@intrinsic
def _load(typing_context, array):
    """array[0], read from memory each time: an ordinary load would be moved out of the loop, as nothing in it writes."""

    def generate(context, builder, signature, arguments):
        fields = context.make_array(signature.args[0])(context, builder, arguments[0])
        first = cgutils.get_item_pointer(
            context, builder, signature.args[0], fields, [ir.Constant(ir.IntType(64), 0)], wraparound=False
        )
        return builder.load_atomic(first, "acquire", 8)

    return types.int64(array), generate
