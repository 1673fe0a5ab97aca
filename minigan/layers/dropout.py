"""Dropout (Srivastava et al. 2014)."""

import numpy as np

from minigan import init
from minigan.errors import InputError
from minigan.kernels import pointwise
from minigan.layers.base import Layer


def dropout_forward(x, rate, rng):
    """y = x m / (1 - p): each entry is dropped (m = 0) with probability p, and the mean stays the same.

    p is `rate`, rounded to one of 65536: each entry has 16 random bits, a fourth of what the generator makes at a time.
    x of any shape -> out of the same shape, cache.
    """
    bits = rng.integers(0, 2**64, -(-x.size // 4), np.uint64).view(np.uint16)[: x.size]
    least = min(round(rate * 65536), 65535)
    scale = 65536 / (65536 - least)
    return pointwise.keep(x, bits, least, scale), (bits, least, scale)


def dropout_backward(grad_output, cache):
    """∂L/∂x = g m / (1 - p), with the same m."""
    return pointwise.keep(grad_output, *cache)


class Dropout(Layer):
    """Drops entries with probability `rate` in training, drawn from the Generator `rng`; otherwise y = x."""

    def __init__(self, rate=0.5, rng=None):
        super().__init__()
        if not 0 <= rate < 1:
            raise InputError(f"Dropout: rate is {rate!r}, expected a probability in [0, 1).")
        self.rate, self.rng = rate, init.check_rng("Dropout", rng)

    def __repr__(self):
        return f"Dropout({self.rate})"

    def _forward(self, x, training):
        if not training or self.rate == 0:
            return x.copy(), None
        return dropout_forward(x, self.rate, self.rng)

    def _backward(self, grad_output, cache, need):
        return grad_output.copy() if cache is None else dropout_backward(grad_output, cache)
