"""A matrix product on the kernels' own team: every thread multiplies its share with a BLAS of one thread.

A BLAS with threads of its own wakes and joins them at every product, and its idle threads spin for a while, on a core
that a kernel needs next.
"""

import numpy as np

from minigan.kernels import threads


def product(a, b, out):
    """out = a b for 2-D arrays, shared among the threads; returns out.

    BLAS first copies both factors into an order of its own. Cut along the longer side of `out`, the larger factor is
    cut too, and each thread copies only its share of it.
    """
    if threads.openblas() is None:  # a BLAS whose threads cannot be told to stay out of the way
        return np.matmul(a, b, out=out)
    by_rows = out.shape[0] >= out.shape[1]
    work = out.size * a.shape[1] // threads.MULTIPLICATIONS
    with threads.one_blas_thread:
        threads.run(_rows if by_rows else _columns, out.shape[0 if by_rows else 1], work, a, b, out)
    return out


def _rows(start, stop, a, b, out):
    np.matmul(a[start:stop], b, out=out[start:stop])


def _columns(start, stop, a, b, out):
    np.matmul(a, b[:, start:stop], out=out[:, start:stop])
