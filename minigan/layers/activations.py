"""Activations: functions of one number, applied to each entry. x of any shape -> out of the same shape, cache.

Their Jacobian is diagonal, so that J t is the backward pass of t; where they are curved, ∂⟨s, J t⟩/∂x = s t a''(x).
"""

import numpy as np

from minigan import kernels
from minigan.base.ranges import number
from minigan.layers.base import Layer
from minigan.layers.formula import Formula


def sigmoid(x):
    """σ(x) = 1 / (1 + e⁻ˣ); for x < 0 as eˣ / (1 + eˣ): no exponential overflows and small values keep every digit."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, x.dtype.type(1), e) / (1 + e)


def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log(1 + e^(-|x|)), so that no exponential can overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def relu_forward(x):
    """y = max(x, 0)."""
    out = np.maximum(x, 0)
    return out, out


def relu_backward(grad_output, cache):
    """∂L/∂x = g where x > 0, else 0; y > 0 says the same as x > 0."""
    return np.where(cache > 0, grad_output, grad_output.dtype.type(0))


def leaky_relu_forward(x, negative_slope):
    """y = x where x > 0, else a x, with a = negative_slope > 0 (Maas et al. 2013)."""
    out = np.where(x > 0, x, x.dtype.type(negative_slope) * x)
    return out, (out, negative_slope)


def leaky_relu_backward(grad_output, cache):
    """∂L/∂x = g where x > 0, else a g. Since a > 0, y > 0 says the same as x > 0."""
    out, negative_slope = cache
    return np.where(out > 0, grad_output, grad_output.dtype.type(negative_slope) * grad_output)


def sigmoid_forward(x):
    """y = σ(x) = 1 / (1 + e⁻ˣ)."""
    out = sigmoid(x)
    return out, out


def sigmoid_backward(grad_output, cache):
    """∂L/∂x = g y (1 - y)."""
    return grad_output * cache * (1 - cache)


def sigmoid_jvp_backward(s, t, cache):
    """s t a''(x) with a'' = y (1 - y) (1 - 2 y)."""
    return s * t * cache * (1 - cache) * (1 - 2 * cache)


def tanh_forward(x):
    """y = tanh(x)."""
    out = np.tanh(x)
    return out, out


def tanh_backward(grad_output, cache):
    """∂L/∂x = g (1 - y²)."""
    return grad_output * (1 - cache * cache)


def tanh_jvp_backward(s, t, cache):
    """s t a''(x) with a'' = -2 y (1 - y²)."""
    return s * t * -2 * cache * (1 - cache * cache)


def softplus_forward(x):
    """y = log(1 + eˣ)."""
    return softplus(x), x


def softplus_backward(grad_output, cache):
    """∂L/∂x = g σ(x)."""
    return grad_output * sigmoid(cache)


def softplus_jvp_backward(s, t, cache):
    """s t a''(x) with a'' = σ(x) (1 - σ(x))."""
    return s * t * sigmoid(cache) * (1 - sigmoid(cache))


relu = Formula(relu_forward, relu_backward, relu_backward, fast=kernels.relu)
leaky_relu = Formula(leaky_relu_forward, leaky_relu_backward, leaky_relu_backward, fast=kernels.leaky_relu)


class ReLU(Layer):
    """y = max(x, 0)."""

    formula = relu


class LeakyReLU(Layer):
    """y = x where x > 0, else negative_slope · x."""

    formula = leaky_relu
    settings = shown = ("negative_slope",)

    def __init__(self, negative_slope=0.2):
        super().__init__()
        self.negative_slope = number("LeakyReLU: negative_slope", negative_slope, above=0, most=1)


class Sigmoid(Layer):
    """y = 1 / (1 + e⁻ˣ). For a loss, leave it out: the losses take logits."""

    formula = Formula(sigmoid_forward, sigmoid_backward, sigmoid_backward, sigmoid_jvp_backward)


class Tanh(Layer):
    """y = tanh(x), the generator's last layer: pixels in [-1, 1]."""

    formula = Formula(tanh_forward, tanh_backward, tanh_backward, tanh_jvp_backward)


class Softplus(Layer):
    """y = log(1 + eˣ), a smooth max(x, 0)."""

    formula = Formula(softplus_forward, softplus_backward, softplus_backward, softplus_jvp_backward)
