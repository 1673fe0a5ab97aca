"""The loop of trainings that keep no checkpoints: learning rates that change on the way, losses that stay finite."""

import math

import numpy as np

from minigan.base.errors import RunError
from minigan.kernels.parallel import threads

ADVICE = "try another --seed"


def ways(steps):
    """The share t of the way that is behind each of so many steps: 0, 1/steps, …"""
    return (i / steps for i in range(steps))


def cosine(t):
    """(1 + cos π t) / 2, a learning rate's factor at t of the way: from 1 to 0 (Loshchilov and Hutter 2017)."""
    return (1 + math.cos(math.pi * t)) / 2


def fit(step, shares, optimizers=(), schedule=cosine, watch=lambda number, metrics: None, advice=ADVICE):
    """For each t of `shares`, 0 to 1, call step(t), which computes gradients, moves, and returns its losses by name.

    schedule(t): the factor of the optimizers' learning rates. watch(number, losses) is called after each step, from 1.
    -> how many steps were made. Raises RunError where a loss is no longer finite, and says what may help: advice.
    """
    rates, number = [optimizer.lr for optimizer in optimizers], 0
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
