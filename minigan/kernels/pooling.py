"""Windows of a picture, summed or searched for their largest entry, and the two ways back.

x (N, H, W, C), windows (KH, KW) that lie `stride` (SH, SW) apart and wholly inside, y (N, OH, OW, C). The sum is linear
and `scatter` is its transpose: averaging is sum with a factor, its gradient scatter with the same factor, and nearest
upsampling is scatter with windows that touch, whose gradient is the sum.
"""

import numpy as np

from minigan.kernels import memory, threads
from minigan.kernels.jit import kernel


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


def _windows(x, kernel_size, stride):
    """View (N, OH, OW, C, KH, KW) of the windows."""
    view = np.lib.stride_tricks.sliding_window_view(x, kernel_size, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1]]


def window_sum_plain(x, kernel_size, stride, output_size, factor):
    """The twin of window_sum."""
    return _windows(x, kernel_size, stride).sum(axis=(4, 5)) * x.dtype.type(factor)


def window_scatter_plain(y, image_shape, kernel_size, stride, factor):
    """The twin of window_scatter."""
    x, (sh, sw), (oh, ow) = np.zeros(image_shape, y.dtype), stride, y.shape[1:3]
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            x[:, i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw] += y.dtype.type(factor) * y
    return x


def window_max_plain(x, kernel_size, stride, output_size):
    """The twin of window_max."""
    windows = _windows(x, kernel_size, stride)
    flat = windows.reshape(*windows.shape[:4], -1)
    winner = flat.argmax(axis=4)
    return np.take_along_axis(flat, winner[..., None], axis=4)[..., 0], winner


def window_max_backward_plain(grad_output, winner, image_shape, kernel_size, stride):
    """The twin of window_max_backward."""
    grad, (sh, sw), kw = np.zeros(image_shape, grad_output.dtype), stride, kernel_size[1]
    n, oh, ow, c = np.indices(winner.shape, sparse=True)
    np.add.at(grad, (n, oh * sh + winner // kw, ow * sw + winner % kw, c), grad_output)
    return grad
