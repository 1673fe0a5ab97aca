"""Pixel norm, which ProGAN brought to G (Karras et al. 2018)."""

import numpy as np

from minigan.base.ranges import number
from minigan.layers.base import Layer
from minigan.layers.formula import Formula


def pixel_norm_forward(x, eps):
    """y = r x with r = 1 / √(⟨x²⟩ + eps), ⟨·⟩ the mean over one pixel's channels (Karras et al. 2018, section 4.2).

    x (N, C) or (N, H, W, C) -> out like x, cache.
    """
    square = np.square(x, dtype=np.float64).mean(axis=-1, keepdims=True)  # float32 holds none beyond 1e19
    r = (1 / np.sqrt(square + eps)).astype(x.dtype)
    out = r * x
    return out, (out, r)


def pixel_norm_backward(grad_output, cache):
    """∂L/∂x = r (g - y ⟨g y⟩): what would lengthen a pixel's vector is taken out of g, since its length stays 1.

    From ∂r/∂x_c = -r³ x_c / C. grad_output like x -> grad_input like x.
    """
    out, r = cache
    return r * (grad_output - out * (grad_output * out).mean(axis=-1, keepdims=True))


class PixelNorm(Layer):
    """y = x / √(mean_c x² + eps) for (N, C) or (N, H, W, C): the mean square of each pixel's channels becomes 1, so
    that G's numbers cannot grow without end (Karras et al. 2018, section 4.2). A sample never sees its batch."""

    formula = Formula(pixel_norm_forward, pixel_norm_backward)
    settings = ("eps",)
    input_axes = (2, 4)

    def __init__(self, eps=1e-8):
        super().__init__()
        self.eps = number("PixelNorm: eps", eps, above=0)
