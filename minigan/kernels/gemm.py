"""Matrix products on the kernels' own team: every thread multiplies its share with a BLAS of one thread.

A BLAS with threads of its own wakes and joins them at every product, and its idle threads spin for a while, on a core
that a kernel needs next.
"""

import numpy as np

from minigan.kernels import memory, orders, pointwise, threads

FEW_ROWS = 128  # of a, up to which (bᵀ aᵀ)ᵀ is faster than a b where b is a transposed array, which BLAS sorts anew
FEWEST = 1 << 19  # multiplications, below which writing orders down takes longer than what is gained
_NONE, _NO_MATRIX = np.zeros(0, np.float32), np.zeros((0, 0), np.float32)


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

    BLAS first copies both factors into an order of its own, so out is cut along its much longer side, which cuts the
    larger factor too; but rather into rows, and else where a line of the cache ends, because two cores that write the
    same line wait for each other: a weight gradient cut anywhere takes twice as long.
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


def _can_be_ordered(triples):
    """Orders know float32, stored without gaps; thin products are for _multiply."""
    if threads.sgemm() is None or len(triples) > orders.MOST:
        return False
    work = 0
    for a, b, out in triples:
        if out.dtype != np.float32 or min(*out.shape, a.shape[1]) < 2 or not (_is_stored(a) and _is_stored(b)):
            return False
        work += out.size * a.shape[1]
    return work >= FEWEST


def _is_stored(a):
    return a.dtype == np.float32 and (a.flags.c_contiguous or a.flags.f_contiguous)


def _order(triples, bias=_NONE, negative_slope=1):
    turned = [_NO_MATRIX] * len(triples)  # held here until the orders are done
    for i, (_, b, out) in enumerate(triples):
        if len(out) <= FEW_ROWS and not b.flags.c_contiguous:
            turned[i] = memory.empty(out.shape[::-1], np.float32)

    def write(all_orders):
        for i, (a, b, out) in enumerate(triples):
            factors = (*_stored(a), *_stored(b))
            orders.write(all_orders, i, *factors, out, turned[i], bias, np.float32(negative_slope))

    with threads.one_blas_thread:
        threads.carry_out(len(triples), write)


def _stored(a):
    return (a, orders.PLAIN) if a.flags.c_contiguous else (a.T, orders.TRANSPOSED)


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
