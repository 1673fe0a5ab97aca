"""Convolution as a matrix product: im2col lays every window out as a row, col2im adds the rows back.

Shapes: x (N, H, W, C); cols (N·OH·OW, KH·KW·C), the columns ordered like a weight (KH, KW, C, …). With stride (SH, SW)
and padding (PH, PW), output pixel (oh, ow) sees input row h = oh·SH + i - PH and column w = ow·SW + j - PW for
0 ≤ i < KH, 0 ≤ j < KW; outside the image the value is 0.

The two are adjoint, ⟨im2col(x), cols⟩ = ⟨x, col2im(cols)⟩, which is why the gradient of one is the other, and why a
transposed convolution is a convolution run backward.
"""

import numpy as np

from minigan.kernels import memory, threads
from minigan.kernels.jit import kernel


def im2col(x, kernel_size, stride, padding, output_size):
    """x (N, H, W, C) -> cols (N·OH·OW, KH·KW·C)."""
    n, h, w, c = x.shape
    (kh, kw), (oh, ow) = kernel_size, output_size
    cols = memory.empty((n * oh * ow, kh * kw * c), x.dtype)
    rows = x.reshape(n, h, w * c)
    threads.run(_im2col, n * oh, cols.size, rows, cols, c, kh, kw, *stride, *padding, oh, ow)
    return cols


def col2im(cols, image_shape, kernel_size, stride, padding, output_size, bias, out=None):
    """cols (N·OH·OW, KH·KW·C) -> x (N, H, W, C): each entry added to the pixel im2col took it from, plus bias (C,).

    out: a contiguous array to write x to, made anew if None.
    """
    n, h, w, c = image_shape
    (kh, kw), (oh, ow) = kernel_size, output_size
    x = memory.empty(image_shape, cols.dtype) if out is None else out
    rows = x.reshape(n, h, w * c)
    threads.run(_col2im, n, cols.size, cols, rows, bias, c, kh, kw, *stride, *padding, oh, ow)
    return x


# The inner loops run over slices from 0 upwards: only then does the compiler know that no index is negative, and uses
# vector instructions (9 times faster for im2col, 3 times for col2im).


@kernel
def _im2col(start, stop, x, cols, c, kh, kw, sh, sw, ph, pw, oh, ow):
    """Rows are the N·OH output lines. Channels last makes a window's line one run of KW·C numbers in memory."""
    h, wc = x.shape[1], x.shape[2]
    run = kw * c
    for line in range(start, stop):
        n = line // oh
        top = (line % oh) * sh - ph
        for col in range(ow):
            left = (col * sw - pw) * c
            first = min(max(0, -left), run)  # entries of the run that fall off the image's left edge
            last = max(min(run, wc - left), first)  # and where it leaves on the right
            for i in range(kh):
                target = cols[line * ow + col, i * run : (i + 1) * run]
                if 0 <= top + i < h:
                    target[:first] = 0
                    _copy(target[first:last], x[n, top + i, left + first : left + last])
                    target[last:] = 0
                else:
                    target[:] = 0


@kernel
def _col2im(start, stop, cols, x, bias, c, kh, kw, sh, sw, ph, pw, oh, ow):
    """Rows are the N images: windows overlap only within one, so no two threads add to the same pixel."""
    h, wc = x.shape[1], x.shape[2]
    run = kw * c
    for n in range(start, stop):
        for y in range(h):
            for left in range(0, wc, c):
                _copy(x[n, y, left : left + c], bias)
        for line in range(oh):
            top = line * sh - ph
            for col in range(ow):
                row = (n * oh + line) * ow + col
                left = (col * sw - pw) * c
                first = min(max(0, -left), run)
                last = max(min(run, wc - left), first)
                for i in range(kh):
                    if 0 <= top + i < h:
                        _add(x[n, top + i, left + first : left + last], cols[row, i * run + first : i * run + last])


@kernel
def _copy(target, source):
    for t in range(len(target)):
        target[t] = source[t]


@kernel
def _add(target, source):
    for t in range(len(target)):
        target[t] += source[t]


def im2col_plain(x, kernel_size, stride, padding, output_size):
    """The twin of im2col: pad, then take for each kernel position (i, j) the strided slice of pixels it meets."""
    n, h, w, c = x.shape
    (kh, kw), (sh, sw), (ph, pw), (oh, ow) = kernel_size, stride, padding, output_size
    # A stride may leave pixels unused at the far edge, and an output padding may look past it.
    padded = np.zeros((n, max(h + 2 * ph, (oh - 1) * sh + kh), max(w + 2 * pw, (ow - 1) * sw + kw), c), x.dtype)
    padded[:, ph : ph + h, pw : pw + w] = x
    cols = np.empty((n, oh, ow, kh, kw, c), x.dtype)
    for i in range(kh):
        for j in range(kw):
            cols[:, :, :, i, j] = padded[:, i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw]
    return cols.reshape(n * oh * ow, kh * kw * c)


def col2im_plain(cols, image_shape, kernel_size, stride, padding, output_size, bias):
    """The twin of col2im: the same slices, added instead of taken, then the padding cut off."""
    n, h, w, c = image_shape
    (kh, kw), (sh, sw), (ph, pw), (oh, ow) = kernel_size, stride, padding, output_size
    cols = cols.reshape(n, oh, ow, kh, kw, c)
    padded = np.zeros((n, max(h + 2 * ph, (oh - 1) * sh + kh), max(w + 2 * pw, (ow - 1) * sw + kw), c), cols.dtype)
    for i in range(kh):
        for j in range(kw):
            padded[:, i : i + (oh - 1) * sh + 1 : sh, j : j + (ow - 1) * sw + 1 : sw] += cols[:, :, :, i, j]
    return padded[:, ph : ph + h, pw : pw + w] + bias
