"""Convolution and transposed convolution by matrix products (lowering.py), and their gradients."""

import numpy as np

from minigan.kernels import lowering, pointwise


def _sizes(x, weight, stride, padding):
    axes = zip(x.shape[1:3], weight.shape[:2], stride, padding, strict=True)
    return tuple((s + 2 * p - k) // d + 1 for s, k, d, p in axes)


def conv2d_forward(x, weight, bias, stride, padding):
    algorithm = lowering.lowering(x.shape, weight.shape, stride, padding, _sizes(x, weight, stride, padding), x.dtype)
    x, u = np.ascontiguousarray(x), algorithm.weight_side(weight)
    return lowering.convolve(algorithm, x, u, bias), (algorithm, x, u)


def conv2d_backward(grad_output, cache, need_params=True, need_input=True):
    algorithm, x, u = cache
    grad = np.ascontiguousarray(grad_output)
    grad_input, grad_weight = lowering.convolve_backward(algorithm, grad, x, u, need_params, need_input)
    return grad_input, grad_weight, _grad_bias(grad) if need_params else None


def conv_transpose2d_forward(x, weight, bias, stride, padding, output_padding):
    axes = zip(x.shape[1:3], weight.shape[:2], stride, padding, output_padding, strict=True)
    shape = (len(x), *((s - 1) * d - 2 * p + k + extra for s, k, d, p, extra in axes), weight.shape[2])
    algorithm = lowering.lowering(shape, weight.shape, stride, padding, x.shape[1:3], x.dtype)
    x, u = np.ascontiguousarray(x), algorithm.weight_side(weight)
    return lowering.convolve_transposed(algorithm, x, u, bias), (algorithm, x, u)


def conv_transpose2d_backward(grad_output, cache, need_params=True, need_input=True):
    algorithm, x, u = cache
    grad = np.ascontiguousarray(grad_output)
    grad_input, grad_weight = lowering.convolve_transposed_backward(algorithm, grad, x, u, need_params, need_input)
    return grad_input, grad_weight, _grad_bias(grad) if need_params else None


def _grad_bias(grad):
    return pointwise.column_sums(grad.reshape(-1, grad.shape[3]))


def conv2d_jvp(t, cache):
    algorithm, _, u = cache
    return lowering.convolve(algorithm, np.ascontiguousarray(t), u, 0)


def conv2d_jvp_backward(s, t, cache):
    algorithm, _, u = cache
    s, t = np.ascontiguousarray(s), np.ascontiguousarray(t)
    return *lowering.convolve_backward(algorithm, s, t, u, True, False), None


conv2d = conv2d_forward, conv2d_backward, conv2d_jvp, conv2d_jvp_backward
conv_transpose2d = conv_transpose2d_forward, conv_transpose2d_backward
