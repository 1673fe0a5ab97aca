"""The transforms of Winograd convolution (plans.py): arrays into values at points, and transposed back.

x (N, H, W, C) in NHWC order; its values are a flat array in the order of a Side's Layout.
"""

import numpy as np

from minigan.kernels.jit import inlined_kernel, kernel
from minigan.kernels.parallel import memory, threads

BLOCK = np.uintp(32)  # a loop of fixed length needs fewer checks than one whose length is found at run time
SLAB = 128  # channels of a picture that are transformed together, so that intermediate results stay in the first caches
GROUP = 256  # channels of several pictures, or of a weight, that are, so that memory is written and read in longer runs


def transform(x, side, stride=(1, 1), padding=(0, 0)):
    """x (N, H, W, C) -> its values at the points, (layout.size · N · C,): B x Bᵀ, G w Gᵀ or Aᵀ y A, as `side` says."""
    n, h, w, c = x.shape
    out = memory.empty((side.layout.size * n * c,), x.dtype)
    slab, together = _shares(n, c)
    sizes = (np.uintp(size) for size in (n, h, w, c, slab, together, *stride, *padding))
    matrices = (*side.layout[:3], *side.transform[0], *side.transform[1])
    threads.run(_transform, n * -(-c // slab), 2 * out.size, x.reshape(-1), out, *matrices, *sizes)
    return out


def inverse_transform(v, side, out, stride=(1, 1), padding=(0, 0), bias=0):
    """The transposed step, into out (N, H, W, C), which is returned; plus bias (C,), or 0 for none."""
    n, h, w, c = out.shape
    bias = bias + np.zeros(c, out.dtype)
    slab, together = _shares(n, c)
    sizes = (np.uintp(size) for size in (n, h, w, c, slab, together, *stride, *padding))
    matrices = (*side.layout[:3], *side.inverse_transform[0], *side.inverse_transform[1])
    bias_line = np.tile(bias, w) if slab == c else bias
    rows = n * -(-c // slab)
    threads.run(_inverse_transform, rows, 2 * v.size, v, out.reshape(-1), *matrices, *sizes, bias_line)
    return out


def _shares(n, c):
    """Channels that are transformed together, and in how many pictures at a time."""
    slab = min(c, GROUP if n == 1 else SLAB)
    return slab, max(1, GROUP // slab)


# The inner loops index flat arrays by unsigned numbers. A row taken as a view, or a signed index, which might be
# negative, costs more than the multiplications of a row.


@kernel
def _transform(
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
def _inverse_transform(
    start, stop, v, out, place, phases_h, phases_w, count_h, column_h, value_h, count_w, column_w, value_w,
    n, h, w, c, slab, together, sh, sw, ph, pw, bias_line,
):  # fmt: skip
    """out[n, t·SH + b - PH, u·SW + d - PW] = bias + Σ_j value_w[d, u, j] Σ_i value_h[b, t, i] v[i, j, n, b, d].

    Rows are pictures times slabs of channels. What no window reaches is the bias.
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
                        out[target + k] = line[pw * c + k] + bias_line[k]
                else:
                    for p in range(w):
                        for k in range(run):
                            out[target + p * c + k] = line[(p + pw) * slab + k] + bias_line[first + k]


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
