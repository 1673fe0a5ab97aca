"""The fully connected layer."""

import numpy as np

from minigan import init
from minigan.kernels import memory
from minigan.layers.base import Layer, positive_int


def dense_forward(x, weight, bias):
    """y = x W + b.

    x (N, D), weight (D, F), bias (F,) or None -> out (N, F), cache.
    """
    out = memory.empty((x.shape[0], weight.shape[1]), x.dtype)
    np.matmul(x, weight, out=out)
    if bias is not None:
        out += bias
    return out, (x, weight)


def dense_backward(grad_output, cache):
    """∂L/∂x = g Wᵀ, ∂L/∂W = xᵀ g, ∂L/∂b = Σₙ gₙ, with g = grad_output (N, F).

    -> grad_input (N, D), grad_weight (D, F), grad_bias (F,).
    """
    x, weight = cache
    grad_weight = memory.empty(weight.shape, weight.dtype)
    np.matmul(x.T, grad_output, out=grad_weight)
    return _grad_input(grad_output, weight), grad_weight, grad_output.sum(axis=0)


def _grad_input(grad_output, weight):
    grad_input = memory.empty((grad_output.shape[0], weight.shape[0]), weight.dtype)
    return np.matmul(grad_output, weight.T, out=grad_input)


class Dense(Layer):
    """y = x W + b for x (N, in_features) -> (N, out_features).

    params: weight (in_features, out_features), bias (out_features,) unless bias=False.
    rng: the Generator that draws the weight (Glorot uniform); the bias starts at 0.
    """

    def __init__(self, in_features, out_features, bias=True, rng=None, dtype=np.float32):
        super().__init__()
        self.in_features = positive_int("Dense", "in_features", in_features)
        self.out_features = positive_int("Dense", "out_features", out_features)
        init.check_rng("Dense", rng)
        self._add_param("weight", init.glorot_uniform((self.in_features, self.out_features), rng, dtype))
        if bias:
            self._add_param("bias", np.zeros(self.out_features, dtype))

    def __repr__(self):
        return f"Dense({self.in_features}, {self.out_features})"

    def output_shape(self, input_shape):
        return (self.out_features,)

    def _check_input(self, x):
        self._check_features(x, 2, self.in_features, f"(N, {self.in_features})")

    def _forward(self, x, training):
        return dense_forward(x, self.params["weight"], self.params.get("bias"))

    def _backward(self, grad_output, cache, need_param_grads):
        if not need_param_grads:
            return _grad_input(grad_output, cache[1])
        grad_input, grad_weight, grad_bias = dense_backward(grad_output, cache)
        self._accumulate("weight", grad_weight)
        if "bias" in self.params:
            self._accumulate("bias", grad_bias)
        return grad_input
