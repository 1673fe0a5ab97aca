"""Two layers without parameters that ProGAN brought (Karras et al. 2018): pixel norm in G, minibatch deviation in D."""

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


def minibatch_std_forward(x, num_splits=1):
    """y = [x, s]: one more channel, everywhere s = mean_f σ_f (Karras et al. 2018, section 3).

    f runs over all features at all places, and σ_f = √(var_f + 1e-8), whose slope stays finite where a
    feature is the same in all samples, with the biased variance of x_f over the whole batch, or over each of its
    `num_splits` equal consecutive parts, which then has its own s.
    x (N, C) or (N, H, W, C) -> out (N, C + 1) or (N, H, W, C + 1), cache.
    """
    grouped = x.reshape(num_splits, len(x) // num_splits, -1)
    deviation = grouped - grouped.mean(axis=1, keepdims=True)
    squares = np.square(deviation, dtype=np.float64)  # or they would overflow long before std does
    std = np.sqrt(squares.mean(axis=1, keepdims=True) + 1e-8).astype(x.dtype)
    out = np.empty((*x.shape[:-1], x.shape[-1] + 1), x.dtype)
    out[..., :-1] = x
    out.reshape(num_splits, -1, out.shape[-1])[..., -1] = std.mean(axis=2)
    return out, (deviation, std)


def minibatch_std_backward(grad_output, cache):
    """With ∂L/∂y = [g, h]: ∂L/∂x_nf = g_nf + (Σ h) (x_nf - mean_f) / (M F σ_f), for a part of M samples of F features.

    From ∂var_f/∂x_nf = 2 (x_nf - mean_f) / M, the mean's own share in it being Σ_n (x_nf - mean_f) = 0. Σ h is the sum
    over the part's samples and places. grad_output (N, …, C + 1) -> grad_input (N, …, C).
    """
    deviation, std = cache
    num_splits, size, features = deviation.shape
    grad_mean = grad_output[..., -1].reshape(num_splits, 1, -1).sum(axis=2, keepdims=True)
    grad = deviation * (grad_mean / (size * features * std))
    return grad.reshape(grad_output[..., :-1].shape) + grad_output[..., :-1]


class PixelNorm(Layer):
    """y = x / √(mean_c x² + eps) for (N, C) or (N, H, W, C): the mean square of each pixel's channels becomes 1, so
    that G's numbers cannot grow without end (Karras et al. 2018, section 4.2). A sample never sees its batch."""

    formula = Formula(pixel_norm_forward, pixel_norm_backward)
    input_axes = (2, 4)

    def __init__(self, eps=1e-8):
        super().__init__()
        self.eps = number("PixelNorm: eps", eps, above=0)

    def arguments(self):
        return (self.eps,)


class MinibatchStd(Layer):
    """(N, C) or (N, H, W, C) -> one more channel, constant: the mean standard deviation of the features over the batch,
    by which D tells a G whose samples are too much alike (Karras et al. 2018, section 3); formula in
    minibatch_std_forward.

    The deviation is over the whole batch, not over groups of 4 samples as in the authors' code; the same in training
    and in use. forward takes `num_splits`: of that many equal parts of a batch, real and fake say, each has its own.
    """

    uses_batch_statistics = True
    formula = Formula(minibatch_std_forward, minibatch_std_backward)
    input_axes = (2, 4)

    def output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def _forward(self, x, training, num_splits=1):
        self.check_splits(x, num_splits)
        return self.formula.forward(x, num_splits)
