"""One pass over memory: bias and its gradient, the (leaky) ReLU, dropout.

Sums over rows are taken in chunks of CHUNK rows, a row of partial sums each, and the chunks are added in float64: this
is accurate, and the same whatever the number of threads.
"""

import numpy as np

from minigan.kernels.jit import kernel
from minigan.kernels.parallel import memory, threads

CHUNK = 128


def chunks(rows):
    """How many chunks of CHUNK rows there are."""
    return -(-rows // CHUNK)


def add_bias(out, bias):
    """out (M, C) ← out + bias, in place; bias (C,), or 0 for none."""
    if not np.isscalar(bias):
        threads.run(_add_bias, len(out), 2 * out.size, out, bias)


def add(total, x):
    """total ← total + x, in place; contiguous arrays of one shape."""
    threads.run(_add, x.size, 2 * x.size, total.reshape(-1), x.reshape(-1))


def column_sums(grad):
    """grad (M, C) -> (C,), its sums over the rows."""
    rows, channels = grad.shape
    if channels < 4:  # too few to fill a vector register: NumPy adds long columns faster
        return grad.sum(axis=0, dtype=np.float64).astype(grad.dtype)
    partial = np.zeros((chunks(rows), channels), grad.dtype)
    threads.run(_column_sums, len(partial), grad.size, grad, partial, CHUNK)
    return partial[0] if len(partial) == 1 else partial.sum(axis=0, dtype=np.float64).astype(grad.dtype)


def leaky_relu_forward(x, negative_slope):
    out = memory.empty(x.shape, x.dtype)
    flat = np.ascontiguousarray(x).reshape(-1)
    threads.run(_leaky, x.size, 2 * x.size, flat, out.reshape(-1), x.dtype.type(negative_slope))
    return out, (out, negative_slope)


def leaky_relu_backward(grad_output, cache, *needed):
    out, negative_slope = cache
    grad = memory.empty(out.shape, out.dtype)
    arrays = (np.ascontiguousarray(grad_output).reshape(-1), out.reshape(-1), grad.reshape(-1))
    threads.run(_leaky_backward, out.size, 3 * out.size, *arrays, out.dtype.type(negative_slope))
    return grad


def relu_forward(x):
    return leaky_relu_forward(x, 0)


def dropout_forward(x, kept, scale):
    return _keep(x, kept, scale), (kept, scale)


def dropout_backward(grad_output, cache, *needed):
    return _keep(grad_output, *cache)


leaky_relu = leaky_relu_forward, leaky_relu_backward, leaky_relu_backward
relu = relu_forward, leaky_relu_backward, leaky_relu_backward
dropout = dropout_forward, dropout_backward


def _keep(x, kept, scale):
    out = memory.empty(x.shape, x.dtype)
    arrays = (np.ascontiguousarray(x).reshape(-1), kept.reshape(-1), out.reshape(-1))
    threads.run(_scale_kept, x.size, 3 * x.size, *arrays, x.dtype.type(scale))
    return out


@kernel
def _add_bias(start, stop, out, bias):
    for row in range(start, stop):
        for c in range(out.shape[1]):
            out[row, c] += bias[c]


@kernel
def _add(start, stop, total, x):
    for i in range(np.uintp(start), np.uintp(stop)):
        total[i] += x[i]


@kernel
def _column_sums(start, stop, grad, partial, size):
    rows, channels = grad.shape
    for chunk in range(start, stop):
        for row in range(chunk * size, min(rows, (chunk + 1) * size)):
            for c in range(channels):
                partial[chunk, c] += grad[row, c]


@kernel
def _leaky(start, stop, x, out, slope):
    """NaN stays NaN, and with slope 0 infinity becomes 0 like every number below 0: their product, NaN, is not less."""
    for i in range(np.uintp(start), np.uintp(stop)):
        below = slope * x[i]
        out[i] = x[i] if not x[i] <= 0 else (below if below < slope else slope)


@kernel
def _leaky_backward(start, stop, grad_output, out, grad, slope):
    for i in range(np.uintp(start), np.uintp(stop)):
        g = grad_output[i]
        grad[i] = g if not out[i] <= 0 else (slope * g if slope else slope)


@kernel
def _scale_kept(start, stop, x, kept, out, scale):
    for i in range(np.uintp(start), np.uintp(stop)):
        out[i] = scale * x[i] if kept[i] else out.dtype.type(0)
