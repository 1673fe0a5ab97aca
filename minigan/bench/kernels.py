"""What each kernel earns: a training step with its formula in plain NumPy, as a multiple of the step with kernels."""

from contextlib import ExitStack

import numpy as np

from minigan.bench.process import timed
from minigan.bench.work import shadow
from minigan.layers.formula import Formula


def earned(step, steps):
    """-> {formula: how many times as long a step takes without its kernels}, most first, of those that `step` uses.

    step: makes one training step. Each formula has its turn, between two with all kernels; medians of `steps` steps.
    """
    found = {}
    for formula in Formula.attached:
        if _without(formula, step, 1)[1]:
            before, (without, _), after = timed(step)(steps), _without(formula, step, steps), timed(step)(steps)
            found[repr(formula)] = float(np.median(without) / np.median(before["seconds"] + after["seconds"]))
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _without(formula, step, steps):
    """-> the seconds of each step with the formula's kernels away, and how often a step came to it."""
    calls, (forward, *others) = [], formula.plain

    def counted(*arguments):
        calls.append(1)
        return forward(*arguments)

    with ExitStack() as stack:
        shadow(stack, formula, "fast", None)
        shadow(stack, formula, "plain", (counted, *others))
        return timed(step)(steps)["seconds"], len(calls)
