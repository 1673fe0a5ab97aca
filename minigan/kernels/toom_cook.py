"""Convolution with fewer multiplications, after Toom and Cook (Winograd 1980; Lavin and Gray 2016 for networks).

In one dimension m outputs of a filter with r taps, y[o] = Σ_a w[a] x[o + a], are made of the coefficients of a product
of polynomials. Its values at n = m + r - 1 points fix such a product, so n multiplications do instead of m·r:

    y = A [(G w) ⊙ (B x)],   exact because   Σ_ξ A[o, ξ] G[ξ, a] B[ξ, i] = 1 if i = o + a else 0.

G evaluates the filter at the points, B is what the condition leaves, and A puts the values together. The points 0, 1,
-1 and ∞ keep all entries small (0, ±½, ±1), so that float32 loses nothing to speak of; further points would.

A line of outputs is cut into segments of up to 5 - r outputs, whose matrices are stacked: that is still one formula of
the same form. A stride s is undone by sorting the padded input and the filter into s phases, b = 0 … s-1, whose
filters have r = ⌈K/s⌉ taps each; phases add up like channels. In two dimensions both axes are transformed, and what
remains for every pair of points (ξ, η) is a matrix product over phases and channels:

    V = B x Bᵀ  (ξη, N, s·s·C)      U = G w Gᵀ  (ξη, s·s·C, O)      M = V U  (ξη, N, O)      y = A M Aᵀ  (N, OH, OW, O)

Segments share the points, so U is needed once a pair of points and the products are as tall as there are segments.
Every step is linear in x and in w, so each gradient is the transposed step: dM = Aᵀ dy A, dV = dM Uᵀ, dx = Bᵀ dV B,
dU = Vᵀ dM, dw = Gᵀ dU G; and the transposed convolution is dx by itself.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minigan.kernels import memory, threads
from minigan.kernels.jit import kernel

POINTS = (0.0, 1.0, -1.0, np.inf)


class Line(NamedTuple):
    """The stacked matrices of one axis, rows sorted by point; L = outputs + taps - 1 samples of each phase."""

    a: np.ndarray  # (P, outputs), A transposed
    b: np.ndarray  # (P, L)
    g: np.ndarray  # (points, taps), one row a point
    point: np.ndarray  # (P,), which point a row belongs to


@lru_cache(maxsize=64)
def line(outputs, taps):
    """The matrices for a line of `outputs` outputs and a filter of `taps` taps, 2 or 3."""
    longest = len(POINTS) + 1 - taps
    count = -(-outputs // longest)
    lengths = [outputs // count + (i < outputs % count) for i in range(count)]
    rows, first = [], 0
    for length in lengths:
        chosen = [i for i in range(len(POINTS)) if i != 2] if length + taps - 1 == 3 else range(length + taps - 1)
        a, b, g = _segment(length, taps, [POINTS[i] for i in chosen])
        for i, a_row, b_row, g_row in zip(chosen, a.T, b, g, strict=True):
            wide_a, wide_b = np.zeros(outputs), np.zeros(outputs + taps - 1)
            wide_a[first : first + length] = a_row
            wide_b[first : first + length + taps - 1] = b_row
            rows.append((i, wide_a, wide_b, g_row))
        first += length
    rows.sort(key=lambda row: row[0])
    point = np.array([row[0] for row in rows])
    used = np.unique(point)
    g = np.array([next(row[3] for row in rows if row[0] == i) for i in used])
    return Line(np.array([r[1] for r in rows]), np.array([r[2] for r in rows]), g, np.searchsorted(used, point))


def _segment(outputs, taps, points):
    """A (outputs, n), B (n, n), G (n, taps) of a segment: A and G hold powers of the points, B meets the condition."""
    n = len(points)

    def powers(count):
        return np.array([[0.0] * (count - 1) + [1.0] if np.isinf(p) else [p**k for k in range(count)] for p in points])

    a, g = powers(outputs).T, powers(taps)
    products = np.einsum("ox,xt->otx", a, g).reshape(outputs * taps, n)
    wanted = np.zeros((outputs, taps, n))
    for o in range(outputs):
        for t in range(taps):
            wanted[o, t, o + t] = 1
    b = np.linalg.lstsq(products, wanted.reshape(outputs * taps, n), rcond=None)[0]
    return a, np.rint(2 * b) / 2, g  # the entries are halves


class Plan(NamedTuple):
    """The two axes of one convolution together.

    slot (P_h, P_w): where the product of rows (i, j) lies among the ξη, so that a pair of points is one block; borders:
    the blocks' first and last slots; the matrices as lists of their non-zero entries, see _sparse.
    """

    g: tuple
    borders: np.ndarray
    slot: np.ndarray
    a: tuple
    b: tuple
    a_transposed: tuple
    b_transposed: tuple


@lru_cache(maxsize=64)
def plan(kernel_size, stride, output_size, dtype):
    """The Plan of a convolution with that kernel, stride and output size (pairs), its matrices in `dtype`."""
    lines = [line(o, -(-k // s)) for o, k, s in zip(output_size, kernel_size, stride, strict=True)]
    height, width = lines
    pair = height.point[:, None] * len(width.g) + width.point[None, :]
    slot = np.empty(pair.size, np.int64)
    slot[np.argsort(pair, axis=None, kind="stable")] = np.arange(pair.size)
    borders = np.searchsorted(np.sort(pair, axis=None), np.arange(len(height.g) * len(width.g) + 1))
    return Plan(
        g=tuple(axis.g.astype(dtype) for axis in lines),
        borders=borders,
        slot=slot.reshape(pair.shape),
        a=tuple(_sparse(axis.a, dtype) for axis in lines),
        b=tuple(_sparse(axis.b, dtype) for axis in lines),
        a_transposed=tuple(_sparse(axis.a.T, dtype) for axis in lines),
        b_transposed=tuple(_sparse(axis.b.T, dtype) for axis in lines),
    )


def _sparse(matrix, dtype):
    """-> (count (R,), column (R, Z), value (R, Z)): each row's non-zero entries, Z the most that a row has."""
    count = (matrix != 0).sum(axis=1)
    column = np.argsort(matrix == 0, axis=1, kind="stable")[:, : max(1, count.max())]
    return count, column, np.take_along_axis(matrix, column, axis=1).astype(dtype)


def spread_input(x, p, stride, padding):
    """V = B x Bᵀ: x (N, H, W, C) -> (ξη, N, SH·SW·C)."""
    return _spread(x, p, p.b, stride, padding)


def spread_output(y, p):
    """Aᵀ y A, the gradient of gather_output: y (N, OH, OW, O) -> (ξη, N, O)."""
    return _spread(y, p, p.a, (1, 1), (0, 0))


def gather_input(v, p, shape, stride, padding, bias):
    """Bᵀ v B + bias, the gradient of spread_input: v (ξη, N, SH·SW·C) -> (N, H, W, C) = shape; bias (C,)."""
    return _gather(v, p, p.b_transposed, shape, stride, padding, bias, 1)


def gather_output(m, p, shape, bias, negative_slope):
    """A m Aᵀ + bias, then the leaky ReLU: m (ξη, N, O) -> (N, OH, OW, O) = shape; bias (O,)."""
    return _gather(m, p, p.a_transposed, shape, (1, 1), (0, 0), bias, negative_slope)


def spread_weight(weight, p, stride):
    """U = G w Gᵀ: weight (KH, KW, C, O) -> (points, SH·SW·C, O), missing taps being zero."""
    (kh, kw, c, o), (sh, sw) = weight.shape, stride
    (g_h, g_w) = p.g
    taps = np.zeros((g_h.shape[1] * sh, g_w.shape[1] * sw, c, o), weight.dtype)
    taps[:kh, :kw] = weight
    phases = taps.reshape(g_h.shape[1], sh, g_w.shape[1], sw * c * o)
    half = np.tensordot(g_w, phases, (1, 2))  # (η, a, SH, SW·C·O)
    full = np.tensordot(g_h, half, (1, 1))  # (ξ, η, SH, SW·C·O)
    return full.reshape(len(g_h) * len(g_w), sh * sw * c, o)


def gather_weight(u, p, shape, stride):
    """Gᵀ u G, the gradient of spread_weight: u (points, SH·SW·C, O) -> (KH, KW, C, O) = shape."""
    (kh, kw, c, o), (sh, sw) = shape, stride
    (g_h, g_w) = p.g
    full = u.reshape(len(g_h), len(g_w), sh, sw * c * o)
    half = np.tensordot(g_h, full, (0, 0))  # (a_h, η, SH, SW·C·O)
    taps = np.tensordot(half, g_w, (1, 0))  # (a_h, SH, SW·C·O, a_w)
    taps = np.moveaxis(taps, 3, 2).reshape(g_h.shape[1] * sh, g_w.shape[1] * sw, c, o)
    return np.ascontiguousarray(taps[:kh, :kw])


def _spread(x, p, matrices, stride, padding):
    n, h, w, c = x.shape
    out = memory.empty((p.slot.size, n, stride[0] * stride[1] * c), x.dtype)
    lines, parts = x.reshape(n, h, w * c), out.reshape(p.slot.size, n, stride[0], stride[1] * c)
    threads.run(_spread_kernel, n, 2 * out.size, lines, parts, p.slot, *matrices[0], *matrices[1], c, *padding)
    return out


def _gather(v, p, matrices, shape, stride, padding, bias, negative_slope):
    out, slope = memory.empty(shape, v.dtype), v.dtype.type(negative_slope)
    parts = v.reshape(p.slot.size, shape[0], stride[0], stride[1] * shape[3])
    threads.run(
        _gather_kernel, shape[0], 2 * v.size, parts, out, p.slot, *matrices[0], *matrices[1], *padding, bias, slope
    )
    return out


# All inner loops run over rows got by whole-number indices: a slice would cost as much as the loop.


@kernel
def _spread_kernel(start, stop, x, out, slot, count_h, column_h, value_h, count_w, column_w, value_w, c, ph, pw):
    """out[slot[i, j], n, b] = Σ_t value_h[i, t] Σ_u value_w[j, u] x[n, t·SH + b - PH, phase u of the padded line]."""
    height, wc = x.shape[1], x.shape[2]
    sh, run = out.shape[2], out.shape[3]
    samples_h, samples_w = column_h.max() + 1, column_w.max() + 1
    half = np.zeros((sh, len(count_w), samples_h, run), x.dtype)
    line = np.zeros((samples_w, run), x.dtype)
    padded = line.reshape(-1)
    last = min(len(padded), pw * c + wc)
    for n in range(start, stop):
        for h in range(-ph, min(height, samples_h * sh - ph)):
            b, t = (h + ph) % sh, (h + ph) // sh
            if h >= 0:
                padded[pw * c : last] = x[n, h, : last - pw * c]
                for j in range(len(count_w)):
                    _combine(half[b, j, t], count_w[j], column_w[j], value_w[j], line)
        for i in range(len(count_h)):
            for j in range(len(count_w)):
                for b in range(sh):
                    _combine(out[slot[i, j], n, b], count_h[i], column_h[i], value_h[i], half[b, j])


@kernel
def _gather_kernel(
    start, stop, v, out, slot, count_h, column_h, value_h, count_w, column_w, value_w, ph, pw, bias, slope
):
    """Transposed: out[n, t·SH + b - PH, …] = a(bias + Σ_j value_w[u, j] Σ_i value_h[t, i] v[slot[i, j], n, b])."""
    _, height, width, c = out.shape
    sh, run = v.shape[2], v.shape[3]
    half = np.zeros((slot.shape[1], run), v.dtype)
    size = len(count_w) * run
    padded = np.zeros(max(size, (width + pw) * c), v.dtype)  # what no window reaches stays 0
    line = padded[:size].reshape(len(count_w), run)
    pixels = padded[: len(padded) // c * c].reshape(-1, c)
    for n in range(start, stop):
        for h in range(height):
            t, b = (h + ph) // sh, (h + ph) % sh
            if t < len(count_h):
                for j in range(len(half)):
                    _combine_slots(half[j], count_h[t], column_h[t], value_h[t], v, slot, j, n, b)
                for u in range(len(count_w)):
                    _combine(line[u], count_w[u], column_w[u], value_w[u], half)
            else:
                line[:] = 0
            for w in range(width):
                target, source = out[n, h, w], pixels[w + pw]
                for k in range(c):
                    y = source[k] + bias[k]
                    target[k] = y if y > 0 else slope * y


@kernel
def _combine(target, count, column, value, rows):
    """target = Σ_z value[z] · rows[column[z]] over the `count` entries, the first two in one go."""
    first, a = rows[column[0]], value[0]
    if count == 1:
        for k in range(len(target)):
            target[k] = a * first[k]
        return
    second, b = rows[column[1]], value[1]
    for k in range(len(target)):
        target[k] = a * first[k] + b * second[k]
    for z in range(2, count):
        further, a = rows[column[z]], value[z]
        for k in range(len(target)):
            target[k] += a * further[k]


@kernel
def _combine_slots(target, count, column, value, v, slot, j, n, b):
    """The same over the rows v[slot[column[z], j], n, b]."""
    first, a = v[slot[column[0], j], n, b], value[0]
    if count == 1:
        for k in range(len(target)):
            target[k] = a * first[k]
        return
    second, c = v[slot[column[1], j], n, b], value[1]
    for k in range(len(target)):
        target[k] = a * first[k] + c * second[k]
    for z in range(2, count):
        further, a = v[slot[column[z], j], n, b], value[z]
        for k in range(len(target)):
            target[k] += a * further[k]
