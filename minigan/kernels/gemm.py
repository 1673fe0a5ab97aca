"""Matrix products on the kernels' own team: every thread multiplies its rows with a BLAS of one thread.

A BLAS with threads of its own wakes and joins them at every product, and its idle threads spin for a while, on a core
that a kernel needs next. Here a list of products is one job for the team, however small they are.
"""

import numpy as np

from minigan.kernels import threads

PANEL = 32  # rows: less is not worth a call
MULTIPLICATIONS = 32  # that take about as long as one element touched by another kernel


def products(triples):
    """out = a b for every (a, b, out) of 2-D arrays, shared among the threads by rows of `out`."""
    rows = sum(-(-len(out) // PANEL) for _, _, out in triples)
    if threads.openblas() is None:  # a BLAS whose threads cannot be told to stay out of the way
        _products(0, rows, triples)
        return
    work = sum(out.size * a.shape[1] for a, _, out in triples) // MULTIPLICATIONS
    with threads.one_blas_thread:
        threads.run(_products, rows, work, triples)


def product(a, b, out):
    """out = a b for 2-D arrays; returns out."""
    products([(a, b, out)])
    return out


def _products(start, stop, triples):
    """The panels start … stop of all products, counted through."""
    first = 0
    for a, b, out in triples:
        last = first + -(-len(out) // PANEL)
        low, high = max(start, first), min(stop, last)
        if low < high:
            rows = slice((low - first) * PANEL, min(len(out), (high - first) * PANEL))
            np.matmul(a[rows], b, out=out[rows])
        first = last
