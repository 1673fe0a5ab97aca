"""Batch norm in two passes over memory each way.

x is seen as (M, C), M rows of C channels. The rows are walked in chunks that stay in the cache, so that the mean and
the squared deviations of a chunk cost one reading of memory; chunks are merged in float64 (Chan, Golub and LeVeque
1983, equation 2.1), which does not cancel however far the mean is from zero.
"""

import numpy as np

from minigan.kernels.jit import kernel
from minigan.kernels.parallel import memory, threads
from minigan.kernels.pointwise import CHUNK, chunks


def batch_norm_forward(x, gamma, beta, eps):
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[-1])
    mean, var = _statistics(rows)
    centre, inv_std = mean.astype(x.dtype), (1 / np.sqrt(var + eps)).astype(x.dtype)
    out = _affine(rows, centre, gamma * inv_std, beta)
    return out.reshape(x.shape), (mean, var, rows, centre, inv_std, gamma)


def batch_norm_backward(grad_output, cache, *needed):
    _, _, rows, mean, inv_std, gamma = cache
    g, grad = np.ascontiguousarray(grad_output).reshape(rows.shape), memory.empty(rows.shape, rows.dtype)
    sums, products = _sums(g, rows, mean, inv_std)
    means = [(total / len(rows)).astype(rows.dtype) for total in (sums, products)]
    threads.run(_normalise_backward, len(rows), 4 * rows.size, g, rows, mean, inv_std, gamma, *means, grad)
    return grad.reshape(grad_output.shape), products.astype(rows.dtype), sums.astype(rows.dtype)


def batch_norm_inference_forward(x, gamma, beta, running_mean, running_var, eps):
    rows, mean = np.ascontiguousarray(x).reshape(-1, x.shape[-1]), running_mean.astype(x.dtype)
    inv_std = (1 / np.sqrt(running_var.astype(np.float64) + eps)).astype(x.dtype)
    out = _affine(rows, mean, gamma * inv_std, beta)
    return out.reshape(x.shape), (rows, mean, inv_std, gamma)


def batch_norm_inference_backward(grad_output, cache, *needed):
    rows, mean, inv_std, gamma = cache
    g, zero = np.ascontiguousarray(grad_output).reshape(rows.shape), np.zeros_like(gamma)
    sums, products = _sums(g, rows, mean, inv_std)
    grad = _affine(g, zero, gamma * inv_std, zero)
    return grad.reshape(grad_output.shape), products.astype(rows.dtype), sums.astype(rows.dtype)


batch_norm = batch_norm_forward, batch_norm_backward
batch_norm_inference = batch_norm_inference_forward, batch_norm_inference_backward


def _statistics(x):
    """-> mean (C,), biased variance (C,), both float64."""
    rows, channels = x.shape
    count = chunks(rows)
    mean, square = np.zeros((2, count, channels), x.dtype)
    threads.run(_moments, count, 2 * x.size, x, mean, square, CHUNK)
    sizes = np.minimum(CHUNK, rows - CHUNK * np.arange(count)).astype(np.float64)[:, None]
    total_mean = (sizes * mean).sum(axis=0) / rows
    between = (sizes * (mean - total_mean) ** 2).sum(axis=0)
    var = (square.sum(axis=0, dtype=np.float64) + between) / rows
    if not np.isfinite(var).all():  # a float32 cannot hold the squares of numbers beyond 1e19
        return x.mean(axis=0, dtype=np.float64), x.var(axis=0, dtype=np.float64)
    return total_mean, var


def _affine(x, mean, scale, beta):
    """-> (x - mean) · scale + beta."""
    out = memory.empty(x.shape, x.dtype)
    threads.run(_normalise, len(x), 2 * x.size, x, mean, scale, beta, out)
    return out


def _sums(g, x, mean, inv_std):
    """-> Σ g and Σ g x̂ (C,), both float64."""
    sums, products = np.zeros((2, chunks(len(x)), x.shape[1]), x.dtype)
    threads.run(_add_up, len(sums), 3 * x.size, g, x, mean, inv_std, sums, products, CHUNK)
    return sums.sum(axis=0, dtype=np.float64), products.sum(axis=0, dtype=np.float64)


@kernel
def _moments(start, stop, x, mean, square, size):
    rows, channels = x.shape
    for chunk in range(start, stop):
        first = chunk * size
        last = min(rows, first + size)
        for row in range(first, last):
            for c in range(channels):
                mean[chunk, c] += x[row, c]
        for c in range(channels):
            mean[chunk, c] /= last - first
        for row in range(first, last):
            for c in range(channels):
                deviation = x[row, c] - mean[chunk, c]
                square[chunk, c] += deviation * deviation


@kernel
def _normalise(start, stop, x, mean, scale, beta, out):
    for row in range(start, stop):
        for c in range(x.shape[1]):
            out[row, c] = (x[row, c] - mean[c]) * scale[c] + beta[c]


@kernel
def _add_up(start, stop, g, x, mean, inv_std, sums, products, size):
    rows, channels = x.shape
    for chunk in range(start, stop):
        first = chunk * size
        for row in range(first, min(rows, first + size)):
            for c in range(channels):
                sums[chunk, c] += g[row, c]
                products[chunk, c] += g[row, c] * ((x[row, c] - mean[c]) * inv_std[c])


@kernel
def _normalise_backward(start, stop, g, x, mean, inv_std, gamma, mean_grad, mean_product, grad):
    for row in range(start, stop):
        for c in range(x.shape[1]):
            x_hat = (x[row, c] - mean[c]) * inv_std[c]
            grad[row, c] = gamma[c] * inv_std[c] * (g[row, c] - mean_grad[c] - x_hat * mean_product[c])
