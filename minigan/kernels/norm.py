"""Batch normalisation and the (leaky) ReLU after it, in two passes over memory each way.

x (P, M, C): P parts of a batch, normalised apart, M rows of C channels each. a and negative_slope as in pointwise.py.
The rows of a part are walked in chunks that stay in the cache, so that the mean and the squared deviations of a chunk
cost one reading of memory; chunks are merged in float64 (Chan, Golub and LeVeque 1983, equation 2.1), which does not
cancel however far the mean is from zero.
"""

import numpy as np

from minigan.kernels import memory, threads
from minigan.kernels.jit import kernel
from minigan.kernels.leaky import activated, passed_back
from minigan.kernels.pointwise import CHUNK, add_bias_plain, chunks, leaky_backward_plain


def moments(x):
    """-> mean (P, C), biased variance (P, C), both float64."""
    parts, rows, channels = x.shape
    count = chunks(rows)
    mean, square = np.zeros((2, parts * count, channels), x.dtype)
    threads.run(_moments, len(mean), 2 * x.size, x, mean, square, CHUNK)
    sizes = np.minimum(CHUNK, rows - CHUNK * np.arange(count)).astype(np.float64)[:, None]
    chunk_mean = mean.reshape(parts, count, channels).astype(np.float64)
    total_mean = (sizes * chunk_mean).sum(axis=1) / rows
    between = (sizes * (chunk_mean - total_mean[:, None]) ** 2).sum(axis=1)
    within = square.reshape(parts, count, channels).sum(axis=1, dtype=np.float64)
    var = (within + between) / rows
    if not np.isfinite(var).all():  # a float32 cannot hold the squares of numbers beyond 1e19
        return moments_plain(x)
    return total_mean, var


def normalise(x, mean, scale, beta, negative_slope):
    """-> a((x - mean) · scale + beta), mean and scale (P, C), beta (C,), all of x's dtype."""
    out = memory.empty(x.shape, x.dtype)
    parts, rows, _ = x.shape
    slope = x.dtype.type(negative_slope)
    threads.run(_normalise, parts * rows, 2 * x.size, x, mean, scale, beta, out, slope)
    return out


def normalise_sums(grad_output, out, x, mean, inv_std, negative_slope):
    """-> Σ g and Σ g x̂ over the rows, each (P, C) float64, with g = grad_output · a' and x̂ = (x - mean) · inv_std."""
    parts, rows, channels = x.shape
    count = chunks(rows)
    sums, products = np.zeros((2, parts * count, channels), x.dtype)
    slope = x.dtype.type(negative_slope)
    threads.run(
        _normalise_sums, len(sums), 3 * x.size, grad_output, out, x, mean, inv_std, sums, products, slope, CHUNK
    )
    sums, products = (part.reshape(parts, count, channels).sum(axis=1, dtype=np.float64) for part in (sums, products))
    return sums, products


def normalise_backward(grad_output, out, x, mean, inv_std, gamma, mean_grad, mean_product, negative_slope):
    """-> γ · inv_std · (g - mean_grad - x̂ · mean_product), shaped like x; the means (P, C), gamma (C,)."""
    grad = memory.empty(x.shape, x.dtype)
    parts, rows, _ = x.shape
    slope = x.dtype.type(negative_slope)
    arrays = (grad_output, out, x, mean, inv_std, gamma, mean_grad, mean_product, grad)
    threads.run(_normalise_backward, parts * rows, 4 * x.size, *arrays, slope)
    return grad


@kernel
def _moments(start, stop, x, mean, square, size):
    _, rows, channels = x.shape
    count = len(mean) // len(x)
    for chunk in range(start, stop):
        part = chunk // count
        first = (chunk % count) * size
        last = min(rows, first + size)
        for row in range(first, last):
            for c in range(channels):
                mean[chunk, c] += x[part, row, c]
        for c in range(channels):
            mean[chunk, c] /= last - first
        for row in range(first, last):
            for c in range(channels):
                deviation = x[part, row, c] - mean[chunk, c]
                square[chunk, c] += deviation * deviation


@kernel
def _normalise(start, stop, x, mean, scale, beta, out, slope):
    _, rows, channels = x.shape
    for line in range(start, stop):
        part, row = line // rows, line % rows
        for c in range(channels):
            y = (x[part, row, c] - mean[part, c]) * scale[part, c] + beta[c]
            out[part, row, c] = activated(y, slope)


@kernel
def _normalise_sums(start, stop, grad_output, out, x, mean, inv_std, sums, products, slope, size):
    _, rows, channels = x.shape
    count = len(sums) // len(x)
    for chunk in range(start, stop):
        part = chunk // count
        first = (chunk % count) * size
        for row in range(first, min(rows, first + size)):
            for c in range(channels):
                g = passed_back(grad_output[part, row, c], out[part, row, c], slope)
                sums[chunk, c] += g
                products[chunk, c] += g * ((x[part, row, c] - mean[part, c]) * inv_std[part, c])


@kernel
def _normalise_backward(start, stop, grad_output, out, x, mean, inv_std, gamma, mean_grad, mean_product, grad, slope):
    _, rows, channels = x.shape
    for line in range(start, stop):
        part, row = line // rows, line % rows
        for c in range(channels):
            g = passed_back(grad_output[part, row, c], out[part, row, c], slope)
            x_hat = (x[part, row, c] - mean[part, c]) * inv_std[part, c]
            grad[part, row, c] = gamma[c] * inv_std[part, c] * (g - mean_grad[part, c] - x_hat * mean_product[part, c])


def moments_plain(x):
    """The twin of moments."""
    x = x.astype(np.float64)
    return x.mean(axis=1), x.var(axis=1)


def normalise_plain(x, mean, scale, beta, negative_slope):
    """The twin of normalise."""
    out = (x - mean[:, None]) * scale[:, None]
    add_bias_plain(out, beta, negative_slope)
    return out


def normalise_sums_plain(grad_output, out, x, mean, inv_std, negative_slope):
    """The twin of normalise_sums."""
    g = leaky_backward_plain(grad_output, out, negative_slope).astype(np.float64)
    return g.sum(axis=1), (g * (x - mean[:, None]) * inv_std[:, None]).sum(axis=1)


def normalise_backward_plain(grad_output, out, x, mean, inv_std, gamma, mean_grad, mean_product, negative_slope):
    """The twin of normalise_backward."""
    g = leaky_backward_plain(grad_output, out, negative_slope)
    x_hat = (x - mean[:, None]) * inv_std[:, None]
    return gamma * inv_std[:, None] * (g - mean_grad[:, None] - x_hat * mean_product[:, None])
