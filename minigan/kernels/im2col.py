"""Convolution as a matrix product: im2col lays every window out as a row, col2im adds the rows back.

Shapes: x (N, H, W, C); cols (N·OH·OW, KH·KW·C), the columns ordered like a weight (KH, KW, C, …). With stride (SH, SW)
and padding (PH, PW), output pixel (oh, ow) sees input row h = oh·SH + i - PH and column w = ow·SW + j - PW for
0 ≤ i < KH, 0 ≤ j < KW; outside the image the value is 0.

The two are adjoint, ⟨im2col(x), cols⟩ = ⟨x, col2im(cols)⟩, which is why the gradient of one is the other, and why a
transposed convolution is a convolution run backward.
"""

import math

import numpy as np

from minigan.kernels import pointwise
from minigan.kernels.jit import kernel, unsigned
from minigan.kernels.parallel import memory, threads

INPUT, OUTPUT = 0, 1  # the two sides of a convolution


class Im2col:
    """A convolution as one product: V = im2col(x), U = the weight as a matrix, M = the output's pixels."""

    def __init__(self, input_shape, weight_shape, stride, padding, output_size):
        self.shapes = input_shape, (input_shape[0], *output_size, weight_shape[3])
        self.weight_shape, self.geometry = weight_shape, (weight_shape[:2], stride, padding, output_size)
        self.u_size = math.prod(weight_shape)
        self.v_size = math.prod(output_size) * math.prod(weight_shape[:3])

    def to_values(self, pictures, side):
        if side == OUTPUT:
            return pictures.reshape(1, -1, pictures.shape[3])
        return im2col(pictures, *self.geometry)[None]

    def to_pictures(self, values, side, bias, out):
        if side == OUTPUT:
            pointwise.add_bias(values[0], bias)  # they are in out's own memory
        else:
            col2im(values[0], out.shape, *self.geometry, bias + np.zeros(out.shape[3], out.dtype), out)

    def weight_side(self, weight):
        return weight.reshape(1, -1, weight.shape[3])

    def to_weight(self, u):
        return u.reshape(self.weight_shape)

    def room(self, side, out):
        """For the values of `side`, of which `out` will be made."""
        if side == OUTPUT:
            return self.to_values(out, side)
        columns = math.prod(self.weight_shape[:3])
        return memory.empty((1, len(out) * self.v_size // columns, columns), out.dtype)

    def stacks(self, v, u, m):
        yield v, u, m


def output_size_of(size, kernel_size, stride, padding):
    """Of a convolution of pictures of that size: all pairs (height, width)."""
    axes = zip(size, kernel_size, stride, padding, strict=False)
    return tuple((s + 2 * p - k) // d + 1 for s, k, d, p in axes)


def im2col(x, kernel_size, stride, padding, output_size):
    """x (N, H, W, C) -> cols (N·OH·OW, KH·KW·C)."""
    (n, _, _, c), (kh, kw), (oh, ow) = x.shape, kernel_size, output_size
    cols = memory.empty((n * oh * ow, kh * kw * c), x.dtype)
    sizes = unsigned(*x.shape[1:], *kernel_size, *stride, *padding, *output_size)
    threads.run(_im2col, n, cols.size, x.reshape(-1), cols.reshape(-1), *sizes)
    return cols


def col2im(cols, image_shape, kernel_size, stride, padding, output_size, bias, out=None):
    """cols (N·OH·OW, KH·KW·C) -> x (N, H, W, C): each entry added to the pixel im2col took it from, plus bias (C,).

    out: a contiguous array to write x to, made anew if None.
    """
    x = memory.empty(image_shape, cols.dtype) if out is None else out
    sizes = unsigned(*image_shape[1:], *kernel_size, *stride, *padding, *output_size)
    threads.run(_col2im, image_shape[0], cols.size, cols.reshape(-1), x.reshape(-1), bias, *sizes)
    return x


# Each picture is laid into a frame of zeros that is as large as the windows reach, so that no window has to ask whether
# it is still inside. Unsigned indices cannot be negative: only then does the compiler use vector instructions.


@kernel
def _im2col(start, stop, x, cols, h, w, c, kh, kw, sh, sw, ph, pw, oh, ow):
    """Rows are the N images. Channels last makes a window's line one run of KW·C numbers in memory."""
    zero, one = np.uintp(0), np.uintp(1)
    height, width, run = (oh - one) * sh + kh, (ow - one) * sw + kw, kw * c
    seen = min(w, width - pw) * c if width > pw else zero
    frame = np.zeros(height * width * c, x.dtype)
    for n in range(np.uintp(start), np.uintp(stop)):
        for y in range(h):
            if y + ph < height:
                target, source = ((y + ph) * width + pw) * c, (n * h + y) * w * c
                for t in range(seen):
                    frame[target + t] = x[source + t]
        for top in range(oh):
            for left in range(ow):
                target = ((n * oh + top) * ow + left) * kh * run
                for i in range(kh):
                    source = ((top * sh + i) * width + left * sw) * c
                    for t in range(run):
                        cols[target + t] = frame[source + t]
                    target += run


@kernel
def _col2im(start, stop, cols, x, bias, h, w, c, kh, kw, sh, sw, ph, pw, oh, ow):
    """Rows are the N images: windows overlap only within one, so no two threads add to the same pixel."""
    one = np.uintp(1)
    height, width, run = max((oh - one) * sh + kh, h + ph), max((ow - one) * sw + kw, w + pw), kw * c
    frame = np.zeros(height * width * c, x.dtype)
    for n in range(np.uintp(start), np.uintp(stop)):
        frame[:] = 0
        for top in range(oh):
            for left in range(ow):
                source = ((n * oh + top) * ow + left) * kh * run
                for i in range(kh):
                    target = ((top * sh + i) * width + left * sw) * c
                    for t in range(run):
                        frame[target + t] += cols[source + t]
                    source += run
        for y in range(h):
            for p in range(w):
                source, target = ((y + ph) * width + p + pw) * c, ((n * h + y) * w + p) * c
                for k in range(c):
                    x[target + k] = frame[source + k] + bias[k]
