"""Dropout (Srivastava et al. 2014)."""

from minigan import init
from minigan.errors import InputError
from minigan.layers.base import Layer


def dropout_forward(x, rate, rng):
    """y = x m / (1 - p): each entry is dropped (m = 0) with probability p = rate, and the mean stays the same.

    x of any shape -> out of the same shape, cache.
    """
    mask = (rng.random(x.shape, dtype=x.dtype) >= rate) * x.dtype.type(1 / (1 - rate))
    return x * mask, mask


def dropout_backward(grad_output, cache):
    """∂L/∂x = g m / (1 - p), with the same m."""
    return grad_output * cache


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
