"""The fully connected layer."""

import numpy as np

from minigan import init
from minigan.kernels import gemm, memory, pointwise
from minigan.layers.base import EVERYTHING, Layer, positive_int


def dense_forward(x, weight, bias, negative_slope=1):
    """y = a(x W + b), with a the leaky ReLU of that slope: 1 for none, 0 for ReLU.

    x (N, D), weight (D, F), bias (F,) or None -> out (N, F), cache.
    """
    out = memory.empty((x.shape[0], weight.shape[1]), x.dtype)
    gemm.product(x, weight, out, bias, negative_slope)
    return out, (x, weight, out, negative_slope)


def dense_backward(grad_output, cache, need=EVERYTHING):
    """With g = grad_output · a': ∂L/∂x = g Wᵀ, ∂L/∂W = xᵀ g, ∂L/∂b = Σₙ gₙ.

    grad_output (N, F) -> grad_input (N, D), grad_weight (D, F), grad_bias (F,); None for what `need` leaves out.
    """
    x, weight, out, negative_slope = cache
    grad, grad_bias = pointwise.add_bias_backward(np.ascontiguousarray(grad_output), out, negative_slope)
    grad_input = memory.empty(x.shape, x.dtype) if need.input else None
    grad_weight = memory.empty(weight.shape, weight.dtype) if need.params else None
    wanted = ((x.T, grad, grad_weight), (grad, weight.T, grad_input))
    gemm.products(*(triple for triple in wanted if triple[2] is not None))
    return grad_input, grad_weight, grad_bias


class Dense(Layer):
    """y = x W + b for x (N, in_features) -> (N, out_features).

    params: weight (in_features, out_features), bias (out_features,) unless bias=False.
    rng: the Generator that draws the weight (Glorot uniform); the bias starts at 0.
    """

    absorbs_leaky = True

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

    def _forward(self, x, training, negative_slope=1):
        return dense_forward(x, self.params["weight"], self.params.get("bias"), negative_slope)

    def _backward(self, grad_output, cache, need):
        grad_input, grad_weight, grad_bias = dense_backward(grad_output, cache, need)
        if need.params:
            self._accumulate("weight", grad_weight, need)
            self._accumulate("bias", grad_bias, need)
        return grad_input
