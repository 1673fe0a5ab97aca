"""Bias and (leaky) ReLU in one pass over memory, forward and backward.

Arrays are seen as (M, C): M rows of C channels, in place where the docstring says so. The activation is
a(y) = y for y > 0, else s·y, with s = negative_slope; s = 0 is ReLU and s = 1 is no activation at all. Its derivative
follows from the sign of its output, so the input need not be kept (leaky.py).

Sums over rows are taken in chunks of CHUNK rows, a row of partial sums each, and the chunks are added in float64: this
is accurate, and the same whatever the number of threads.
"""

import numpy as np

from minigan.kernels import memory, threads
from minigan.kernels.jit import kernel
from minigan.kernels.leaky import activated, passed_back

CHUNK = 128
EXPONENTIAL = 20  # elements that could be touched in the time that an exponential takes


def chunks(rows):
    """How many chunks of CHUNK rows there are."""
    return -(-rows // CHUNK)


def add_bias(out, bias, negative_slope):
    """out (M, C) ← a(out + bias), in place; bias (C,) or None."""
    if bias is None:
        if negative_slope == 1:
            return
        bias = np.zeros(out.shape[1], out.dtype)
    slope = out.dtype.type(negative_slope)
    threads.run(_add_bias, len(out), 2 * out.size, out, bias, slope)


def add(total, x):
    """total ← total + x, in place; contiguous arrays of one shape."""
    threads.run(_add, x.size, 2 * x.size, total.reshape(-1), x.reshape(-1))


def leaky(x, negative_slope):
    """x -> a(x), a new array of the same shape."""
    out = memory.empty(x.shape, x.dtype)
    threads.run(_leaky, x.size, 2 * x.size, x.reshape(-1), out.reshape(-1), x.dtype.type(negative_slope))
    return out


def leaky_backward(grad_output, out, negative_slope):
    """grad_output · a'(x) with the derivative read off out = a(x); all of one shape."""
    grad = memory.empty(out.shape, out.dtype)
    arrays = (grad_output.reshape(-1), out.reshape(-1), grad.reshape(-1))
    threads.run(_leaky_backward, out.size, 3 * out.size, *arrays, out.dtype.type(negative_slope))
    return grad


def tanh_backward(grad_output, out):
    """grad_output · (1 - out²); contiguous arrays of one shape."""
    grad = memory.empty(out.shape, out.dtype)
    threads.run(_tanh_backward, out.size, 3 * out.size, *(a.reshape(-1) for a in (grad_output, out, grad)))
    return grad


def sigmoid(x):
    """x -> σ(x) = 1 / (1 + e⁻ˣ), x of any shape, contiguous -> a new array like it.

    For x < 0 as eˣ / (1 + eˣ): no exponential overflows and small values keep every digit.
    """
    return _map(_sigmoid, x)


def softplus(x):
    """x -> log(1 + eˣ), computed as max(x, 0) + log1p(e^(-|x|)) so that no exponential can overflow; likewise."""
    return _map(_softplus, x)


def _map(function, x):
    out = memory.empty(x.shape, x.dtype)
    threads.run(function, x.size, EXPONENTIAL * x.size, x.reshape(-1), out.reshape(-1))
    return out


def keep(x, bits, least, scale):
    """-> scale · x where bits ≥ least, 0 elsewhere; x of any shape, bits uint16 (x.size,), a new array like x."""
    out = memory.empty(x.shape, x.dtype)
    arrays = (np.ascontiguousarray(x).reshape(-1), bits, out.reshape(-1))
    threads.run(_keep, x.size, 3 * x.size, *arrays, np.uint16(least), x.dtype.type(scale))
    return out


def add_bias_backward(grad_output, out, negative_slope):
    """The mirror of add_bias: -> grad (M, C) = grad_output · a', and its sums over the rows, grad_bias (C,).

    out (M, C) is what add_bias left. Without an activation grad is grad_output itself.
    """
    rows, channels = grad_output.shape
    if channels < 4:  # too few to fill a vector register: NumPy adds long columns faster
        grad = grad_output if negative_slope == 1 else leaky_backward(grad_output, out, negative_slope)
        return grad, grad.sum(axis=0, dtype=np.float64).astype(grad.dtype)
    partial = np.zeros((chunks(rows), channels), grad_output.dtype)
    if negative_slope == 1:
        threads.run(_column_sums, len(partial), grad_output.size, grad_output, partial, CHUNK)
        grad = grad_output
    else:
        grad = memory.empty(grad_output.shape, grad_output.dtype)
        slope = grad.dtype.type(negative_slope)
        threads.run(_add_bias_backward, len(partial), 3 * grad.size, grad_output, out, grad, partial, slope, CHUNK)
    total = partial[0] if len(partial) == 1 else partial.sum(axis=0, dtype=np.float64).astype(grad.dtype)
    return grad, total


@kernel
def _add_bias(start, stop, out, bias, slope):
    for row in range(start, stop):
        for c in range(out.shape[1]):
            out[row, c] = activated(out[row, c] + bias[c], slope)


@kernel
def _add(start, stop, total, x):
    for i in range(np.uintp(start), np.uintp(stop)):
        total[i] += x[i]


@kernel
def _leaky(start, stop, x, out, slope):
    for i in range(np.uintp(start), np.uintp(stop)):
        out[i] = activated(x[i], slope)


@kernel
def _leaky_backward(start, stop, grad_output, out, grad, slope):
    for i in range(np.uintp(start), np.uintp(stop)):
        grad[i] = passed_back(grad_output[i], out[i], slope)


@kernel
def _tanh_backward(start, stop, grad_output, out, grad):
    for i in range(np.uintp(start), np.uintp(stop)):
        grad[i] = grad_output[i] * (out.dtype.type(1) - out[i] * out[i])


@kernel
def _sigmoid(start, stop, x, out):
    one = x.dtype.type(1)
    for i in range(np.uintp(start), np.uintp(stop)):
        e = np.exp(-np.abs(x[i]))
        out[i] = (one if x[i] >= 0 else e) / (one + e)


@kernel
def _softplus(start, stop, x, out):
    for i in range(np.uintp(start), np.uintp(stop)):
        out[i] = max(x[i], x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x[i])))


@kernel
def _keep(start, stop, x, bits, out, least, scale):
    for i in range(np.uintp(start), np.uintp(stop)):
        out[i] = scale * x[i] if bits[i] >= least else out.dtype.type(0)


@kernel
def _column_sums(start, stop, grad_output, partial, size):
    rows, channels = grad_output.shape
    for chunk in range(start, stop):
        for row in range(chunk * size, min(rows, (chunk + 1) * size)):
            for c in range(channels):
                partial[chunk, c] += grad_output[row, c]


@kernel
def _add_bias_backward(start, stop, grad_output, out, grad, partial, slope, size):
    rows, channels = grad_output.shape
    for chunk in range(start, stop):
        for row in range(chunk * size, min(rows, (chunk + 1) * size)):
            for c in range(channels):
                g = passed_back(grad_output[row, c], out[row, c], slope)
                grad[row, c] = g
                partial[chunk, c] += g


def add_bias_plain(out, bias, negative_slope):
    """The twin of add_bias."""
    out += bias
    out[:] = leaky_plain(out, negative_slope)


def leaky_plain(x, negative_slope):
    """The twin of leaky."""
    slope = x.dtype.type(negative_slope)
    return np.where(x <= 0, slope * x if slope else slope, x)


def leaky_backward_plain(grad_output, out, negative_slope):
    """The twin of leaky_backward."""
    slope = grad_output.dtype.type(negative_slope)
    return np.where(out <= 0, slope * grad_output if slope else slope, grad_output)


def tanh_backward_plain(grad_output, out):
    """The twin of tanh_backward."""
    return grad_output * (1 - out**2)


def sigmoid_plain(x):
    """The twin of sigmoid."""
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, x.dtype.type(1), e) / (1 + e)


def softplus_plain(x):
    """The twin of softplus."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def keep_plain(x, bits, least, scale):
    """The twin of keep."""
    return np.where(bits.reshape(x.shape) >= least, x.dtype.type(scale) * x, 0).astype(x.dtype)


def add_bias_backward_plain(grad_output, out, negative_slope):
    """The twin of add_bias_backward."""
    grad = leaky_backward_plain(grad_output, out, negative_slope)
    return grad, grad.sum(axis=0)
