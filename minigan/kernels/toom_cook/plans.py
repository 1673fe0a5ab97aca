"""Winograd convolution, of fewer multiplications (Toom, Cook; Winograd 1980; Lavin and Gray 2016 for networks).

In one dimension m outputs of a filter with r taps, y[o] = Σ_a w[a] x[o + a], are made of the coefficients of a product
of polynomials. Its values at n = m + r - 1 points ξ fix such a product, so n multiplications do instead of m·r:

    y = A [(G w) ⊙ (B x)],   exact because   Σ_ξ A[o, ξ] G[ξ, a] B[ξ, i] = 1 if i = o + a else 0.

A[o, ξ] = ξᵒ and G[ξ, a] = ξᵃ are powers, so the condition says that B undoes the evaluation of a polynomial of n
coefficients at the points: row ξ of B holds the coefficients of the polynomial that is 1 at ξ and 0 at the others. The
point ∞ stands for the highest coefficient.

A line of outputs is cut into segments, whose matrices are stacked: that is still one formula of the same form. A
stride s is undone by sorting the padded input and the filter into s phases, b = 0 … s-1, with ⌈(K - b)/s⌉ taps each;
phases add up like channels, and a phase with a tap less does without the last point. In two dimensions both axes are
transformed, and what remains for every pair of points (ξ, η) is a matrix product over phases and channels:

    V = B x Bᵀ      U = G w Gᵀ      M = V U for each (ξ, η)      y = A M Aᵀ  (N, OH, OW, O)

Segments share the points, so U is needed once a pair of points and the products are as tall as there are segments.
Every step is linear in x and in w, so each gradient is the transposed step: dM = Aᵀ dy A, dV = dM Uᵀ, dx = Bᵀ dV B,
dU = Vᵀ dM, dw = Gᵀ dU G; and the transposed convolution is dx by itself.

V, U and M are flat arrays: pairs of points differ in their number of segments and phases. This file plans where
everything goes; steps.py holds the kernels.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

# For n points those that amplify rounding errors least: √(Σ_ξ (A[o, ξ] |G[ξ]| |B[ξ]|)² / r), the norms being those of
# rows, is at most 2.31 (n = 6), 1.7, 1.3, 1.42 and 1, found by trying. Shorter segments do without the last but one,
# phases with a tap less without the last, and the choice counts these cases too.
POINTS = {
    6: (3 / 2, -3 / 2, 2 / 3, -2 / 3, np.inf, 0.0),
    5: (-3.0, 3 / 4, -3 / 4, 3.0, 0.0),
    4: (1.0, -1.0, np.inf, 0.0),
    3: (1.0, np.inf, 0.0),
    2: (np.inf, 0.0),
}


class AxisTransform(NamedTuple):
    """The stacked matrices of one axis, rows sorted by point; s phases, P rows (a point of a segment each)."""

    a: np.ndarray  # (P, outputs), A transposed
    b: np.ndarray  # (s, P, samples), zero where a phase does without the point
    g: np.ndarray  # (s, points, taps), likewise
    point: np.ndarray  # (P,), which point a row belongs to
    phases: np.ndarray  # (points,), how many phases use it, the first ones


def segments(outputs, kernel_size, stride):
    """How a line of outputs is cut: the lengths, which differ by one at most."""
    count = -(-outputs // (max(POINTS) + 1 - -(-kernel_size // stride)))
    return [outputs // count + (i < outputs % count) for i in range(count)]


def multiplications(outputs, kernel_size, stride):
    """How many a line takes for each pair of channels, all phases together; outputs · kernel_size by definition."""
    lengths = segments(outputs, kernel_size, stride)
    return sum(m - 1 + -(-(kernel_size - b) // stride) for m in lengths for b in range(stride))


@lru_cache(maxsize=64)
def axis_transform(outputs, kernel_size, stride):
    """The AxisTransform of that many outputs; every phase needs a tap, and none more than 5."""
    taps = [-(-(kernel_size - b) // stride) for b in range(stride)]
    lengths = segments(outputs, kernel_size, stride)
    most = max(lengths) + taps[0] - 1
    last = most - 1 if taps[-1] < taps[0] else most  # the point that phases with a tap less do without
    points = np.array(POINTS[most])
    rows, first = [], 0
    samples = outputs + taps[0] - 1
    g = np.zeros((stride, most, taps[0]))
    for length in lengths:
        a_wide, b_wide = np.zeros((most, outputs)), np.zeros((stride, most, samples))
        chosen = [i for i in range(most) if length == max(lengths) or i != last - 1]
        a_wide[chosen, first : first + length] = _powers(points[chosen], length)
        for b, count in enumerate(taps):
            used = [i for i in chosen if count == taps[0] or i != last]
            g[b, used, :count] = _powers(points[used], count)
            b_wide[b, used, first : first + len(used)] = _interpolation(points[used])
        rows += [(i, a_wide[i], b_wide[:, i]) for i in chosen]
        first += length
    rows.sort(key=lambda row: row[0])
    return AxisTransform(
        a=np.array([row[1] for row in rows]),
        b=np.stack([row[2] for row in rows], axis=1),
        g=g,
        point=np.array([row[0] for row in rows]),
        phases=g.any(axis=2).sum(axis=0),
    )


def _powers(points, count):
    """ξ⁰ … ξ^(count-1), a row for each point."""
    return np.array([[0.0] * (count - 1) + [1.0] if np.isinf(p) else [p**k for k in range(count)] for p in points])


def _interpolation(points):
    """B of a segment: row ξ holds the coefficients of the polynomial that is 1 at ξ and 0 at the other points."""
    rows = np.zeros((len(points), len(points)))
    for row, point in zip(rows, points, strict=True):
        others = [p for p in points if p != point and not np.isinf(p)]
        scale = 1.0 if np.isinf(point) else np.prod([point - p for p in others])
        row[: len(others) + 1] = np.atleast_1d(np.poly(others))[::-1] / scale
    return rows


class Layout(NamedTuple):
    """Where a transformed array keeps row i of the vertical and row j of the horizontal axis.

    (i, j) has phases_h[i] · phases_w[j] rows of channels for each picture, and place[i, j] such rows come before it.
    """

    place: np.ndarray  # (P_h, P_w)
    phases_h: np.ndarray  # (P_h,)
    phases_w: np.ndarray  # (P_w,)
    size: int  # rows in all


class Transform(NamedTuple):
    """What turns one of the three arrays into values at points, and back.

    there, back: the matrices of both axes, and their transposes, by their non-zero entries. (In the literature the way
    back is the inverse transform; it is the transposed one.)
    """

    there: tuple
    back: tuple
    layout: Layout


class Group(NamedTuple):
    """Pairs of points with equally many segments and phases, whose products are one stack.

    blocks: how many. rows: their height, per picture. width: phases. v, u, m: what comes before them in each array.
    """

    blocks: int
    rows: int
    width: int
    v: int
    u: int
    m: int


class Plan(NamedTuple):
    """The two axes of one convolution together."""

    input: Transform
    weight: Transform
    output: Transform
    groups: tuple[Group, ...]


@lru_cache(maxsize=64)
def plan(kernel_size, stride, output_size, dtype):
    """The Plan of a convolution with that kernel, stride and output size (pairs), its matrices in `dtype`."""
    axes = height, width = [axis_transform(*numbers) for numbers in zip(output_size, kernel_size, stride, strict=True)]
    segments_h, segments_w = (np.bincount(axis.point) for axis in axes)
    kinds = {}
    for x in range(len(segments_h)):
        for y in range(len(segments_w)):
            kind = (segments_h[x] * segments_w[y], height.phases[x] * width.phases[y])
            kinds.setdefault(kind, []).append((x, y))
    v, m = np.zeros((2, len(height.point), len(width.point)), np.uintp)
    u = np.zeros((len(segments_h), len(segments_w)), np.uintp)
    groups, v_size, u_size, m_size = [], 0, 0, 0
    for (rows, phases), blocks in sorted(kinds.items()):
        groups.append(Group(len(blocks), int(rows), int(phases), v_size, u_size, m_size))
        for x, y in blocks:
            own = np.ix_(height.point == x, width.point == y)
            order = np.arange(rows).reshape(segments_h[x], segments_w[y])
            v[own], m[own], u[x, y] = v_size + order * phases, m_size + order, u_size
            v_size, m_size, u_size = v_size + rows * phases, m_size + rows, u_size + phases
    by_row = [axis.phases[axis.point] for axis in axes]
    return Plan(
        input=_transform(Layout(v, *by_row, v_size), [axis.b for axis in axes], dtype),
        weight=_transform(Layout(u, height.phases, width.phases, u_size), [axis.g for axis in axes], dtype),
        output=_transform(Layout(m, *(p > 0 for p in by_row), m_size), [axis.a[None] for axis in axes], dtype),
        groups=tuple(groups),
    )


def _transform(layout, matrices, dtype):
    there = tuple(_sparse(matrix, dtype) for matrix in matrices)
    back = tuple(_sparse(matrix.transpose(0, 2, 1), dtype) for matrix in matrices)
    place, phases_h, phases_w, size = layout
    return Transform(there, back, Layout(place, _unsigned(phases_h), _unsigned(phases_w), int(size)))


def _sparse(matrices, dtype):
    """(s, R, columns) -> count (s, R), column (s, R, Z), value (s, R, Z): each row's non-zero entries, then zeros.

    Z is a multiple of four.
    """
    count = (matrices != 0).sum(axis=2)
    order = np.argsort(matrices == 0, axis=2, kind="stable")
    column = np.repeat(order[:, :, :1], -(-count.max() // 4) * 4, axis=2)
    value = np.zeros(column.shape, dtype)
    for z in range(count.max()):
        there = count > z
        column[there, z] = order[there, z]
        value[there, z] = matrices[there, order[there, z]]
    return _unsigned(count), _unsigned(column), value


def _unsigned(numbers):
    return np.ascontiguousarray(numbers, np.uintp)
