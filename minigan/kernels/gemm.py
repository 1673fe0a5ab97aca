"""Matrix products on the kernels' own team: every thread makes its share, in float32 by our own kernel (sgemm.py).

What that does not know (float64, thin or strided matrices, processors without fused multiply-adds, no compiled code)
is for NumPy's BLAS, with one thread: a BLAS with threads of its own wakes and joins them at every product, and its idle
threads spin for a while, on a core that a kernel needs next.
"""

import numpy as np
from numba import config

from minigan.kernels import memory, orders, pointwise, sgemm, threads
from minigan.kernels.vectors import FUSED

THIN = 16  # rows or columns, below which half of sgemm's vectors would be empty
FEWEST = 1 << 19  # multiplications, below which writing orders down takes longer than what is gained
_NONE = np.zeros(0, np.float32)


def product(a, b, out, bias=None, negative_slope=1):
    """out = s(a b + bias), shared among the threads; s and bias as in pointwise.add_bias. Returns out."""
    if bias is not None and _can_be_ordered(((a, b, out),)):
        _order(((a, b, out),), bias, negative_slope)
    else:
        products((a, b, out))
        pointwise.add_bias(out, bias, negative_slope)
    return out


def products(*triples):
    """out = a b for each (a, b, out), all in one hand-over; none may read what another writes.

    Factors are copied into another order first, so out is cut along its much longer side, which cuts the larger factor
    too; but rather into rows, and else where a line of the cache ends, because two cores that write the same line wait
    for each other: a weight gradient cut anywhere takes twice as long.
    """
    if _can_be_ordered(triples):
        _order(triples)
        return
    if threads.openblas() is None:  # a BLAS whose threads cannot be told to stay out of the way
        for a, b, out in triples:
            _multiply(a, b, out)
        return
    parts = threads.get_threads()
    work = sum(out.size * a.shape[1] for a, _, out in triples) // threads.MULTIPLICATIONS
    with threads.one_blas_thread:
        threads.run(_shares, parts, work, parts, triples)


def stack(a, b, out, add=False):
    """out = a b, or out + a b, for stacks of matrices (S, R, K), (S, K, C) and (S, R, C), by the calling thread alone.

    Their numbers lie side by side along rows or along columns, those of out along rows.
    """
    if not _is_ours(out):
        if add:
            out += np.matmul(a, b)
        else:
            np.matmul(a, b, out=out)
        return
    steps = [tuple(step // out.itemsize for step in array.strides) for array in (a, b, out)]
    arguments = [x for array, step in zip((a, b, out), steps, strict=True) for x in (array.ctypes.data, step)]
    sgemm.multiply_stack(len(out), *arguments, *out.shape[1:], a.shape[2], int(add), sgemm.scratch())


def _is_ours(out):
    """Whether products like this, (R, C) or a stack of them, are for sgemm, on this machine."""
    return FUSED and not config.DISABLE_JIT and out.dtype == np.float32 and min(out.shape[-2:]) >= THIN


def _can_be_ordered(triples):
    """Orders know float32, stored without gaps; thin products are for _multiply."""
    if len(triples) > orders.MOST:
        return False
    work = 0
    for a, b, out in triples:
        if not (_is_ours(out) and _is_stored(a) and _is_stored(b)):
            return False
        work += out.size * a.shape[1]
    return work >= FEWEST


def _is_stored(a):
    return a.dtype == np.float32 and (a.flags.c_contiguous or a.flags.f_contiguous)


def _order(triples, bias=_NONE, negative_slope=1):
    def write(all_orders):
        for i, (a, b, out) in enumerate(triples):
            orders.write(all_orders, i, *_stored(a), *_stored(b), out, bias, np.float32(negative_slope))

    threads.carry_out(len(triples), write)


def _stored(a):
    return (a, False) if a.flags.c_contiguous else (a.T, True)


def _shares(start, stop, parts, triples):
    for a, b, out in triples:
        rows, columns = out.shape
        if 2 * rows >= columns:
            first, last = rows * start // parts, rows * stop // parts
            _multiply(a[first:last], b, out[first:last])
        else:
            line = memory.ALIGNMENT // out.itemsize
            first = columns * start // parts // line * line
            last = columns if stop == parts else columns * stop // parts // line * line
            _multiply(a, b[:, first:last], out[:, first:last])


def _multiply(a, b, out):
    if a.shape[1] == 1:  # an outer product, for which BLAS takes ten times as long as a plain loop
        np.multiply(a, b, out=out)
    else:
        np.matmul(a, b, out=out)
