"""Pooling and upsampling: images of another size, without parameters."""

import math

import numpy as np

from minigan.errors import InputError
from minigan.kernels import pooling
from minigan.layers.base import Layer, pair
from minigan.layers.conv import conv2d_output_size


def average_pool2d_forward(x, kernel_size, stride):
    """y = mean of each window. x (N, H, W, C) -> out (N, OH, OW, C), cache."""
    size = conv2d_output_size(x.shape[1:3], kernel_size, stride, (0, 0))
    out = pooling.window_sum(np.ascontiguousarray(x), kernel_size, stride, size, 1 / math.prod(kernel_size))
    return out, (x.shape, kernel_size, stride)


def average_pool2d_backward(grad_output, cache):
    """A pixel gets g / (KH·KW) from every window it lies in. (N, OH, OW, C) -> grad_input (N, H, W, C)."""
    shape, kernel_size, stride = cache
    grad = np.ascontiguousarray(grad_output)
    return pooling.window_scatter(grad, shape, kernel_size, stride, 1 / math.prod(kernel_size))


def max_pool2d_forward(x, kernel_size, stride):
    """y = largest entry of each window. x (N, H, W, C) -> out (N, OH, OW, C), cache."""
    size = conv2d_output_size(x.shape[1:3], kernel_size, stride, (0, 0))
    out, winner = pooling.window_max(np.ascontiguousarray(x), kernel_size, stride, size)
    return out, (winner, x.shape, kernel_size, stride)


def max_pool2d_backward(grad_output, cache):
    """g goes to the winner of each window, the first one on a tie. (N, OH, OW, C) -> grad_input (N, H, W, C)."""
    return pooling.window_max_backward(np.ascontiguousarray(grad_output), *cache)


def upsample_nearest2d_forward(x, scale):
    """y[n, h, w, c] = x[n, ⌊h/SH⌋, ⌊w/SW⌋, c]: a pixel becomes a block. -> out (N, H·SH, W·SW, C), cache."""
    n, h, w, c = x.shape
    shape = (n, h * scale[0], w * scale[1], c)
    return pooling.window_scatter(np.ascontiguousarray(x), shape, scale, scale, 1), (scale, (h, w))


def upsample_nearest2d_backward(grad_output, cache):
    """∂L/∂x = the sum of g over each pixel's block. grad_output (N, H·SH, W·SW, C) -> grad_input (N, H, W, C)."""
    scale, size = cache
    return pooling.window_sum(np.ascontiguousarray(grad_output), scale, scale, size, 1)


class _Pool2D(Layer):
    """What the two pooling layers share: windows of kernel_size, `stride` apart (the kernel's size unless given)."""

    def __init__(self, kernel_size, stride=None):
        super().__init__()
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride, 1)

    def __repr__(self):
        return f"{type(self).__name__}({self.kernel_size}, stride={self.stride})"

    def output_shape(self, input_shape):
        size = conv2d_output_size(input_shape[:2], self.kernel_size, self.stride, (0, 0))
        if min(size) < 1:
            raise InputError(f"{self!r}: pictures of {tuple(input_shape[:2])} pixels are smaller than the window.")
        return (*size, input_shape[2])

    def _check_input(self, x):
        self._check_features(x, 4, x.shape[-1], "(N, H, W, C)")
        self.output_shape(x.shape[1:])


class AveragePool2D(_Pool2D):
    """The mean of each window: (N, H, W, C) -> (N, OH, OW, C). kernel_size and stride: an int or (height, width)."""

    def _forward(self, x, training):
        return average_pool2d_forward(x, self.kernel_size, self.stride)

    def _backward(self, grad_output, cache, need):
        return average_pool2d_backward(grad_output, cache)


class MaxPool2D(_Pool2D):
    """The largest entry of each window: (N, H, W, C) -> (N, OH, OW, C). kernel_size and stride: an int or pair."""

    def _forward(self, x, training):
        return max_pool2d_forward(x, self.kernel_size, self.stride)

    def _backward(self, grad_output, cache, need):
        return max_pool2d_backward(grad_output, cache)


class UpsampleNearest2D(Layer):
    """Each pixel repeated scale times in both directions: (N, H, W, C) -> (N, H·SH, W·SW, C). scale: an int or pair."""

    def __init__(self, scale=2):
        super().__init__()
        self.scale = pair("UpsampleNearest2D", "scale", scale, 1)

    def __repr__(self):
        return f"UpsampleNearest2D({self.scale})"

    def output_shape(self, input_shape):
        return (input_shape[0] * self.scale[0], input_shape[1] * self.scale[1], input_shape[2])

    def _check_input(self, x):
        self._check_features(x, 4, x.shape[-1], "(N, H, W, C)")

    def _forward(self, x, training):
        return upsample_nearest2d_forward(x, self.scale)

    def _backward(self, grad_output, cache, need):
        return upsample_nearest2d_backward(grad_output, cache)
