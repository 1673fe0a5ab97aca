"""Pooling and upsampling: images of another size, without parameters."""

import numpy as np

from minigan import kernels
from minigan.base.errors import InputError
from minigan.layers.base import Layer, pair
from minigan.layers.conv import conv2d_output_size
from minigan.layers.formula import Formula


def pool_windows(x, kernel_size, stride):
    """-> (N, OH, OW, C, KH, KW), a view: [n, h, w, c, i, j] is x[n, h·SH + i, w·SW + j, c]."""
    return np.lib.stride_tricks.sliding_window_view(x, kernel_size, axis=(1, 2))[:, :: stride[0], :: stride[1]]


def average_pool2d_forward(x, kernel_size, stride):
    """y = mean of each window. x (N, H, W, C) -> out (N, OH, OW, C), cache."""
    return pool_windows(x, kernel_size, stride).mean(axis=(4, 5)), (x.shape, kernel_size, stride)


def average_pool2d_backward(grad_output, cache):
    """A pixel gets g / (KH·KW) from every window it lies in. (N, OH, OW, C) -> grad_input (N, H, W, C)."""
    shape, (KH, KW), (SH, SW) = cache
    share, (OH, OW) = grad_output / (KH * KW), grad_output.shape[1:3]
    grad_input = np.zeros(shape, grad_output.dtype)
    for i, j in np.ndindex(KH, KW):
        grad_input[:, i : i + SH * OH : SH, j : j + SW * OW : SW] += share
    return grad_input


def average_pool2d_jvp(t, cache):
    """J t = the mean of each window of t."""
    _, kernel_size, stride = cache
    return average_pool2d_forward(t, kernel_size, stride)[0]


def max_pool2d_forward(x, kernel_size, stride):
    """y = largest entry of each window. x (N, H, W, C) -> out (N, OH, OW, C), cache.

    The cache holds which entry of the window that was, counted row by row (N, OH, OW, C); of equal ones the first.
    """
    windows = pool_windows(x, kernel_size, stride)
    entries = windows.reshape(*windows.shape[:4], -1)
    winner = entries.argmax(axis=4)
    out = np.take_along_axis(entries, winner[..., None], axis=4)[..., 0]
    return out, (winner, x.shape, kernel_size, stride)


def max_pool2d_backward(grad_output, cache):
    """g goes to the winner of each window. (N, OH, OW, C) -> grad_input (N, H, W, C)."""
    winner, shape, (_, KW), (SH, SW) = cache
    n, h, w, c = np.indices(winner.shape, sparse=True)
    grad_input = np.zeros(shape, grad_output.dtype)
    np.add.at(grad_input, (n, h * SH + winner // KW, w * SW + winner % KW, c), grad_output)
    return grad_input


def max_pool2d_jvp(t, cache):
    """J t: of each window, t at the place of the entry that won."""
    winner, _, (_, KW), (SH, SW) = cache
    n, h, w, c = np.indices(winner.shape, sparse=True)
    return t[n, h * SH + winner // KW, w * SW + winner % KW, c]


def upsample_nearest2d_forward(x, scale):
    """y[n, h, w, c] = x[n, ⌊h/SH⌋, ⌊w/SW⌋, c]: a pixel becomes a block. -> out (N, H·SH, W·SW, C), cache."""
    return x.repeat(scale[0], axis=1).repeat(scale[1], axis=2), scale


def upsample_nearest2d_backward(grad_output, cache):
    """∂L/∂x = the sum of g over each pixel's block. grad_output (N, H·SH, W·SW, C) -> grad_input (N, H, W, C)."""
    (N, OH, OW, C), (SH, SW) = grad_output.shape, cache
    return grad_output.reshape(N, OH // SH, SH, OW // SW, SW, C).sum(axis=(2, 4))


def upsample_nearest2d_jvp(t, cache):
    """J t: t repeated likewise."""
    return upsample_nearest2d_forward(t, cache)[0]


average_pool2d = Formula(average_pool2d_forward, average_pool2d_backward, average_pool2d_jvp)
max_pool2d = Formula(max_pool2d_forward, max_pool2d_backward, max_pool2d_jvp, fast=kernels.max_pool2d)
upsample_nearest2d = Formula(upsample_nearest2d_forward, upsample_nearest2d_backward, upsample_nearest2d_jvp)


class _Pool2D(Layer):
    """What the two pooling layers share: windows of kernel_size, `stride` apart (the kernel's size unless given)."""

    input_axes = (4,)
    settings = ("kernel_size", "stride")
    shown = ("kernel_size", "stride=")

    def __init__(self, kernel_size, stride=None):
        super().__init__()
        name = type(self).__name__
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = self.kernel_size if stride is None else pair(name, "stride", stride, 1)

    def output_shape(self, input_shape):
        size = conv2d_output_size(input_shape[:2], self.kernel_size, self.stride, (0, 0))
        if min(size) < 1:
            raise InputError(f"{self!r}: pictures of {tuple(input_shape[:2])} pixels are smaller than the window.")
        return (*size, input_shape[2])


class AveragePool2D(_Pool2D):
    """The mean of each window: (N, H, W, C) -> (N, OH, OW, C). kernel_size and stride: an int or (height, width)."""

    formula = average_pool2d


class MaxPool2D(_Pool2D):
    """The largest entry of each window: (N, H, W, C) -> (N, OH, OW, C). kernel_size and stride: an int or pair."""

    formula = max_pool2d


class UpsampleNearest2D(Layer):
    """Each pixel repeated scale times in both directions: (N, H, W, C) -> (N, H·SH, W·SW, C). scale: an int or pair."""

    formula = upsample_nearest2d
    settings = shown = ("scale",)
    input_axes = (4,)

    def __init__(self, scale=2):
        super().__init__()
        self.scale = pair("UpsampleNearest2D", "scale", scale, 1)

    def output_shape(self, input_shape):
        return (input_shape[0] * self.scale[0], input_shape[1] * self.scale[1], input_shape[2])
