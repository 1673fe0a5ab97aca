"""The largest entry of each window of a picture, and the way back to where it was."""

import numpy as np

from minigan.kernels.im2col import output_size_of
from minigan.kernels.jit import kernel, unsigned
from minigan.kernels.parallel import memory, threads


def max_pool2d_forward(x, kernel_size, stride):
    n, h, w, c = x.shape
    size = output_size_of((h, w), kernel_size, stride, (0, 0))
    y, winner = memory.empty((n, *size, c), x.dtype), memory.empty((n, *size, c), np.int32)
    arrays = (np.ascontiguousarray(x).reshape(-1), y.reshape(-1), winner.reshape(-1))
    threads.run(_max, n, x.size + y.size, *arrays, *unsigned(h, w, c, *kernel_size, *stride, *size))
    return y, (winner, x.shape, kernel_size, stride)


def max_pool2d_backward(grad_output, cache, *needed):
    winner, shape, kernel_size, stride = cache
    grad = memory.empty(shape, grad_output.dtype)
    arrays = (np.ascontiguousarray(grad_output).reshape(-1), winner.reshape(-1), grad.reshape(-1))
    sizes = unsigned(*shape[1:], *kernel_size, *stride, *winner.shape[1:3])
    threads.run(_max_backward, len(grad), grad.size + winner.size, *arrays, *sizes)
    return grad


max_pool2d = max_pool2d_forward, max_pool2d_backward  # of the formula's own cache, so that its tangent fits


@kernel
def _max(start, stop, x, y, winner, h, w, c, kh, kw, sh, sw, oh, ow):
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
def _max_backward(start, stop, grad_output, winner, grad, h, w, c, kh, kw, sh, sw, oh, ow):
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
