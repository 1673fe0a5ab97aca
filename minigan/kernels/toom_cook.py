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
    slot = np.empty(pair.size, np.uintp)
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
    return count, column.astype(np.uintp), np.take_along_axis(matrix, column, axis=1).astype(dtype)


def spread_input(x, p, stride, padding):
    """V = B x Bᵀ: x (N, H, W, C) -> (ξη, N, SH·SW·C)."""
    return _spread(x, p, p.b, stride, padding)


def spread_output(y, p):
    """Aᵀ y A, the gradient of gather_output: y (N, OH, OW, O) -> (ξη, N, O)."""
    return _spread(y, p, p.a, (1, 1), (0, 0))


def gather_input(v, p, out, stride, padding, bias):
    """Bᵀ v B + bias, the gradient of spread_input: v (ξη, N, SH·SW·C) into out (N, H, W, C); bias (C,)."""
    _gather(v, p, p.b_transposed, out, stride, padding, bias, 1)


def gather_output(m, p, out, bias, negative_slope):
    """A m Aᵀ + bias, then the leaky ReLU: m (ξη, N, O) into out (N, OH, OW, O); bias (O,)."""
    _gather(m, p, p.a_transposed, out, (1, 1), (0, 0), bias, negative_slope)


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
    flat = (x.reshape(-1), out.reshape(-1), p.slot, *matrices[0], *matrices[1])
    threads.run(_spread_kernel, n, 2 * out.size, *flat, *_unsigned(n, h, w * c, c, *stride, *padding))
    return out


def _gather(v, p, matrices, out, stride, padding, bias, negative_slope):
    (n, h, w, c), slope = out.shape, v.dtype.type(negative_slope)
    flat = (v.reshape(-1), out.reshape(-1), p.slot, *matrices[0], *matrices[1])
    sizes = _unsigned(n, h, w * c, c, *stride, *padding)
    threads.run(_gather_kernel, n, 2 * v.size, *flat, *sizes, bias, slope)


# The inner loops index flat arrays by unsigned numbers. A row taken as a view, or a signed index, which might be
# negative, costs more than the 2·32 multiplications of a row.


def _unsigned(*numbers):
    return tuple(np.uintp(number) for number in numbers)


@kernel
def _spread_kernel(
    start, stop, x, out, slot, count_h, column_h, value_h, count_w, column_w, value_w, n, h, wc, c, sh, sw, ph, pw
):
    """out[slot[i, j], n, b] = Σ_t value_h[i, t] Σ_u value_w[j, u] x[n, t·SH + b - PH, phase u of the padded line]."""
    run, zero, one = sw * c, np.uintp(0), np.uintp(1)
    rows_h, rows_w = np.uintp(len(count_h)), np.uintp(len(count_w))
    samples_h, samples_w = column_h.max() + one, column_w.max() + one
    line = np.zeros(samples_w * run, x.dtype)
    half = np.zeros(sh * rows_w * samples_h * run, x.dtype)  # (SH, j, t, run)
    width = min(wc, np.uintp(len(line)) - pw * c)
    for picture in range(np.uintp(start), np.uintp(stop)):
        for y in range(h):
            t, b = (y + ph) // sh, (y + ph) % sh
            if t < samples_h:
                source = (picture * h + y) * wc
                for k in range(width):
                    line[pw * c + k] = x[source + k]
                for j in range(rows_w):
                    target = ((b * rows_w + j) * samples_h + t) * run
                    _combine(half, target, line, zero, run, count_w[j], column_w[j], value_w[j], run)
        for i in range(rows_h):
            for j in range(rows_w):
                for b in range(sh):
                    target = ((slot[i, j] * n + picture) * sh + b) * run
                    base = (b * rows_w + j) * samples_h * run
                    _combine(out, target, half, base, run, count_h[i], column_h[i], value_h[i], run)


@kernel
def _gather_kernel(
    start, stop, v, out, slot, count_h, column_h, value_h, count_w, column_w, value_w, n, h, wc, c, sh, sw, ph, pw,
    bias, slope,
):  # fmt: skip
    """Transposed: out[n, t·SH + b - PH, …] = a(bias + Σ_j value_w[u, j] Σ_i value_h[t, i] v[slot[i, j], n, b])."""
    run, zero = sw * c, np.uintp(0)
    rows_h, rows_w, columns = np.uintp(len(count_h)), np.uintp(len(count_w)), np.uintp(slot.shape[1])
    line = np.zeros(max(rows_w * run, wc + pw * c), v.dtype)  # what no window reaches stays 0
    half = np.zeros(columns * run, v.dtype)  # (j, run)
    places = np.zeros(columns * columns, np.uintp)
    for picture in range(np.uintp(start), np.uintp(stop)):
        for y in range(h):
            t, b = (y + ph) // sh, (y + ph) % sh
            if t < rows_h:
                for j in range(columns):
                    for z in range(count_h[t]):
                        places[z] = ((slot[column_h[t, z], j] * n + picture) * sh + b) * run
                    _combine(half, j * run, v, zero, np.uintp(1), count_h[t], places, value_h[t], run)
                for u in range(rows_w):
                    _combine(line, u * run, half, zero, run, count_w[u], column_w[u], value_w[u], run)
            else:
                line[:] = 0
            target = (picture * h + y) * wc
            for w in range(wc // c):
                for k in range(c):
                    value = line[pw * c + w * c + k] + bias[k]
                    out[target + w * c + k] = value if value > 0 else slope * value


@kernel
def _combine(out, target, source, base, step, count, column, value, run):
    """out[target + k] = Σ_z value[z] · source[base + column[z]·step + k] for k < run, the first two terms at once."""
    first, a = base + column[0] * step, value[0]
    if count == 1:
        for k in range(run):
            out[target + k] = a * source[first + k]
        return
    second, b = base + column[1] * step, value[1]
    for k in range(run):
        out[target + k] = a * source[first + k] + b * source[second + k]
    for z in range(2, count):
        further, a = base + column[z] * step, value[z]
        for k in range(run):
            out[target + k] += a * source[further + k]
