"""Convolution and transposed convolution: each one's backward pass is the other's forward pass.

The same array is the weight of both: (KH, KW, C, O) of a convolution from C to O channels is that of the transposed
convolution from O to C. PH and PW are paddings, SH and SW strides.
"""

import numpy as np

from minigan import kernels
from minigan.base.errors import InputError
from minigan.layers.base import Layer, pair, positive_int
from minigan.layers.formula import Formula


def conv2d_output_size(size, kernel_size, stride, padding):
    """⌊(size + 2·padding - kernel_size) / stride⌋ + 1, per axis."""
    return tuple((s + 2 * p - k) // d + 1 for s, k, d, p in zip(size, kernel_size, stride, padding, strict=True))


def conv_transpose2d_output_size(size, kernel_size, stride, padding, output_padding):
    """(size - 1)·stride - 2·padding + kernel_size + output_padding, per axis."""
    axes = zip(size, kernel_size, stride, padding, output_padding, strict=True)
    return tuple((s - 1) * d - 2 * p + k + extra for s, k, d, p, extra in axes)


def windows_of(x, kernel_size, stride, padding):
    """-> (N, OH, OW, C, KH, KW), a view: [n, h, w, c, i, j] is x[n, h·SH + i - PH, w·SW + j - PW, c], 0 outside x."""
    (KH, KW), (SH, SW), (PH, PW) = kernel_size, stride, padding
    padded = np.pad(x, ((0, 0), (PH, PH), (PW, PW), (0, 0)))
    return np.lib.stride_tricks.sliding_window_view(padded, (KH, KW), axis=(1, 2))[:, ::SH, ::SW]


def add_windows(grad_output, weight, size, stride, padding):
    """-> (N, *size, C): each y[n, h, w, o] adds y · W[i, j, c, o] to the pixel (h·SH + i - PH, w·SW + j - PW), for all
    i, j and c; what falls outside is lost. Here y is grad_output (N, OH, OW, O), and weight (KH, KW, C, O)."""
    (N, OH, OW, _), (KH, KW, C, _), (H, W) = grad_output.shape, weight.shape, size
    (SH, SW), (PH, PW) = stride, padding
    padded = np.zeros((N, H + 2 * PH, W + 2 * PW, C), grad_output.dtype)
    for i, j in np.ndindex(KH, KW):
        padded[:, i : i + SH * OH : SH, j : j + SW * OW : SW] += grad_output @ weight[i, j].T
    return padded[:, PH : PH + H, PW : PW + W]


def conv2d_forward(x, weight, bias, stride, padding):
    """y[n, h, w, o] = b[o] + Σ_{i,j,c} x[n, h·SH + i - PH, w·SW + j - PW, c] · W[i, j, c, o], x being 0 outside.

    x (N, H, W, C), weight W (KH, KW, C, O), bias b (O,), or 0 for none, stride and padding pairs (height, width)
    -> out (N, OH, OW, O), cache.
    """
    windows = windows_of(x, weight.shape[:2], stride, padding)
    out = np.tensordot(windows, weight, axes=([4, 5, 3], [0, 1, 2])) + bias
    return out, (x.shape[1:3], windows, weight, stride, padding)


def conv2d_backward(grad_output, cache):
    """With g = ∂L/∂y: ∂L/∂W[i, j, c, o] = Σ_{n,h,w} x[n, h·SH + i - PH, w·SW + j - PW, c] · g[n, h, w, o];
    ∂L/∂x: each g[n, h, w, o] adds W[i, j, c, o] · g to the pixel it looked at; ∂L/∂b[o] = Σ_{n,h,w} g[n, h, w, o].

    grad_output (N, OH, OW, O) -> grad_input (N, H, W, C), grad_weight (KH, KW, C, O), grad_bias (O,).
    """
    size, windows, weight, stride, padding = cache
    grad_input = add_windows(grad_output, weight, size, stride, padding)
    grad_weight = np.einsum("nhwcij,nhwo->ijco", windows, grad_output, optimize=True)
    return grad_input, grad_weight, grad_output.sum(axis=(0, 1, 2))


def conv_transpose2d_forward(x, weight, bias, stride, padding, output_padding):
    """y[n, h·SH + i - PH, w·SW + j - PW, o] gets x[n, h, w, c] · W[i, j, o, c] from each h, w, i, j and c, and b[o].

    Each input pixel adds its value times the kernel to the output, `stride` pixels apart: the input gradient of the
    convolution with this weight, at grad_output = x (Dumoulin and Visin 2016, chapter 4).
    x (N, H, W, C), weight W (KH, KW, O, C), bias b (O,), or 0 for none, the rest pairs -> out (N, OH, OW, O), cache.
    """
    size = conv_transpose2d_output_size(x.shape[1:3], weight.shape[:2], stride, padding, output_padding)
    return add_windows(x, weight, size, stride, padding) + bias, (x, weight, stride, padding)


def conv_transpose2d_backward(grad_output, cache):
    """With g = ∂L/∂y: ∂L/∂x[n, h, w, c] = Σ_{i,j,o} g[n, h·SH + i - PH, w·SW + j - PW, o] · W[i, j, o, c], the
    convolution of g; ∂L/∂W[i, j, o, c] = Σ_{n,h,w} g[n, h·SH + i - PH, w·SW + j - PW, o] · x[n, h, w, c];
    ∂L/∂b[o] = Σ_{n,h,w} g[n, h, w, o].

    grad_output (N, OH, OW, O) -> grad_input (N, H, W, C), grad_weight (KH, KW, O, C), grad_bias (O,).
    """
    x, weight, stride, padding = cache
    windows = windows_of(grad_output, weight.shape[:2], stride, padding)
    grad_input = np.tensordot(windows, weight, axes=([4, 5, 3], [0, 1, 2]))
    grad_weight = np.einsum("nhwoij,nhwc->ijoc", windows, x, optimize=True)
    return grad_input, grad_weight, grad_output.sum(axis=(0, 1, 2))


def conv2d_jvp(t, cache):
    """J t is the convolution of t, without bias. t (N, H, W, C) -> (N, OH, OW, O)."""
    _, _, weight, stride, padding = cache
    return conv2d_forward(t, weight, 0, stride, padding)[0]


def conv2d_jvp_backward(s, t, cache):
    """∂⟨s, J t⟩/∂W is the weight's gradient with t in the place of x; by x and b it is 0."""
    _, _, weight, stride, padding = cache
    windows = windows_of(t, weight.shape[:2], stride, padding)
    return None, np.einsum("nhwcij,nhwo->ijco", windows, s, optimize=True), None


conv2d = Formula(conv2d_forward, conv2d_backward, conv2d_jvp, conv2d_jvp_backward, fast=kernels.conv2d)
conv_transpose2d = Formula(conv_transpose2d_forward, conv_transpose2d_backward, fast=kernels.conv_transpose2d)


class _Convolution(Layer):
    """What the two layers share; each has its own _output_size."""

    transposed = False
    shown = ("in_channels", "out_channels", "kernel_size=", "stride=", "padding=")
    input_axes = (4,)

    def __init__(
        self, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True, rng=None, dtype=np.float32
    ):
        super().__init__()
        name = type(self).__name__
        self.in_channels = self.input_features = positive_int(name, "in_channels", in_channels)
        self.out_channels = positive_int(name, "out_channels", out_channels)
        self.kernel_size = pair(name, "kernel_size", kernel_size, 1)
        self.stride = pair(name, "stride", stride, 1)
        self.padding = pair(name, "padding", padding, 0)
        channels = self.in_channels, self.out_channels
        self._add_weight("weight", (*self.kernel_size, *(channels[::-1] if self.transposed else channels)), rng, dtype)
        if bias:
            self._add_param("bias", np.zeros(self.out_channels, dtype))

    def output_shape(self, input_shape):
        size = self._output_size(input_shape[:2])
        if min(size) < 1:
            raise InputError(
                f"{self!r}: an input of {tuple(input_shape[:2])} pixels gives an output of {size}; it needs larger "
                "pictures, a smaller kernel or another padding."
            )
        return (*size, self.out_channels)

    def arguments(self):
        return self.params["weight"], self.params.get("bias", 0), self.stride, self.padding


class Conv2D(_Convolution):
    """Convolution of images (N, H, W, in_channels) -> (N, OH, OW, out_channels); formula in conv2d_forward.

    kernel_size, stride, padding: an int or (height, width). Pixels that the last stride does not reach are left out.
    params: weight (KH, KW, in_channels, out_channels), bias (out_channels,) unless bias=False.
    rng: the Generator that draws the weight (Glorot uniform); the bias starts at 0.
    """

    formula = conv2d

    def _output_size(self, size):
        return conv2d_output_size(size, self.kernel_size, self.stride, self.padding)


class ConvTranspose2D(_Convolution):
    """Transposed convolution (N, H, W, in_channels) -> (N, OH, OW, out_channels), the adjoint of a Conv2D; formula in
    conv_transpose2d_forward.

    kernel_size, stride, padding, output_padding: an int or (height, width). output_padding, smaller than the stride,
    chooses among the output sizes that a convolution would have mapped to this input size.
    params: weight (KH, KW, out_channels, in_channels), bias (out_channels,) unless bias=False.
    rng: the Generator that draws the weight (Glorot uniform); the bias starts at 0.
    """

    formula = conv_transpose2d
    transposed = True

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
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias, rng, dtype)
        self.output_padding = pair("ConvTranspose2D", "output_padding", output_padding, 0)
        if any(extra >= s for extra, s in zip(self.output_padding, self.stride, strict=True)):
            raise InputError(
                f"ConvTranspose2D: output_padding is {self.output_padding}, expected less than the stride "
                f"{self.stride}."
            )

    def _output_size(self, size):
        return conv_transpose2d_output_size(size, self.kernel_size, self.stride, self.padding, self.output_padding)

    def arguments(self):
        return (*super().arguments(), self.output_padding)
