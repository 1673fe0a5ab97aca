"""Gaussian noise between layers, which keeps a network that sees few labels from trusting any single number."""

from minigan import init
from minigan.base.ranges import number
from minigan.layers.base import Layer
from minigan.layers.formula import Formula


def gaussian_noise_forward(x, deviation, rng):
    """y = x + σ ε with ε ~ N(0, 1), drawn from rng for each entry; σ = deviation. x of any shape -> out, the same,
    and an empty cache."""
    return x + x.dtype.type(deviation) * rng.standard_normal(x.shape, dtype=x.dtype), None


def gaussian_noise_backward(grad_output, cache):
    """∂L/∂x = g: what is added does not depend on x."""
    return grad_output.copy()


class GaussianNoise(Layer):
    """Adds noise of `deviation` in training, drawn from the Generator `rng`; otherwise y = x."""

    formula = Formula(gaussian_noise_forward, gaussian_noise_backward)

    def __init__(self, deviation, rng=None):
        super().__init__()
        self.deviation = number("GaussianNoise: deviation", deviation, least=0)
        self.rng = init.check_rng("GaussianNoise", rng)

    def __repr__(self):
        return f"GaussianNoise({self.deviation})"

    def arguments(self):
        return self.deviation, self.rng

    def _forward(self, x, training):
        return super()._forward(x, training) if training else (x.copy(), None)

    def _backward(self, grad_output, cache, need):
        return gaussian_noise_backward(grad_output, cache)
