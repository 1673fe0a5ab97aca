"""Convolution with fewer multiplications, after Toom and Cook (Winograd 1980; Lavin and Gray 2016 for networks).

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

V, U and M are flat arrays: pairs of points differ in their number of segments and phases. See Plan.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from minigan.kernels import memory, threads
from minigan.kernels.jit import inlined_kernel, kernel

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
BLOCK = np.uintp(32)  # a loop of fixed length needs fewer checks than one whose length is found at run time
SLAB = 128  # channels of a picture that are transformed together, so that intermediate results stay in the first caches
GROUP = 256  # channels of several pictures, or of a weight, that are, so that memory is written and read in longer runs


class Line(NamedTuple):
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
def line(outputs, kernel_size, stride):
    """The Line of that many outputs; every phase needs a tap, and none more than 5."""
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
    return Line(
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


class Side(NamedTuple):
    """What turns one of the three arrays into values at points: the matrices of both axes, and back."""

    spread: tuple
    gather: tuple
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

    input: Side
    weight: Side
    output: Side
    groups: tuple[Group, ...]


@lru_cache(maxsize=64)
def plan(kernel_size, stride, output_size, dtype):
    """The Plan of a convolution with that kernel, stride and output size (pairs), its matrices in `dtype`."""
    axes = height, width = [line(*numbers) for numbers in zip(output_size, kernel_size, stride, strict=True)]
    segments_h, segments_w = (np.bincount(axis.point) for axis in axes)
    kinds = {}
    for x in range(len(segments_h)):
        for y in range(len(segments_w)):
            kind = (segments_h[x] * segments_w[y], height.phases[x] * width.phases[y])
            kinds.setdefault(kind, []).append((x, y))
    v, u, m = (np.zeros((len(rows_h), len(rows_w)), np.uintp) for rows_h, rows_w in ((height.point, width.point),) * 3)
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
        input=_side([axis.b for axis in axes], Layout(v, *map(_unsigned, by_row), int(v_size)), dtype),
        weight=_side([axis.g for axis in axes], Layout(u, *(_unsigned(a.phases) for a in axes), int(u_size)), dtype),
        output=_side(
            [axis.a[None] for axis in axes], Layout(m, *(_unsigned(p > 0) for p in by_row), int(m_size)), dtype
        ),
        groups=tuple(groups),
    )


def _side(matrices, layout, dtype):
    spread = tuple(_sparse(matrix, dtype) for matrix in matrices)
    gather = tuple(_sparse(matrix.transpose(0, 2, 1), dtype) for matrix in matrices)
    return Side(spread, gather, layout)


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


def spread(x, side, stride=(1, 1), padding=(0, 0)):
    """x (N, H, W, C) -> its values at the points, (layout.size · N · C,): B x Bᵀ, G w Gᵀ or Aᵀ y A, as `side` says."""
    n, h, w, c = x.shape
    out = memory.empty((side.layout.size * n * c,), x.dtype)
    slab, together = _shares(n, c)
    sizes = (np.uintp(size) for size in (n, h, w, c, slab, together, *stride, *padding))
    matrices = (*side.layout[:3], *side.spread[0], *side.spread[1])
    threads.run(_spread, n * -(-c // slab), 2 * out.size, x.reshape(-1), out, *matrices, *sizes)
    return out


def gather(v, side, out, stride=(1, 1), padding=(0, 0), bias=None, negative_slope=1):
    """The transposed step, into out (N, H, W, C); then bias (C,) and the leaky ReLU."""
    n, h, w, c = out.shape
    bias = np.zeros(c, out.dtype) if bias is None else bias
    slab, together = _shares(n, c)
    sizes = (np.uintp(size) for size in (n, h, w, c, slab, together, *stride, *padding))
    matrices, slope = (*side.layout[:3], *side.gather[0], *side.gather[1]), out.dtype.type(negative_slope)
    threads.run(
        _gather,
        n * -(-c // slab),
        2 * v.size,
        v,
        out.reshape(-1),
        *matrices,
        *sizes,
        np.tile(bias, w if c == slab else 1),
        slope,
    )


def _shares(n, c):
    """Channels that are transformed together, and in how many pictures at a time."""
    slab = min(c, GROUP if n == 1 else SLAB)
    return slab, max(1, GROUP // slab)


# The inner loops index flat arrays by unsigned numbers. A row taken as a view, or a signed index, which might be
# negative, costs more than the multiplications of a row.


@kernel
def _spread(
    start, stop, x, out, place, phases_h, phases_w, count_h, column_h, value_h, count_w, column_w, value_w,
    n, h, w, c, slab, together, sh, sw, ph, pw,
):  # fmt: skip
    """out[i, j, n, b, d] = Σ_t value_h[b, i, t] Σ_u value_w[d, j, u] x[n, t·SH + b - PH, u·SW + d - PW].

    Rows are pictures times slabs of channels.
    """
    one = np.uintp(1)
    rows_h, rows_w, slabs = np.uintp(len(phases_h)), np.uintp(len(phases_w)), (c + slab - one) // slab
    samples_h, samples_w = column_h.max() + one, column_w.max() + one
    most_h, most_w = np.uintp(column_h.shape[2]), np.uintp(column_w.shape[2])
    column_h, value_h, column_w, value_w = column_h.ravel(), value_h.ravel(), column_w.ravel(), value_w.ravel()
    step_w, step_h = sw * slab, rows_w * sw * slab
    size = sh * samples_h * step_h
    line = np.zeros(samples_w * step_w, x.dtype)
    half = np.zeros(together * size, x.dtype)  # (row, b, t, j, d, slab)
    width = min(w, samples_w * sw - pw)
    for group in range(np.uintp(start), np.uintp(stop), together):
        members = min(together, np.uintp(stop) - group)
        for g in range(members):
            picture, first = (group + g) // slabs, ((group + g) % slabs) * slab
            run = min(slab, c - first)
            for y in range(h):
                t, b = (y + ph) // sh, (y + ph) % sh
                if t < samples_h:
                    source = (picture * h + y) * w * c + first
                    if run == c:  # one long run
                        for k in range(width * c):
                            line[pw * c + k] = x[source + k]
                    else:
                        for p in range(width):
                            for k in range(run):
                                line[(p + pw) * slab + k] = x[source + p * c + k]
                    for j in range(rows_w):
                        for d in range(phases_w[j]):
                            target = g * size + (b * samples_h + t) * step_h + (j * sw + d) * slab
                            e, count = (d * rows_w + j) * most_w, count_w[d, j]
                            _combine(half, target, line, d * slab, step_w, column_w, e, value_w, e, count, run)
        for i in range(rows_h):
            for j in range(rows_w):
                for g in range(members):
                    picture, first = (group + g) // slabs, ((group + g) % slabs) * slab
                    run = min(slab, c - first)
                    target = (place[i, j] * n + picture * phases_h[i] * phases_w[j]) * c + first
                    for b in range(phases_h[i]):
                        for d in range(phases_w[j]):
                            base = g * size + b * samples_h * step_h + (j * sw + d) * slab
                            e, count = (b * rows_h + i) * most_h, count_h[b, i]
                            _combine(out, target, half, base, step_h, column_h, e, value_h, e, count, run)
                            target += c


@kernel
def _gather(
    start, stop, v, out, place, phases_h, phases_w, count_h, column_h, value_h, count_w, column_w, value_w,
    n, h, w, c, slab, together, sh, sw, ph, pw, bias_line, slope,
):  # fmt: skip
    """out[n, t·SH + b - PH, u·SW + d - PW] = a(bias + Σ_j value_w[d, u, j] Σ_i value_h[b, t, i] v[i, j, n, b, d]).

    Rows are pictures times slabs of channels. What no window reaches is a(bias).
    """
    one = np.uintp(1)
    rows_h, rows_w, slabs = np.uintp(len(phases_h)), np.uintp(len(phases_w)), (c + slab - one) // slab
    samples_h, samples_w = np.uintp(count_h.shape[1]), np.uintp(count_w.shape[1])
    most_h, most_w = np.uintp(column_h.shape[2]), np.uintp(column_w.shape[2])
    column_h, value_h, column_w, value_w = column_h.ravel(), value_h.ravel(), column_w.ravel(), value_w.ravel()
    step_w, step_h = sw * slab, rows_w * sw * slab
    size = sh * samples_h * step_h
    line = np.zeros(max(samples_w * sw, w + pw) * slab, v.dtype)
    half = np.zeros(together * size, v.dtype)  # (row, b, t, j, d, slab)
    sources = np.zeros(rows_h, np.uintp)
    for group in range(np.uintp(start), np.uintp(stop), together):
        members = min(together, np.uintp(stop) - group)
        for j in range(rows_w):
            for g in range(members):
                picture, first = (group + g) // slabs, ((group + g) % slabs) * slab
                run = min(slab, c - first)
                for b in range(sh):
                    for d in range(phases_w[j]):
                        for i in range(rows_h):
                            sources[i] = (place[i, j] * n + (picture * phases_h[i] + b) * phases_w[j] + d) * c + first
                        for t in range(samples_h):
                            target = g * size + (b * samples_h + t) * step_h + (j * sw + d) * slab
                            e, count = (b * samples_h + t) * most_h, count_h[b, t]
                            _combine_from(half, target, v, sources, column_h, e, value_h, e, count, run)
        for g in range(members):
            picture, first = (group + g) // slabs, ((group + g) % slabs) * slab
            run = min(slab, c - first)
            for y in range(h):
                t, b = (y + ph) // sh, (y + ph) % sh
                if t < samples_h:
                    for u in range(samples_w):
                        for d in range(sw):
                            base = g * size + (b * samples_h + t) * step_h + d * slab
                            e, count = (d * samples_w + u) * most_w, count_w[d, u]
                            target = (u * sw + d) * slab
                            _combine(line, target, half, base, step_w, column_w, e, value_w, e, count, run)
                else:
                    line[:] = 0
                target = (picture * h + y) * w * c + first
                if run == c:
                    for k in range(w * c):
                        value = line[pw * c + k] + bias_line[k]
                        out[target + k] = value if value > 0 else slope * value
                else:
                    for p in range(w):
                        for k in range(run):
                            value = line[(p + pw) * slab + k] + bias_line[first + k]
                            out[target + p * c + k] = value if value > 0 else slope * value


@inlined_kernel
def _combine(out, target, source, base, step, column, column_entry, value, value_entry, count, run):
    """out[target + k] = Σ_z value[z] · source[base + column[z]·step + k] for k < run, four terms at once."""
    for z in range(np.uintp(0), count, np.uintp(4)):
        c = column_entry + z
        p, q = base + column[c] * step, base + column[c + np.uintp(1)] * step
        r, s = base + column[c + np.uintp(2)] * step, base + column[c + np.uintp(3)] * step
        _four(out, target, source, p, q, r, s, value, value_entry + z, z == 0, run)
    if count == 0:
        for k in range(run):
            out[target + k] = 0


@inlined_kernel
def _combine_from(out, target, source, places, column, column_entry, value, value_entry, count, run):
    """out[target + k] = Σ_z value[z] · source[places[column[z]] + k] for k < run, likewise."""
    for z in range(np.uintp(0), count, np.uintp(4)):
        c = column_entry + z
        p, q = places[column[c]], places[column[c + np.uintp(1)]]
        r, s = places[column[c + np.uintp(2)]], places[column[c + np.uintp(3)]]
        _four(out, target, source, p, q, r, s, value, value_entry + z, z == 0, run)
    if count == 0:
        for k in range(run):
            out[target + k] = 0


@inlined_kernel
def _four(out, target, source, p, q, r, s, value, entry, fresh, run):
    """out[target + k] (+)= the next four terms."""
    e, f = value[entry], value[entry + np.uintp(1)]
    g, h = value[entry + np.uintp(2)], value[entry + np.uintp(3)]
    whole = run - run % BLOCK
    if fresh:
        for first in range(np.uintp(0), whole, BLOCK):
            for k in range(first, first + BLOCK):
                out[target + k] = e * source[p + k] + f * source[q + k] + g * source[r + k] + h * source[s + k]
        for k in range(whole, run):
            out[target + k] = e * source[p + k] + f * source[q + k] + g * source[r + k] + h * source[s + k]
    else:
        for first in range(np.uintp(0), whole, BLOCK):
            for k in range(first, first + BLOCK):
                out[target + k] += e * source[p + k] + f * source[q + k] + g * source[r + k] + h * source[s + k]
        for k in range(whole, run):
            out[target + k] += e * source[p + k] + f * source[q + k] + g * source[r + k] + h * source[s + k]
