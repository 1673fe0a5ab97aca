"""Activations: functions of one number, applied to each entry. x of any shape -> out of the same shape, cache."""

import numpy as np

from minigan.errors import InputError
from minigan.kernels import memory, pointwise
from minigan.layers.base import Layer


def sigmoid(x):
    """σ(x) = 1 / (1 + e⁻ˣ), accurate and finite for every x (kernels/pointwise.py)."""
    return pointwise.sigmoid(np.ascontiguousarray(x))


def softplus(x):
    """log(1 + eˣ), accurate and finite for every x."""
    return pointwise.softplus(np.ascontiguousarray(x))


def relu_forward(x):
    """y = max(x, 0)."""
    return leaky_relu_forward(x, 0)


def relu_backward(grad_output, cache):
    """∂L/∂x = g where x > 0, else 0."""
    return leaky_relu_backward(grad_output, cache)


def leaky_relu_forward(x, negative_slope):
    """y = x where x > 0, else a x, with a = negative_slope (Maas et al. 2013)."""
    out = pointwise.leaky(np.ascontiguousarray(x), negative_slope)
    return out, (out, negative_slope)


def leaky_relu_backward(grad_output, cache):
    """∂L/∂x = g where x > 0, else a g. Since a ≥ 0, y > 0 says the same as x > 0."""
    out, negative_slope = cache
    return pointwise.leaky_backward(np.ascontiguousarray(grad_output), out, negative_slope)


def sigmoid_forward(x):
    """y = σ(x) = 1 / (1 + e⁻ˣ)."""
    out = sigmoid(x)
    return out, out


def sigmoid_backward(grad_output, cache):
    """∂L/∂x = g y (1 - y)."""
    return grad_output * cache * (1 - cache)


def tanh_forward(x):
    """y = tanh(x)."""
    out = np.tanh(x, out=memory.empty(x.shape, x.dtype))
    return out, out


def tanh_backward(grad_output, cache):
    """∂L/∂x = g (1 - y²)."""
    return pointwise.tanh_backward(np.ascontiguousarray(grad_output), cache)


def softplus_forward(x):
    """y = log(1 + eˣ)."""
    return softplus(x), x


def softplus_backward(grad_output, cache):
    """∂L/∂x = g σ(x)."""
    return grad_output * sigmoid(cache)


class ReLU(Layer):
    """y = max(x, 0)."""

    negative_slope = 0.0

    def _forward(self, x, training):
        return relu_forward(x)

    def _backward(self, grad_output, cache, need):
        return relu_backward(grad_output, cache)


class LeakyReLU(Layer):
    """y = x where x > 0, else negative_slope · x."""

    def __init__(self, negative_slope=0.2):
        super().__init__()
        if not 0 < negative_slope <= 1:
            raise InputError(f"LeakyReLU: negative_slope is {negative_slope!r}, expected a number in (0, 1].")
        self.negative_slope = float(negative_slope)

    def __repr__(self):
        return f"LeakyReLU({self.negative_slope})"

    def _forward(self, x, training):
        return leaky_relu_forward(x, self.negative_slope)

    def _backward(self, grad_output, cache, need):
        return leaky_relu_backward(grad_output, cache)


class Sigmoid(Layer):
    """y = 1 / (1 + e⁻ˣ). For a loss, leave it out: the losses take logits."""

    def _forward(self, x, training):
        return sigmoid_forward(x)

    def _backward(self, grad_output, cache, need):
        return sigmoid_backward(grad_output, cache)


class Tanh(Layer):
    """y = tanh(x), the generator's last layer: pixels in [-1, 1]."""

    def _forward(self, x, training):
        return tanh_forward(x)

    def _backward(self, grad_output, cache, need):
        return tanh_backward(grad_output, cache)


class Softplus(Layer):
    """y = log(1 + eˣ), a smooth max(x, 0)."""

    def _forward(self, x, training):
        return softplus_forward(x)

    def _backward(self, grad_output, cache, need):
        return softplus_backward(grad_output, cache)
