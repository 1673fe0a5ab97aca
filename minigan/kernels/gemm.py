"""Matrix products on the kernels' own team: every thread multiplies its share with a BLAS of one thread.

A BLAS with threads of its own wakes and joins them at every product, and its idle threads spin for a while, on a core
that a kernel needs next.
"""

import numpy as np

from minigan.kernels import memory, threads


def product(a, b, out):
    """out = a b for 2-D arrays, shared among the threads; returns out."""
    products((a, b, out))
    return out


def products(*triples):
    """out = a b for each (a, b, out), all in one hand-over; none may read what another writes.

    BLAS first copies both factors into an order of its own, so out is cut along its much longer side, which cuts the
    larger factor too; but rather into rows, and else where a line of the cache ends, because two cores that write the
    same line wait for each other: a weight gradient cut anywhere takes twice as long.
    """
    if threads.openblas() is None:  # a BLAS whose threads cannot be told to stay out of the way
        for a, b, out in triples:
            _multiply(a, b, out)
        return
    parts = threads.get_threads()
    work = sum(out.size * a.shape[1] for a, _, out in triples) // threads.MULTIPLICATIONS
    with threads.one_blas_thread:
        threads.run(_shares, parts, work, parts, triples)


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
