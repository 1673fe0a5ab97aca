"""Windows of a picture, summed or searched for their largest entry, and the two ways back.

x (N, H, W, C), windows (KH, KW) that lie `stride` (SH, SW) apart and wholly inside, y (N, OH, OW, C). The sum is linear
and `scatter` is its transpose: averaging is sum with a factor, its gradient scatter with the same factor, and nearest
upsampling is scatter with windows that touch, whose gradient is the sum.
"""

import math

import numpy as np

from minigan.kernels.jit import kernel
from minigan.kernels.parallel import memory, threads
from minigan.kernels.pointwise import no_curvature


def window_sum(x, kernel_size, stride, output_size, factor):
    """-> y = factor · the sum of each window."""
    (n, _, _, c), (oh, ow) = x.shape, output_size
    y = memory.empty((n, oh, ow, c), x.dtype)
    sizes = _unsigned(*x.shape[1:], *kernel_size, *stride, oh, ow)
    threads.run(_window_sum, n, x.size + y.size, x.reshape(-1), y.reshape(-1), *sizes, x.dtype.type(factor))
    return y


def window_scatter(y, image_shape, kernel_size, stride, factor):
    """-> x: each pixel gets factor · y of every window it lies in."""
    x = memory.empty(image_shape, y.dtype)
    sizes = _unsigned(*image_shape[1:], *kernel_size, *stride, *y.shape[1:3])
    threads.run(_window_scatter, len(x), x.size + y.size, y.reshape(-1), x.reshape(-1), *sizes, y.dtype.type(factor))
    return x


def window_max(x, kernel_size, stride, output_size):
    """-> y = the largest entry of each window (NaN if it holds one), and winner (N, OH, OW, C), which entry that was.

    winner counts the window's entries row by row; of equal ones the first wins.
    """
    (n, _, _, c), (oh, ow) = x.shape, output_size
    y, winner = memory.empty((n, oh, ow, c), x.dtype), memory.empty((n, oh, ow, c), np.int32)
    sizes = _unsigned(*x.shape[1:], *kernel_size, *stride, oh, ow)
    threads.run(_window_max, n, x.size + y.size, x.reshape(-1), y.reshape(-1), winner.reshape(-1), *sizes)
    return y, winner


def window_max_backward(grad_output, winner, image_shape, kernel_size, stride):
    """-> grad (N, H, W, C): what each pixel gets from the windows it has won."""
    grad = memory.empty(image_shape, grad_output.dtype)
    sizes = _unsigned(*image_shape[1:], *kernel_size, *stride, *winner.shape[1:3])
    arrays = (grad_output.reshape(-1), winner.reshape(-1), grad.reshape(-1))
    threads.run(_window_max_backward, len(grad), grad.size + winner.size, *arrays, *sizes)
    return grad


def average_pool2d_forward(x, kernel_size, stride):
    size = _sizes(x, kernel_size, stride)
    out = window_sum(np.ascontiguousarray(x), kernel_size, stride, size, 1 / math.prod(kernel_size))
    return out, (x.shape, kernel_size, stride)


def average_pool2d_backward(grad_output, cache, *needed):
    shape, kernel_size, stride = cache
    return window_scatter(np.ascontiguousarray(grad_output), shape, kernel_size, stride, 1 / math.prod(kernel_size))


def average_pool2d_jvp(t, cache):
    return average_pool2d_forward(t, *cache[1:])[0]


def max_pool2d_forward(x, kernel_size, stride):
    out, winner = window_max(np.ascontiguousarray(x), kernel_size, stride, _sizes(x, kernel_size, stride))
    return out, (winner, x.shape, kernel_size, stride)


def max_pool2d_backward(grad_output, cache, *needed):
    return window_max_backward(np.ascontiguousarray(grad_output), *cache)


def max_pool2d_jvp(t, cache):
    """Of each window, t at the place of the entry that won."""
    winner, _, kernel_size, stride = cache
    n, h, w, c = np.ogrid[tuple(map(slice, winner.shape))]
    row, column = np.divmod(winner, kernel_size[1])
    return t[n, h * stride[0] + row, w * stride[1] + column, c]


def upsample_nearest2d_forward(x, scale):
    n, h, w, c = x.shape
    shape = (n, h * scale[0], w * scale[1], c)
    return window_scatter(np.ascontiguousarray(x), shape, scale, scale, 1), scale


def upsample_nearest2d_backward(grad_output, cache, *needed):
    size = grad_output.shape[1] // cache[0], grad_output.shape[2] // cache[1]
    return window_sum(np.ascontiguousarray(grad_output), cache, cache, size, 1)


def upsample_nearest2d_jvp(t, cache):
    return upsample_nearest2d_forward(t, cache)[0]


average_pool2d = average_pool2d_forward, average_pool2d_backward, average_pool2d_jvp, no_curvature
max_pool2d = max_pool2d_forward, max_pool2d_backward, max_pool2d_jvp, no_curvature
upsample_nearest2d = upsample_nearest2d_forward, upsample_nearest2d_backward, upsample_nearest2d_jvp, no_curvature


def _sizes(x, kernel_size, stride):
    return tuple((s - k) // d + 1 for s, k, d in zip(x.shape[1:3], kernel_size, stride, strict=True))


def _unsigned(*sizes):
    return tuple(np.uintp(size) for size in sizes)


@kernel
def _window_sum(start, stop, x, y, h, w, c, kh, kw, sh, sw, oh, ow, factor):
    for n in range(np.uintp(start), np.uintp(stop)):
        for top in range(oh):
            for left in range(ow):
                target = ((n * oh + top) * ow + left) * c
                for k in range(c):
                    y[target + k] = 0
                for i in range(kh):
                    for j in range(kw):
                        source = ((n * h + top * sh + i) * w + left * sw + j) * c
                        for k in range(c):
                            y[target + k] += x[source + k]
                for k in range(c):
                    y[target + k] *= factor


@kernel
def _window_scatter(start, stop, y, x, h, w, c, kh, kw, sh, sw, oh, ow, factor):
    for n in range(np.uintp(start), np.uintp(stop)):
        for k in range(n * h * w * c, (n + np.uintp(1)) * h * w * c):
            x[k] = 0
        for top in range(oh):
            for left in range(ow):
                source = ((n * oh + top) * ow + left) * c
                for i in range(kh):
                    for j in range(kw):
                        target = ((n * h + top * sh + i) * w + left * sw + j) * c
                        for k in range(c):
                            x[target + k] += factor * y[source + k]


@kernel
def _window_max(start, stop, x, y, winner, h, w, c, kh, kw, sh, sw, oh, ow):
    for n in range(np.uintp(start), np.uintp(stop)):
        for top in range(oh):
            for left in range(ow):
                target = ((n * oh + top) * ow + left) * c
                first = ((n * h + top * sh) * w + left * sw) * c
                for k in range(c):
                    y[target + k], winner[target + k] = x[first + k], 0
                for i in range(kh):
                    for j in range(kw):
                        source = first + (i * w + j) * c
                        for k in range(c):
                            value, best = x[source + k], y[target + k]
                            if value > best or (value != value and best == best):  # the first NaN beats all
                                y[target + k], winner[target + k] = value, np.int32(i * kw + j)


@kernel
def _window_max_backward(start, stop, grad_output, winner, grad, h, w, c, kh, kw, sh, sw, oh, ow):
    for n in range(np.uintp(start), np.uintp(stop)):
        for k in range(n * h * w * c, (n + np.uintp(1)) * h * w * c):
            grad[k] = 0
        for top in range(oh):
            for left in range(ow):
                source = ((n * oh + top) * ow + left) * c
                for k in range(c):
                    won = np.uintp(winner[source + k])
                    i, j = won // kw, won % kw
                    grad[((n * h + top * sh + i) * w + left * sw + j) * c + k] += grad_output[source + k]
