"""Orders: matrix products written down so that a thread can take them over and do them without Python's lock.

A helper that calls `np.matmul` first waits until the thread that called it lets go of the GIL, 20 to 40 microseconds
each time: a tenth of what a product of a small network takes. An order holds the addresses and sizes that BLAS needs,
and `perform` hands them to OpenBLAS from compiled code. For float32 only, the dtype of training.
"""

import numpy as np
from numba import carray, types
from numba.core import cgutils
from numba.extending import intrinsic

from minigan.kernels import memory
from minigan.kernels.bell import load, store
from minigan.kernels.jit import inlined_kernel, kernel

MOST = 4  # orders at a time
LINE = memory.ALIGNMENT // 4  # floats
PLAIN, TRANSPOSED = 111, 112  # CBLAS's own numbers
_ROW_MAJOR = 101

# out (rows, columns) = A (rows, depth) B (depth, columns), a, b and out being addresses and …_step the floats from a
# row to the next as they are stored; …_kind: whether the factor is what is stored or its transpose.
# turned: the address of a scratch (columns, rows), in which outᵀ = Bᵀ Aᵀ is made and then sorted into out; 0: for none.
# bias: the address of as many numbers as there are columns, added to each row before the leaky ReLU; 0: neither.
ORDER = np.dtype(
    [(name, np.int64) for name in ("rows", "columns", "depth", "a", "a_step", "a_kind", "b", "b_step", "b_kind")]
    + [(name, np.int64) for name in ("out", "out_step", "turned", "bias")]
    + [("negative_slope", np.float32)],
    align=True,
)


@kernel
def write(orders, i, a, a_kind, b, b_kind, out, turned, bias, negative_slope):
    """orders[part, i] for each part: its share of out = A B; orders (parts, MOST), for the others see ORDER.

    a, b: C-contiguous as stored, out too; turned (columns, rows) and bias (columns,), or empty. The longer side of out
    is cut, as gemm.products explains.
    """
    rows, columns = out.shape
    size, parts = np.int64(out.itemsize), len(orders)
    for part in range(parts):
        o = orders[part, i]
        o.rows, o.columns, o.depth = rows, columns, a.shape[1] if a_kind == PLAIN else a.shape[0]
        o.a, o.a_step, o.a_kind = a.ctypes.data, a.shape[1], a_kind
        o.b, o.b_step, o.b_kind = b.ctypes.data, b.shape[1], b_kind
        o.out, o.out_step, o.negative_slope = out.ctypes.data, columns, negative_slope
        o.turned = turned.ctypes.data if turned.size > 0 else 0
        o.bias = bias.ctypes.data if bias.size > 0 else 0
        if 2 * rows >= columns:
            first, last = rows * part // parts, rows * (part + 1) // parts
            o.rows = last - first
            o.a += size * first * (o.a_step if a_kind == PLAIN else 1)
            o.out += size * first * columns
            o.turned += size * first * columns if o.turned else 0
        else:
            first, last = columns * part // parts // LINE * LINE, columns * (part + 1) // parts // LINE * LINE
            o.columns = (columns if part == parts - 1 else last) - first
            o.b += size * first * (1 if b_kind == PLAIN else o.b_step)
            o.out += size * first
            o.turned += size * first * rows if o.turned else 0
            o.bias += size * first if o.bias else 0


@kernel
def perform(sgemm, orders, count):
    """Carry out the first `count` orders. sgemm: the address of cblas_sgemm."""
    for i in range(count):
        o = orders[i]
        if o.rows == 0 or o.columns == 0:
            continue
        if o.turned != 0:
            kinds = TRANSPOSED + PLAIN - o.b_kind, TRANSPOSED + PLAIN - o.a_kind
            _sgemm(sgemm, *kinds, o.columns, o.rows, o.depth, o.b, o.b_step, o.a, o.a_step, o.turned, o.rows)
            _sort(o)
        else:
            kinds = o.a_kind, o.b_kind
            _sgemm(sgemm, *kinds, o.rows, o.columns, o.depth, o.a, o.a_step, o.b, o.b_step, o.out, o.out_step)
        if o.bias != 0:
            _add_bias(o)


@inlined_kernel
def _sort(o):
    """out[r, c] = turned[c, r], a line of out at a time."""
    rows, columns, step = np.uintp(o.rows), np.uintp(o.columns), np.uintp(o.out_step)
    turned, out = _floats(o.turned, o.rows * o.columns), _floats(o.out, o.rows * o.out_step)
    for first in range(np.uintp(0), columns, np.uintp(LINE)):
        last = min(first + np.uintp(LINE), columns)
        for r in range(rows):
            for c in range(first, last):
                out[r * step + c] = turned[c * rows + r]


@inlined_kernel
def _add_bias(o):
    columns, step, slope = np.uintp(o.columns), np.uintp(o.out_step), o.negative_slope
    bias, out = _floats(o.bias, o.columns), _floats(o.out, o.rows * o.out_step)
    for r in range(np.uintp(o.rows)):
        for c in range(columns):
            y = out[r * step + c] + bias[c]
            out[r * step + c] = y if y > 0 else slope * y


@kernel
def serve(sgemm, begin, end, done, orders, count, looks, courtesy):
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
            perform(sgemm, orders, count[0])
            done += 1
            store(end, done)
            left = looks
    return done


@kernel
def await_end(end, jobs):
    """Look at end[0] until it is `jobs`. For orders only, which take their time but cannot fail."""
    while load(end) < jobs:
        pass


@intrinsic
def _float_pointer(typing_context, address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(types.int64), generate


@inlined_kernel
def _floats(address, size):
    return carray(_float_pointer(address), (size,))


@intrinsic
def _sgemm(typing_context, address, a_kind, b_kind, rows, columns, depth, a, a_step, b, b_step, out, out_step):
    """cblas_sgemm at that address: out = 1 · A B + 0 · out, everything in rows."""

    def generate(context, builder, signature, arguments):
        enum, long, float32 = (context.get_value_type(t) for t in (types.int32, types.int64, types.float32))
        pointer = cgutils.voidptr_t
        takes = [enum, enum, enum, long, long, long, float32, pointer, long, pointer, long, float32, pointer, long]
        address, a_kind, b_kind, rows, columns, depth, a, a_step, b, b_step, out, out_step = arguments
        a_kind, b_kind = (builder.trunc(kind, enum) for kind in (a_kind, b_kind))
        a, b, out = (builder.inttoptr(value, pointer) for value in (a, b, out))
        call = (enum(_ROW_MAJOR), a_kind, b_kind, rows, columns, depth, float32(1), a, a_step, b, b_step)
        function = builder.inttoptr(address, cgutils.ir.FunctionType(cgutils.ir.VoidType(), takes).as_pointer())
        builder.call(function, [*call, float32(0), out, out_step])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 12), generate
