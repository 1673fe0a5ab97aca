"""D sees how alike the samples of a batch are: minibatch deviation and minibatch discrimination."""

import numpy as np

from minigan.layers.base import Layer, positive_int
from minigan.layers.formula import Formula


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


def closeness_forward(m):
    """o_ib = Σ_{j≠i} c_b(i, j) with c_b(i, j) = e^(-‖m_ib - m_jb‖₁): how close sample i is to the others of its part.

    m (P, M, B, K): P parts, M samples of B kernels of K dimensions -> out (P, M, B), cache.
    """
    c = np.exp(-np.abs(m[:, :, None] - m[:, None]).sum(axis=4))
    c[:, np.arange(m.shape[1]), np.arange(m.shape[1])] = 0  # the sum is over j ≠ i
    return c.sum(axis=2), (m, c)


def closeness_backward(grad_output, cache):
    """With g = ∂L/∂o: ∂L/∂m_ibk = -Σ_j (g_ib + g_jb) c_b(i, j) sign(m_ibk - m_jbk).

    g_jb is there because c_b(i, j) is part of o_jb too. |·| has a kink at 0: where two samples have the very same
    number, 0 is taken for its slope, the mean of the slopes -1 and 1 on the two sides.
    grad_output (P, M, B) -> grad_m (P, M, B, K).
    """
    m, c = cache
    pull = (grad_output[:, :, None] + grad_output[:, None]) * c
    return -(pull[..., None] * np.sign(m[:, :, None] - m[:, None])).sum(axis=2)


def minibatch_discrimination_forward(x, weight, kernels, num_splits=1):
    """y = [x, o]: to each sample's features x_i the numbers o_i = o(x T) that say how close it is to the others.

    x (N, D), weight T (D, B K) for B = kernels, the columns of a kernel side by side; see closeness_forward for o.
    Each of the `num_splits` equal consecutive parts of the batch sees only itself. -> out (N, D + B), cache.
    """
    m = (x @ weight).reshape(num_splits, len(x) // num_splits, kernels, -1)
    o, close = closeness_forward(m)
    return np.concatenate([x, o.reshape(len(x), kernels)], axis=1), (x, weight, close)


def minibatch_discrimination_backward(grad_output, cache):
    """With ∂L/∂y = [g, h] and d = ∂L/∂(x T), made of h by closeness_backward: ∂L/∂x = g + d Tᵀ, ∂L/∂T = xᵀ d.

    grad_output (N, D + B) -> grad_input (N, D), grad_weight (D, B K).
    """
    x, weight, close = cache
    g, h = grad_output[:, : x.shape[1]], grad_output[:, x.shape[1] :]
    d = closeness_backward(h.reshape(close[1].shape[0], close[1].shape[1], -1), close).reshape(len(x), -1)
    return g + d @ weight.T, x.T @ d


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


class MinibatchDiscrimination(Layer):
    """(N, in_features) -> (N, in_features + kernels): appends how close each sample is to the others of its batch, by
    which D tells a G that makes the same sample all over (Salimans et al. 2016, section 3.2); formula in
    minibatch_discrimination_forward.

    The same in training and in use, where what is found for a sample depends on what it is shown with.
    params: weight (in_features, kernels · dimensions), the T of the paper. No bias, which differences would cancel.
    forward takes `num_splits`: a batch made of that many equal parts, such as real and fake, is compared part by part.
    rng: the Generator that draws the weight (Glorot uniform).
    """

    uses_batch_statistics = True
    formula = Formula(minibatch_discrimination_forward, minibatch_discrimination_backward)
    shown = ("in_features", "kernels=", "dimensions=")
    input_axes = (2,)

    def __init__(self, in_features, kernels=50, dimensions=5, rng=None, dtype=np.float32):
        super().__init__()
        self.in_features = self.input_features = positive_int("MinibatchDiscrimination", "in_features", in_features)
        self.kernels = positive_int("MinibatchDiscrimination", "kernels", kernels)
        self.dimensions = positive_int("MinibatchDiscrimination", "dimensions", dimensions)
        self._add_weight("weight", (in_features, kernels * dimensions), rng, dtype)

    def output_shape(self, input_shape):
        return (self.in_features + self.kernels,)

    def _forward(self, x, training, num_splits=1):
        self.check_splits(x, num_splits)
        return self.formula.forward(x, self.params["weight"], self.kernels, num_splits)
