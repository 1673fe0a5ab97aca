"""What each kernel earns: a training step with its formula in plain NumPy, as a multiple of the step with kernels."""

import time

import numpy as np

from minigan.layers.formula import Formula


def earned(step, steps):
    """-> {formula: how many times as long a step takes without its kernels}, most first, of those that `step` uses.

    step: makes one training step. Each formula has its turn, between two with all kernels; medians of `steps` steps.
    """
    found = {}
    for formula in Formula.attached:
        if _plain_steps(formula, step, 1)[1]:
            before, without, after = _times(step, steps), _plain_steps(formula, step, steps)[0], _times(step, steps)
            found[repr(formula)] = float(np.median(without) / np.median(before + after))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _plain_steps(formula, step, steps):
    """-> the seconds of each step with the formula's kernels away, and how often a step came to it."""
    calls, fast, (forward, *others) = [], formula.fast, formula.plain

    def counted(*arguments):
        calls.append(1)
        return forward(*arguments)

    formula.fast, plain, formula.plain = None, formula.plain, (counted, *others)
    try:
        return _times(step, steps), len(calls)
    finally:
        formula.fast, formula.plain = fast, plain


def _times(step, steps):
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times
