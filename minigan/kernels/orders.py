"""Orders: matrix products written down so that a thread can take them over and do them without Python's lock.

A helper that calls `np.matmul` first waits until the thread that called it lets go of the GIL, 20 to 40 microseconds
each time: a tenth of what a product of a small network takes. An order holds addresses and sizes, which is all that
compiled code needs. For float32 only, the dtype of training.
"""

import numpy as np

from minigan.kernels import memory
from minigan.kernels.bell import load, store
from minigan.kernels.jit import inlined_kernel, kernel
from minigan.kernels.leaky import activated
from minigan.kernels.sgemm import floats, multiply

MOST = 4  # orders at a time
LINE = memory.ALIGNMENT // 4  # floats

# out (rows, columns) = A (rows, depth) B (depth, columns), a, b and out being addresses, …_row and …_column the floats
# from a row or a column to the next.
# bias: the address of as many numbers as there are columns, added to each row before the leaky ReLU; 0: neither.
ORDER = np.dtype(
    [(name, np.int64) for name in ("rows", "columns", "depth", "a", "a_row", "a_column", "b", "b_row", "b_column")]
    + [(name, np.int64) for name in ("out", "out_row", "bias")]
    + [("negative_slope", np.float32)],
    align=True,
)


@kernel
def write(orders, i, a, a_turned, b, b_turned, out, bias, negative_slope):
    """orders[part, i] for each part: its share of out = A B; orders (parts, MOST), for the others see ORDER.

    a, b: the factors as stored, without gaps, …_turned: whether the factor is the transpose of that; out without gaps;
    bias (columns,), or empty. The longer side of out is cut, as gemm.products explains.
    """
    rows, columns = out.shape
    size, parts = np.int64(out.itemsize), len(orders)
    for part in range(parts):
        o = orders[part, i]
        o.rows, o.columns, o.depth = rows, columns, a.shape[0] if a_turned else a.shape[1]
        o.a, o.a_row, o.a_column = a.ctypes.data, 1 if a_turned else a.shape[1], a.shape[1] if a_turned else 1
        o.b, o.b_row, o.b_column = b.ctypes.data, 1 if b_turned else b.shape[1], b.shape[1] if b_turned else 1
        o.out, o.out_row, o.negative_slope = out.ctypes.data, columns, negative_slope
        o.bias = bias.ctypes.data if bias.size > 0 else 0
        if 2 * rows >= columns:
            first, last = rows * part // parts, rows * (part + 1) // parts
            o.rows = last - first
            o.a += size * first * o.a_row
            o.out += size * first * columns
        else:
            first, last = columns * part // parts // LINE * LINE, columns * (part + 1) // parts // LINE * LINE
            o.columns = (columns if part == parts - 1 else last) - first
            o.b += size * first * o.b_column
            o.out += size * first
            o.bias += size * first if o.bias else 0


@kernel
def perform(orders, count, scratch):
    """Carry out the first `count` orders; scratch: as sgemm.multiply needs it."""
    for i in range(count):
        o = orders[i]
        a, b = (o.a, o.a_row, o.a_column), (o.b, o.b_row, o.b_column)
        multiply(*a, *b, o.out, o.out_row, o.rows, o.columns, o.depth, 0, scratch)
        if o.bias != 0:
            _add_bias(o)


@inlined_kernel
def _add_bias(o):
    columns, step, slope = np.uintp(o.columns), np.uintp(o.out_row), o.negative_slope
    bias, out = floats(o.bias, o.columns), floats(o.out, o.rows * o.out_row)
    for r in range(np.uintp(o.rows)):
        for c in range(columns):
            out[r * step + c] = activated(out[r * step + c] + bias[c], slope)


@kernel
def serve(begin, end, done, orders, count, scratch, looks, courtesy):
    """A helper between two jobs of Python's: carries out its orders, whenever there are any, without the GIL.

    begin[0]: how many jobs there were to do so far; end[0]: how many are done, `done` of them by now. count[0]: how
    many orders the job is, or 0 for one of Python's, which is left to the caller, `courtesy` looks later so that
    whoever began it has let go of the GIL. -> how many jobs are done by then, or after `looks` in vain.
    """
    store(end, done)
    left = looks
    while left > 0:
        left -= 1
        if load(begin) > done:
            if count[0] == 0:
                for _ in range(courtesy):
                    load(begin)
                return done
            perform(orders, count[0], scratch)
            done += 1
            store(end, done)
            left = looks
    return done


@kernel
def await_end(end, jobs):
    """Look at end[0] until it is `jobs`. For orders only, which take their time but cannot fail."""
    while load(end) < jobs:
        pass
