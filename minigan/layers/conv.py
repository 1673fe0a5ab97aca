"""Convolution and transposed convolution: one pair of matrix products, read in the two directions.

With cols = im2col(x) (see kernels/im2col.py) and the weight (KH, KW, I, O) seen as a matrix W of KH·KW·I rows and O
columns, a convolution is cols · W. Its input gradient is col2im(g · Wᵀ), and that map, taken by itself as a layer, is
the transposed convolution: the same array is the weight of both.
"""

import numpy as np

from minigan import init
from minigan.errors import InputError
from minigan.kernels import memory, pointwise
from minigan.kernels.im2col import col2im, im2col
from minigan.layers.base import EVERYTHING, Layer, pair, positive_int


def conv2d_output_size(size, kernel_size, stride, padding):
    """⌊(size + 2·padding - kernel_size) / stride⌋ + 1, per axis."""
    return tuple((s + 2 * p - k) // d + 1 for s, k, d, p in zip(size, kernel_size, stride, padding, strict=True))


def conv_transpose2d_output_size(size, kernel_size, stride, padding, output_padding):
    """(size - 1)·stride - 2·padding + kernel_size + output_padding, per axis."""
    axes = zip(size, kernel_size, stride, padding, output_padding, strict=True)
    return tuple((s - 1) * d - 2 * p + k + extra for s, k, d, p, extra in axes)


def conv2d_forward(x, weight, bias, stride, padding, negative_slope=1):
    """y[n, h, w, o] = a(b[o] + Σ_{i,j,c} x[n, h·SH + i - PH, w·SW + j - PW, c] · W[i, j, c, o]).

    a is the leaky ReLU of negative_slope: 1 for none, 0 for ReLU. x (N, H, W, C), weight (KH, KW, C, O), bias (O,) or
    None, stride and padding pairs -> out (N, OH, OW, O), cache.
    """
    n, h, w, _ = x.shape
    kernel_size, features = weight.shape[:2], weight.shape[3]
    size = conv2d_output_size((h, w), kernel_size, stride, padding)
    cols = im2col(np.ascontiguousarray(x), kernel_size, stride, padding, size)
    out = memory.empty((n * size[0] * size[1], features), x.dtype)
    np.matmul(cols, weight.reshape(-1, features), out=out)
    pointwise.add_bias(out, bias, negative_slope)
    return out.reshape(n, *size, features), (cols, x.shape, weight, stride, padding, out, negative_slope)


def conv2d_backward(grad_output, cache, need=EVERYTHING):
    """With g = grad_output · a': ∂L/∂W = colsᵀ · g, ∂L/∂b = Σ_{n,h,w} g, ∂L/∂x = col2im(g · Wᵀ).

    grad_output (N, OH, OW, O) -> grad_input (N, H, W, C), grad_weight (KH, KW, C, O), grad_bias (O,); None for what
    `need` leaves out.
    """
    cols, input_shape, weight, stride, padding, out, negative_slope = cache
    size, matrix = grad_output.shape[1:3], weight.reshape(-1, weight.shape[3])
    grad_output = np.ascontiguousarray(grad_output).reshape(out.shape)
    grad, grad_bias = pointwise.add_bias_backward(grad_output, out, negative_slope)
    grad_input = grad_weight = None
    if need.params:
        grad_weight = memory.empty(weight.shape, weight.dtype)
        np.matmul(cols.T, grad, out=grad_weight.reshape(matrix.shape))
    if need.input:
        grad_cols = np.matmul(grad, matrix.T, out=memory.empty(cols.shape, cols.dtype))
        no_bias = np.zeros(input_shape[3], cols.dtype)
        grad_input = col2im(grad_cols, input_shape, weight.shape[:2], stride, padding, size, no_bias)
    return grad_input, grad_weight, grad_bias


def conv_transpose2d_forward(x, weight, bias, stride, padding, output_padding):
    """y = col2im(x · Wᵀ) + b: each input pixel adds its value times the kernel to the output, `stride` pixels apart.

    x (N, H, W, C), weight (KH, KW, O, C), bias (O,) or None, the rest pairs -> out (N, OH, OW, O), cache.
    Dumoulin and Visin 2016, chapter 4.
    """
    n, h, w, c = x.shape
    kernel_size, features = weight.shape[:2], weight.shape[2]
    size = conv_transpose2d_output_size((h, w), kernel_size, stride, padding, output_padding)
    x_rows = x.reshape(-1, c)
    cols = memory.empty((n * h * w, weight.size // c), x.dtype)
    np.matmul(x_rows, weight.reshape(-1, c).T, out=cols)
    if bias is None:
        bias = np.zeros(features, x.dtype)
    out = col2im(cols, (n, *size, features), kernel_size, stride, padding, (h, w), bias)
    return out, (x, weight, stride, padding)


def conv_transpose2d_backward(grad_output, cache, need=EVERYTHING):
    """With g = grad_output and cols = im2col(g): ∂L/∂x = cols · W, ∂L/∂W = colsᵀ · x, ∂L/∂b = Σ g.

    grad_output (N, OH, OW, O) -> grad_input (N, H, W, C), grad_weight (KH, KW, O, C), grad_bias (O,); None for what
    `need` leaves out.
    """
    x, weight, stride, padding = cache
    matrix = weight.reshape(-1, x.shape[3])
    grad_output = np.ascontiguousarray(grad_output)
    cols = im2col(grad_output, weight.shape[:2], stride, padding, x.shape[1:3])
    grad_input = grad_weight = grad_bias = None
    if need.params:
        grad_weight = memory.empty(weight.shape, weight.dtype)
        np.matmul(cols.T, x.reshape(-1, x.shape[3]), out=grad_weight.reshape(matrix.shape))
        _, grad_bias = pointwise.add_bias_backward(grad_output.reshape(-1, weight.shape[2]), None, 1)
    if need.input:
        grad_input = memory.empty(x.shape, x.dtype)
        np.matmul(cols, matrix, out=grad_input.reshape(-1, x.shape[3]))
    return grad_input, grad_weight, grad_bias


class _Convolution(Layer):
    """What the two layers share; each has its own _output_size and _formula_backward."""

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, bias, rng, dtype, transposed):
        super().__init__()
        name = type(self).__name__
        self.in_channels = positive_int(name, "in_channels", in_channels)
        self.out_channels = positive_int(name, "out_channels", out_channels)
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = pair(name, "stride", stride, 1)
        self.padding = pair(name, "padding", padding, 0)
        init.check_rng(name, rng)
        channels = (self.out_channels, self.in_channels) if transposed else (self.in_channels, self.out_channels)
        self._add_param("weight", init.glorot_uniform((*self.kernel_size, *channels), rng, dtype))
        if bias:
            self._add_param("bias", np.zeros(self.out_channels, dtype))

    def __repr__(self):
        return (
            f"{type(self).__name__}({self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding})"
        )

    def output_shape(self, input_shape):
        size = self._output_size(input_shape[:2])
        if min(size) < 1:
            raise InputError(
                f"{self!r}: an input of {tuple(input_shape[:2])} pixels gives an output of {size}; it needs larger "
                "pictures, a smaller kernel or another padding."
            )
        return (*size, self.out_channels)

    def _check_input(self, x):
        self._check_features(x, 4, self.in_channels, "(N, H, W, C)")
        self.output_shape(x.shape[1:])

    def _backward(self, grad_output, cache, need):
        grad_input, grad_weight, grad_bias = self._formula_backward(grad_output, cache, need)
        if need.params:
            self._accumulate("weight", grad_weight)
            self._accumulate("bias", grad_bias)
        return grad_input


class Conv2D(_Convolution):
    """Convolution of images (N, H, W, in_channels) -> (N, OH, OW, out_channels); formula in conv2d_forward.

    kernel_size, stride, padding: an int or (height, width). Pixels that the last stride does not reach are left out.
    params: weight (KH, KW, in_channels, out_channels), bias (out_channels,) unless bias=False.
    rng: the Generator that draws the weight (Glorot uniform); the bias starts at 0.
    """

    absorbs_leaky = True
    _formula_backward = staticmethod(conv2d_backward)

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True, rng=None, dtype=np.float32
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias, rng, dtype, transposed=False)

    def _output_size(self, size):
        return conv2d_output_size(size, self.kernel_size, self.stride, self.padding)

    def _forward(self, x, training, negative_slope=1):
        bias = self.params.get("bias")
        return conv2d_forward(x, self.params["weight"], bias, self.stride, self.padding, negative_slope)


class ConvTranspose2D(_Convolution):
    """Transposed convolution (N, H, W, in_channels) -> (N, OH, OW, out_channels), the adjoint of a Conv2D.

    kernel_size, stride, padding, output_padding: an int or (height, width). output_padding, smaller than the stride,
    chooses among the output sizes that a convolution would have mapped to this input size.
    params: weight (KH, KW, out_channels, in_channels), bias (out_channels,) unless bias=False.
    rng: the Generator that draws the weight (Glorot uniform); the bias starts at 0.
    """

    _formula_backward = staticmethod(conv_transpose2d_backward)

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        bias=True,
        rng=None,
        dtype=np.float32,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias, rng, dtype, transposed=True)
        self.output_padding = pair("ConvTranspose2D", "output_padding", output_padding, 0)
        if any(extra >= s for extra, s in zip(self.output_padding, self.stride, strict=True)):
            raise InputError(
                f"ConvTranspose2D: output_padding is {self.output_padding}, expected less than the stride "
                f"{self.stride}."
            )

    def _output_size(self, size):
        return conv_transpose2d_output_size(size, self.kernel_size, self.stride, self.padding, self.output_padding)

    def _forward(self, x, training):
        return conv_transpose2d_forward(
            x, self.params["weight"], self.params.get("bias"), self.stride, self.padding, self.output_padding
        )
