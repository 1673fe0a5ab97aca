"""The transforms of Winograd convolution (plans.py): arrays into values at points, and transposed back.

x (N, H, W, C) in NHWC order; its values are a flat array in the order of a Transform's Layout.
"""

import math

import numpy as np

from minigan.kernels.jit import inlined_kernel, kernel, unsigned
from minigan.kernels.parallel import memory, threads
from minigan.kernels.toom_cook import plans

BLOCK = np.uintp(32)  # a loop of fixed length needs fewer checks than one whose length is found at run time
SLAB = 128  # channels of a picture that are transformed together, so that intermediate results stay in the first caches
GROUP = 256  # channels of several pictures, or of a weight, that are, so that memory is written and read in longer runs


class ToomCook:
    """A convolution by Winograd's algorithm: V, U and M are values at points, in flat arrays."""

    def __init__(self, input_shape, weight_shape, stride, padding, output_size, dtype):
        self.shapes = input_shape, (input_shape[0], *output_size, weight_shape[3])
        self.weight_shape, self.stride, (c, o) = weight_shape, stride, weight_shape[2:]
        self.plan = plans.plan(weight_shape[:2], stride, output_size, dtype)
        self.sides = (self.plan.input, stride, padding), (self.plan.output,)
        self.v_size, self.m_size = self.plan.input.layout.size * c, self.plan.output.layout.size * o
        self.u_size = self.plan.weight.layout.size * c * o

    def to_values(self, pictures, side):
        return transform(pictures, *self.sides[side])

    def to_pictures(self, values, side, bias, out):
        inverse_transform(values, out, bias, *self.sides[side])

    def weight_side(self, weight):
        return transform(self._as_picture(weight), self.plan.weight, self.stride)

    def to_weight(self, u):
        weight = np.empty(self.weight_shape, u.dtype)
        inverse_transform(u, self._as_picture(weight), 0, self.plan.weight, self.stride)
        return weight

    def _as_picture(self, weight):
        return weight.reshape(1, *weight.shape[:2], -1)

    def room(self, side, out):
        """For the values of `side`, of which `out` will be made."""
        return memory.empty((len(out) * (self.v_size, self.m_size)[side],), out.dtype)

    def stacks(self, v, u, m):
        """The three as stacks of matrices (S, R, K), (S, K, O) and (S, R, O), one triple for each kind."""
        (c, o), n = self.weight_shape[2:], m.size // self.m_size
        for group in self.plan.groups:
            blocks, rows, width = group.blocks, group.rows * n, group.width * c
            yield (
                _stack(v, group.v * n * c, blocks, rows, width),
                _stack(u, group.u * c * o, blocks, width, o),
                _stack(m, group.m * n * o, blocks, rows, o),
            )


def _stack(flat, first, *shape):
    return flat[first : first + math.prod(shape)].reshape(shape)


def transform(x, matrices, stride=(1, 1), padding=(0, 0)):
    """x (N, H, W, C) -> its values at the points, (layout.size · N · C,): B x Bᵀ, G w Gᵀ or Aᵀ y A, as `matrices`, a
    Transform, says."""
    out = memory.empty((matrices.layout.size * len(x) * x.shape[3],), x.dtype)
    _run(_transform, x, out, matrices.layout, matrices.there, stride, padding)
    return out


def inverse_transform(values, out, bias, matrices, stride=(1, 1), padding=(0, 0)):
    """The transposed step, into out (N, H, W, C), plus bias (C,), or 0 for none."""
    _, _, w, c = out.shape
    bias_line = np.tile(bias + np.zeros(c, out.dtype), w if c <= GROUP else 1)  # for lines written whole
    _run(_inverse_transform, out, values, matrices.layout, matrices.back, stride, padding, bias_line)


def _run(kernel, pictures, values, layout, axes, stride, padding, *more):
    n, h, w, c = pictures.shape
    slab = min(c, GROUP if n == 1 else SLAB)  # channels that are transformed together
    sizes = unsigned(n, h, w, c, slab, max(1, GROUP // slab), *stride, *padding)
    tables = (*layout[:3], *axes[0], *axes[1])
    threads.run(kernel, n * -(-c // slab), 2 * values.size, pictures.reshape(-1), values, *tables, *sizes, *more)


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
    start, stop, out, v, place, phases_h, phases_w, count_h, column_h, value_h, count_w, column_w, value_w,
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
                if run == c:  # one long run
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
