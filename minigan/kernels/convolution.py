"""Convolution and transposed convolution by matrix products (lowering.py), and their gradients."""

import numpy as np

from minigan.kernels import lowering, pointwise
from minigan.kernels.im2col import INPUT, OUTPUT, output_size_of


def conv2d_forward(x, weight, bias, stride, padding):
    size = output_size_of(x.shape[1:3], weight.shape, stride, padding)
    return _forward(INPUT, x, weight, bias, (x.shape, weight.shape, stride, padding, size))


def conv_transpose2d_forward(x, weight, bias, stride, padding, output_padding):
    axes = zip(x.shape[1:3], weight.shape, stride, padding, output_padding, strict=False)
    shape = (len(x), *((s - 1) * d - 2 * p + k + extra for s, k, d, p, extra in axes), weight.shape[2])
    return _forward(OUTPUT, x, weight, bias, (shape, weight.shape, stride, padding, x.shape[1:3]))


def _forward(side, x, weight, bias, geometry):
    algorithm = lowering.lowering(*geometry, x.dtype)
    x, u = np.ascontiguousarray(x), algorithm.weight_side(weight)
    return lowering.convolve(algorithm, x, u, bias, side), (algorithm, x, u, side)


def backward(grad_output, cache, need_params=True, need_input=True):
    algorithm, x, u, side = cache
    grad = np.ascontiguousarray(grad_output)
    grad_input, grad_weight = lowering.convolve_backward(algorithm, grad, x, u, need_params, need_input, side)
    return grad_input, grad_weight, pointwise.column_sums(grad.reshape(-1, grad.shape[3])) if need_params else None


def conv2d_jvp(t, cache):
    algorithm, _, u, _ = cache
    return lowering.convolve(algorithm, np.ascontiguousarray(t), u, 0)


def conv2d_jvp_backward(s, t, cache):
    algorithm, _, u, _ = cache
    s, t = np.ascontiguousarray(s), np.ascontiguousarray(t)
    return *lowering.convolve_backward(algorithm, s, t, u, True, False), None


conv2d = conv2d_forward, backward, conv2d_jvp, conv2d_jvp_backward
conv_transpose2d = conv_transpose2d_forward, backward
