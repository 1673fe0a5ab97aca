"""Matrix products on the kernels' own thread pool: every thread makes its share, by NumPy's BLAS with one thread.

A BLAS with threads of its own wakes and joins them at every product, and its idle threads spin for a while, on a core
that a kernel needs next.
"""

import numpy as np

from minigan.kernels import pointwise
from minigan.kernels.parallel import memory, threads


def dense_forward(x, weight, bias):
    return product(x, weight, bias), (x, weight)


def dense_backward(grad_output, cache, need_params=True, need_input=True):
    (x, weight), grad = cache, np.ascontiguousarray(grad_output)
    grad_input = memory.empty(x.shape, x.dtype) if need_input else None
    grad_weight = memory.empty(weight.shape, weight.dtype) if need_params else None
    wanted = ((x.T, grad, 0, grad_weight), (grad, weight.T, 0, grad_input))
    products(*(each for each in wanted if each[3] is not None))
    return grad_input, grad_weight, pointwise.column_sums(grad) if need_params else None


dense = dense_forward, dense_backward


def product(a, b, bias=0):
    """a b + bias, shared among the threads; bias a row, or 0 for none."""
    out = memory.empty((len(a), b.shape[1]), a.dtype)
    products((a, b, bias, out))
    return out


def products(*wanted):
    """out = a b + bias for each (a, b, bias, out), all in one hand-over; none may read what another writes.

    Factors are copied into another order first, so out is cut along its much longer side, which cuts the larger factor
    too; but rather into rows, and else where a line of the cache ends, because two cores that write the same line wait
    for each other: a weight gradient cut anywhere takes twice as long.
    """
    parts = threads.get_threads() if threads.blas() else 1  # or BLAS gets in the pool's way
    work = sum(out.size * a.shape[1] for a, *_, out in wanted) // threads.MULTIPLICATIONS
    with threads.one_blas_thread:
        threads.run(_shares, parts, work, parts, wanted)


def _shares(start, stop, parts, wanted):
    for a, b, bias, out in wanted:
        rows, columns = out.shape
        if 2 * rows >= columns:
            part = slice(rows * start // parts, rows * stop // parts)
            a, out = a[part], out[part]
        else:
            line = memory.ALIGNMENT // out.itemsize
            first = columns * start // parts // line * line
            part = slice(first, columns if stop == parts else columns * stop // parts // line * line)
            b, bias, out = b[:, part], bias if np.isscalar(bias) else bias[part], out[:, part]
        if a.shape[1] == 1:  # an outer product, for which BLAS takes ten times as long as a plain loop
            np.multiply(a, b, out=out)
        else:
            np.matmul(a, b, out=out)
        if not np.isscalar(bias):
            out += bias
