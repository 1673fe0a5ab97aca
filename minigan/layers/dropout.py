"""Chance in training: dropout (Srivastava et al. 2014), and noise between layers, which keeps a network that sees few
labels from trusting any single number."""

import numpy as np

from minigan import init, kernels
from minigan.base.ranges import number
from minigan.layers.base import Layer
from minigan.layers.formula import Formula


def dropout_forward(x, kept, scale):
    """y = x m / (1 - p): each entry is dropped (m = 0) with probability p, and the mean stays the same.

    x of any shape, kept m of the same shape, bool, scale = 1 / (1 - p) -> out of the same shape, cache.
    """
    return np.where(kept, x * x.dtype.type(scale), x.dtype.type(0)), (kept, scale)


def dropout_backward(grad_output, cache):
    """∂L/∂x = g m / (1 - p), with the same m."""
    kept, scale = cache
    return np.where(kept, grad_output * grad_output.dtype.type(scale), grad_output.dtype.type(0))


def gaussian_noise_forward(x, deviation, rng):
    """y = x + σ ε with ε ~ N(0, 1), drawn from rng for each entry; σ = deviation. x of any shape -> out, the same,
    and an empty cache."""
    return x + x.dtype.type(deviation) * rng.standard_normal(x.shape, dtype=x.dtype), None


def gaussian_noise_backward(grad_output, cache):
    """∂L/∂x = g: what is added does not depend on x."""
    return grad_output.copy()


dropout = Formula(dropout_forward, dropout_backward, fast=kernels.dropout)


class Dropout(Layer):
    """Drops entries with probability `rate` in training, drawn from the Generator `rng`; otherwise y = x."""

    shown = ("rate",)

    def __init__(self, rate=0.5, rng=None):
        super().__init__()
        self.rate = number("Dropout: rate", rate, least=0, below=1)
        self.rng = init.check_rng("Dropout", rng)

    def _forward(self, x, training):
        if not training or self.rate == 0:
            return x.copy(), None
        # p is rounded to one of 65536: each entry has 16 random bits, a fourth of what the generator makes at a time
        bits = self.rng.integers(0, 2**64, -(-x.size // 4), np.uint64).view(np.uint16)[: x.size]
        least = min(round(self.rate * 65536), 65535)
        return dropout.forward(x, (bits >= least).reshape(x.shape), 65536 / (65536 - least))

    def _backward(self, grad_output, cache, need):
        return grad_output.copy() if cache is None else dropout.backward(grad_output, cache)


class GaussianNoise(Layer):
    """Adds noise of `deviation` in training, drawn from the Generator `rng`; otherwise y = x."""

    formula = Formula(gaussian_noise_forward, gaussian_noise_backward)
    settings = ("deviation", "rng")
    shown = ("deviation",)

    def __init__(self, deviation, rng=None):
        super().__init__()
        self.deviation = number("GaussianNoise: deviation", deviation, least=0)
        self.rng = init.check_rng("GaussianNoise", rng)

    def _forward(self, x, training):
        return super()._forward(x, training) if training else (x.copy(), None)

    def _backward(self, grad_output, cache, need):
        return gaussian_noise_backward(grad_output, cache)
