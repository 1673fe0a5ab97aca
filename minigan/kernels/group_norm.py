"""Group normalisation, its gradient and the gradient of its directional derivative, each in one reading of memory.

x (N, M, C): N samples, M rows (pixels) of C channels, in `groups` equal runs of channels. A sample is normalised by
itself, so a thread takes a sample at a time: what the first loop over it has read is still in the cache for the later
ones. Everything between reading and writing is float64, which costs nothing beside the memory, and the mean is known
before the squared deviations are added up, so that nothing cancels however far the mean is from zero.

mean and inv_std (N, C) float64 hold for every channel what belongs to its group. Sums over a group are taken per
channel first, as neighbouring channels fill a vector register.
"""

import numpy as np

from minigan.kernels import memory, threads
from minigan.kernels.jit import inlined_kernel, kernel


def normalise(x, gamma, beta, groups, eps):
    """-> γ (x - mean) · inv_std + β, mean (N, C), inv_std (N, C) = 1/√(σ² + eps); gamma and beta (C,)."""
    out = memory.empty(x.shape, x.dtype)
    mean, inv_std = np.empty((2, len(x), x.shape[2]))
    threads.run(_normalise, len(x), 2 * x.size, x, gamma, beta, groups, eps, mean, inv_std, out)
    return out, mean, inv_std


def normalise_backward(grad_output, x, mean, inv_std, gamma, groups):
    """With g = grad_output, h = γ g and ⟨·⟩ the mean over a group: -> inv_std · (h - ⟨h⟩ - x̂ ⟨h x̂⟩), Σ g x̂, Σ g.

    The first is like x, the two sums over samples and rows are (C,) of x's dtype.
    """
    grad = memory.empty(x.shape, x.dtype)
    products, sums = np.empty((2, len(x), x.shape[2]))
    arrays = (grad_output, x, mean, inv_std, gamma)
    threads.run(_normalise_backward, len(x), 3 * x.size, *arrays, groups, products, sums, grad)
    return grad, products.sum(axis=0).astype(x.dtype), sums.sum(axis=0).astype(x.dtype)


def normalise_tangent_backward(s, t, x, mean, inv_std, gamma, groups):
    """With h = γ s, p = ⟨h x̂⟩ and q = ⟨t x̂⟩, ⟨·⟩ the mean over a group:

    -> -inv_std² · (x̂ (⟨h t⟩ - ⟨h⟩⟨t⟩ - 3 p q) + q (h - ⟨h⟩) + p (t - ⟨t⟩)), Σ s · inv_std · (t - ⟨t⟩ - x̂ q).

    The first is like x, the sum over samples and rows is (C,) of x's dtype.
    """
    grad = memory.empty(x.shape, x.dtype)
    grad_gamma = np.empty((len(x), x.shape[2]))
    arrays = (s, t, x, mean, inv_std, gamma)
    threads.run(_normalise_tangent_backward, len(x), 4 * x.size, *arrays, groups, grad_gamma, grad)
    return grad, grad_gamma.sum(axis=0).astype(x.dtype)


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
def _normalise_tangent_backward(start, stop, s, t, x, mean, inv_std, gamma, groups, grad_gamma, grad):
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


def _group_mean(values, groups):
    """⟨values⟩ (N, 1, C): the mean over the rows and over the channels of a group, given to each of these channels."""
    n, rows, channels = values.shape
    means = values.reshape(n, rows, groups, channels // groups).mean(axis=(1, 3))
    return np.repeat(means, channels // groups, axis=1)[:, None]


def normalise_plain(x, gamma, beta, groups, eps):
    """The twin of normalise."""
    deviation = x - (mean := _group_mean(x.astype(np.float64), groups))
    inv_std = 1 / np.sqrt(_group_mean(deviation**2, groups) + eps)
    return (gamma * deviation * inv_std + beta).astype(x.dtype), mean[:, 0], inv_std[:, 0]


def normalise_backward_plain(grad_output, x, mean, inv_std, gamma, groups):
    """The twin of normalise_backward."""
    g, inv_std = grad_output.astype(np.float64), inv_std[:, None]
    h, x_hat = gamma * g, (x - mean[:, None]) * inv_std
    grad = inv_std * (h - _group_mean(h, groups) - x_hat * _group_mean(h * x_hat, groups))
    return tuple(a.astype(x.dtype) for a in (grad, (g * x_hat).sum(axis=(0, 1)), g.sum(axis=(0, 1))))


def normalise_tangent_backward_plain(s, t, x, mean, inv_std, gamma, groups):
    """The twin of normalise_tangent_backward."""
    s, t, inv_std = s.astype(np.float64), t.astype(np.float64), inv_std[:, None]
    h, x_hat = gamma * s, (x - mean[:, None]) * inv_std
    mean_h, mean_t, mean_ht, p, q = (_group_mean(a, groups) for a in (h, t, h * t, h * x_hat, t * x_hat))
    bend = x_hat * (mean_ht - mean_h * mean_t - 3 * p * q)
    grad = -(inv_std**2) * (bend + q * (h - mean_h) + p * (t - mean_t))
    grad_gamma = (s * inv_std * (t - mean_t - x_hat * q)).sum(axis=(0, 1))
    return grad.astype(x.dtype), grad_gamma.astype(x.dtype)
