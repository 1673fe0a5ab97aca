"""Group normalisation, its gradient and the gradient of its directional derivative, each in one reading of memory.

x (N, M, C): N samples, M rows (pixels) of C channels, in `groups` equal runs of channels. A sample is normalised by
itself, so a thread takes a sample at a time: what the first loop over it has read is still in the cache for the later
ones. Everything between reading and writing is float64, which costs nothing beside the memory, and the mean is known
before the squared deviations are added up, so that nothing cancels however far the mean is from zero.

mean and inv_std (N, C) float64 hold for every channel what belongs to its group. Sums over a group are taken per
channel first, as neighbouring channels fill a vector register.
"""

import numpy as np

from minigan.kernels.jit import inlined_kernel, kernel
from minigan.kernels.parallel import memory, threads


def group_norm_forward(x, gamma, beta, groups, eps):
    samples = _samples(x)
    out = memory.empty(samples.shape, x.dtype)
    mean, inv_std = np.empty((2, len(x), x.shape[-1]))
    threads.run(_normalise, len(x), 2 * x.size, samples, gamma, beta, groups, eps, mean, inv_std, out)
    return out.reshape(x.shape), (samples, mean, inv_std, gamma, groups)


def group_norm_backward(grad_output, cache, *needed):
    samples, mean, inv_std, gamma, groups = cache
    grad = memory.empty(samples.shape, samples.dtype)
    products, sums = np.empty((2, len(samples), samples.shape[2]))
    arrays = (_samples(grad_output), samples, mean, inv_std, gamma)
    threads.run(_normalise_backward, len(samples), 3 * samples.size, *arrays, groups, products, sums, grad)
    return grad.reshape(grad_output.shape), *(total.sum(axis=0).astype(grad.dtype) for total in (products, sums))


def group_norm_jvp(t, cache):
    """The Jacobian of x̂ is a symmetric P, so J = γ P while the backward pass is Jᵀ = P γ: that with γ = 1, times γ."""
    samples, mean, inv_std, gamma, groups = cache
    moved, _, _ = group_norm_backward(t, (samples, mean, inv_std, np.ones_like(gamma), groups))
    moved *= gamma
    return moved


def group_norm_jvp_backward(s, t, cache):
    samples, mean, inv_std, gamma, groups = cache
    grad = memory.empty(samples.shape, samples.dtype)
    grad_gamma = np.empty((len(samples), samples.shape[2]))
    arrays = (_samples(s), _samples(t), samples, mean, inv_std, gamma)
    threads.run(_normalise_jvp_backward, len(samples), 4 * samples.size, *arrays, groups, grad_gamma, grad)
    return grad.reshape(s.shape), grad_gamma.sum(axis=0).astype(grad.dtype), None


group_norm = group_norm_forward, group_norm_backward, group_norm_jvp, group_norm_jvp_backward


def _samples(x):
    """x as the kernels see it, (N, pixels, C)."""
    return np.ascontiguousarray(x).reshape(len(x), -1, x.shape[-1])


@inlined_kernel
def _average(values, groups, rows):
    """values (C,), each channel's sum over the rows, becomes the mean over its group's rows and channels."""
    size = len(values) // groups
    for first in range(0, len(values), size):
        total = 0.0
        for c in range(first, first + size):
            total += values[c]
        for c in range(first, first + size):
            values[c] = total / (rows * size)


@inlined_kernel
def _add_up(a, x, mean, sums, products):
    """sums (C,) = Σ a and products (C,) = Σ a (x - mean) over the rows of one sample."""
    rows, channels = x.shape
    sums[:] = 0
    products[:] = 0
    for row in range(rows):
        for c in range(channels):
            sums[c] += a[row, c]
            products[c] += a[row, c] * (x[row, c] - mean[c])


@kernel
def _normalise(start, stop, x, gamma, beta, groups, eps, mean, inv_std, out):
    _, rows, channels = x.shape
    values = np.empty(channels)
    for n in range(start, stop):
        values[:] = 0
        for row in range(rows):
            for c in range(channels):
                values[c] += x[n, row, c]
        _average(values, groups, rows)
        mean[n] = values
        values[:] = 0
        for row in range(rows):
            for c in range(channels):
                deviation = x[n, row, c] - mean[n, c]
                values[c] += deviation * deviation
        _average(values, groups, rows)
        for c in range(channels):
            inv_std[n, c] = 1 / np.sqrt(values[c] + eps)
            values[c] = gamma[c] * inv_std[n, c]
        for row in range(rows):
            for c in range(channels):
                out[n, row, c] = (x[n, row, c] - mean[n, c]) * values[c] + beta[c]


@kernel
def _normalise_backward(start, stop, grad_output, x, mean, inv_std, gamma, groups, products, sums, grad):
    _, rows, channels = x.shape
    scale, mean_grad, mean_product = np.empty(channels), np.empty(channels), np.empty(channels)
    for n in range(start, stop):
        _add_up(grad_output[n], x[n], mean[n], sums[n], products[n])
        for c in range(channels):
            products[n, c] *= inv_std[n, c]
            mean_grad[c] = gamma[c] * sums[n, c]
            mean_product[c] = gamma[c] * products[n, c]
        _average(mean_grad, groups, rows)
        _average(mean_product, groups, rows)
        for c in range(channels):  # the fewer arrays the last loop reads, the fewer checks before it may be vectorised
            r = inv_std[n, c]
            scale[c] = r * gamma[c]
            mean_grad[c] *= r
            mean_product[c] *= r * r
        for row in range(rows):
            for c in range(channels):
                centred = scale[c] * grad_output[n, row, c] - mean_grad[c]
                grad[n, row, c] = centred - mean_product[c] * (x[n, row, c] - mean[n, c])


@kernel
def _normalise_jvp_backward(start, stop, s, t, x, mean, inv_std, gamma, groups, grad_gamma, grad):
    _, rows, channels = x.shape
    mean_h, mean_t, mean_ht = np.empty(channels), np.empty(channels), np.empty(channels)
    p, q, offset = np.empty(channels), np.empty(channels), np.empty(channels)
    of_x, of_s, of_t = np.empty(channels), np.empty(channels), np.empty(channels)
    for n in range(start, stop):
        _add_up(s[n], x[n], mean[n], mean_h, p)
        _add_up(t[n], x[n], mean[n], mean_t, q)
        mean_ht[:] = 0
        for row in range(rows):
            for c in range(channels):
                mean_ht[c] += s[n, row, c] * np.float64(t[n, row, c])
        for c in range(channels):
            p[c] *= inv_std[n, c]
            q[c] *= inv_std[n, c]
        _average(mean_t, groups, rows)
        _average(q, groups, rows)
        for c in range(channels):  # so far p, mean_h and mean_ht are a channel's sums with s in place of h
            grad_gamma[n, c] = inv_std[n, c] * (mean_ht[c] - mean_t[c] * mean_h[c] - q[c] * p[c])
            mean_h[c] *= gamma[c]
            mean_ht[c] *= gamma[c]
            p[c] *= gamma[c]
        _average(mean_h, groups, rows)
        _average(mean_ht, groups, rows)
        _average(p, groups, rows)
        for c in range(channels):  # the factors of x - mean, s and t, and what is left
            r = inv_std[n, c]
            offset[c] = r * r * (q[c] * mean_h[c] + p[c] * mean_t[c])
            of_x[c] = -r * r * r * (mean_ht[c] - mean_h[c] * mean_t[c] - 3 * p[c] * q[c])
            of_s[c] = -r * r * q[c] * gamma[c]
            of_t[c] = -r * r * p[c]
        for row in range(rows):
            for c in range(channels):
                of_both = of_s[c] * s[n, row, c] + of_t[c] * t[n, row, c] + offset[c]
                grad[n, row, c] = of_both + of_x[c] * (x[n, row, c] - mean[n, c])
