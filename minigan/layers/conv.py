"""Convolution and transposed convolution: the same matrix products, read in the two directions.

A convolution's input gradient, taken by itself as a layer, is the transposed convolution: the same array is the weight
of both, and each one's backward pass is the other's forward pass.
"""

import numpy as np

from minigan import init
from minigan.errors import InputError
from minigan.kernels import lowering, pointwise
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
    None, stride and padding pairs -> out (N, OH, OW, O), cache. As matrices M = V U, see kernels/lowering.py.
    """
    size = conv2d_output_size(x.shape[1:3], weight.shape[:2], stride, padding)
    way = lowering.lowering(x.shape, weight.shape, stride, padding, size, x.dtype)
    x, u = np.ascontiguousarray(x), way.weight_side(weight)
    out = lowering.convolve(way, x, u, bias, negative_slope)
    return out, (way, x, u, out, negative_slope)


def conv2d_backward(grad_output, cache, need=EVERYTHING):
    """With g = grad_output · a': ∂L/∂b = Σ_{n,h,w} g, and with dM made of g, ∂L/∂W from dU = Vᵀ dM, ∂L/∂x from dM Uᵀ.

    grad_output (N, OH, OW, O) -> grad_input (N, H, W, C), grad_weight (KH, KW, C, O), grad_bias (O,); None for what
    `need` leaves out.
    """
    way, x, u, out, negative_slope = cache
    rows = np.ascontiguousarray(grad_output).reshape(-1, out.shape[3])
    grad, grad_bias = pointwise.add_bias_backward(rows, out.reshape(rows.shape), negative_slope)
    grad_input, grad_weight = lowering.convolve_backward(way, grad.reshape(out.shape), x, u, need)
    return grad_input, grad_weight, grad_bias


def conv_transpose2d_forward(x, weight, bias, stride, padding, output_padding):
    """y = the input gradient of the convolution with this weight, at grad_output = x, plus b: each input pixel adds its
    value times the kernel to the output, `stride` pixels apart (Dumoulin and Visin 2016, chapter 4).

    x (N, H, W, C), weight (KH, KW, O, C), bias (O,) or None, the rest pairs -> out (N, OH, OW, O), cache. As matrices
    dV = dM Uᵀ with dM made of x, see kernels/lowering.py.
    """
    size = conv_transpose2d_output_size(x.shape[1:3], weight.shape[:2], stride, padding, output_padding)
    shape = (len(x), *size, weight.shape[2])
    way = lowering.lowering(shape, weight.shape, stride, padding, x.shape[1:3], x.dtype)
    x, u = np.ascontiguousarray(x), way.weight_side(weight)
    return lowering.convolve_transposed(way, x, u, bias), (way, x, u)


def conv_transpose2d_backward(grad_output, cache, need=EVERYTHING):
    """With g = grad_output: ∂L/∂b = Σ_{n,h,w} g, and with V made of g, ∂L/∂W from dU = Vᵀ dM, and ∂L/∂x from M = V U:
    the convolution of g.

    grad_output (N, OH, OW, O) -> grad_input (N, H, W, C), grad_weight (KH, KW, O, C), grad_bias (O,); None for what
    `need` leaves out.
    """
    way, x, u = cache
    grad = np.ascontiguousarray(grad_output)
    grad_input, grad_weight = lowering.convolve_transposed_backward(way, grad, x, u, need)
    _, grad_bias = (
        pointwise.add_bias_backward(grad.reshape(-1, grad.shape[3]), None, 1) if need.params else (None, None)
    )
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
            self._accumulate("weight", grad_weight, need)
            self._accumulate("bias", grad_bias, need)
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
