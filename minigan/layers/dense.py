"""The fully connected layer."""

import numpy as np

from minigan import kernels
from minigan.layers.base import Layer, positive_int
from minigan.layers.formula import Formula


def dense_forward(x, weight, bias):
    """y = x W + b. x (N, D), weight (D, F), bias (F,), or 0 for none -> out (N, F), cache."""
    return x @ weight + bias, (x, weight)


def dense_backward(grad_output, cache):
    """With g = ∂L/∂y: ∂L/∂x = g Wᵀ, ∂L/∂W = xᵀ g, ∂L/∂b = Σₙ gₙ.

    grad_output (N, F) -> grad_input (N, D), grad_weight (D, F), grad_bias (F,).
    """
    x, weight = cache
    return grad_output @ weight.T, x.T @ grad_output, grad_output.sum(axis=0)


def dense_jvp(t, cache):
    """J t = t W. t (N, D) -> (N, F)."""
    _, weight = cache
    return t @ weight


def dense_jvp_backward(s, t, cache):
    """∂⟨s, t W⟩/∂W = tᵀ s: the weight's gradient with t in the place of x; by x and b it is 0."""
    return None, t.T @ s, None


dense = Formula(dense_forward, dense_backward, dense_jvp, dense_jvp_backward, fast=kernels.dense)


class Dense(Layer):
    """y = x W + b for x (N, in_features) -> (N, out_features); formula in dense_forward.

    params: weight (in_features, out_features), bias (out_features,) unless bias=False.
    rng: the Generator that draws the weight (Glorot uniform); the bias starts at 0.
    """

    formula = dense
    shown = ("in_features", "out_features")
    input_axes = (2,)

    def __init__(self, in_features, out_features, bias=True, rng=None, dtype=np.float32):
        super().__init__()
        self.in_features = self.input_features = positive_int("Dense", "in_features", in_features)
        self.out_features = positive_int("Dense", "out_features", out_features)
        self._add_weight("weight", (self.in_features, self.out_features), rng, dtype)
        if bias:
            self._add_param("bias", np.zeros(self.out_features, dtype))

    def output_shape(self, input_shape):
        return (self.out_features,)

    def arguments(self):
        return self.params["weight"], self.params.get("bias", 0)
