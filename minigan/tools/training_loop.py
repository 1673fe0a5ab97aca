"""The loop of trainings that keep no checkpoints: learning rates that change on the way, losses that stay finite."""

import math

import numpy as np

from minigan.base.errors import RunError
from minigan.kernels.parallel import threads

ADVICE = "try another --seed"


def cosine(t):
    """(1 + cos π t) / 2, a learning rate's factor at t of the way: from 1 to 0 (Loshchilov and Hutter 2017)."""
    return (1 + math.cos(math.pi * t)) / 2


def descend(network, grad, optimizer):
    """Send grad = ∂L/∂out back through a network, and move it once."""
    network.zero_grad()
    network.backward(grad, need_input_grad=False)
    optimizer.step()


def fit(step, steps, optimizers=(), schedule=cosine, watch=lambda number, metrics: None, advice=ADVICE):
    """So many times, call step(t), which computes gradients, moves, and returns its losses by name.

    t: the share of the way that is behind it, 0, 1/steps, …; in the place of `steps` may stand what gives each t.
    schedule(t): the factor of the optimizers' learning rates. watch(number, losses) is called after each step, from 1.
    -> how many steps were made. Raises RunError where a loss is no longer finite, and says what may help: advice.
    """
    rates, number = [optimizer.lr for optimizer in optimizers], 0
    shares = (i / steps for i in range(steps)) if isinstance(steps, int) else steps
    for number, t in enumerate(shares, 1):
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.lr = rate * schedule(t)
        with np.errstate(all="ignore"), threads.one_blas_thread:
            losses = step(t)
        for name, value in losses.items():
            if not math.isfinite(value):
                raise RunError(f"training diverged at step {number}: {name} is {value}; {advice}.")
        watch(number, losses)
    return number
