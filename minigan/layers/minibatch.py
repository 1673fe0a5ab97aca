"""Minibatch discrimination: D sees how alike the samples of a batch are (Salimans et al. 2016, section 3.2)."""

import numpy as np

from minigan import init
from minigan.errors import InputError
from minigan.kernels import gemm, memory, threads
from minigan.layers.base import EVERYTHING, Layer, positive_int


def check_parts(layer, x, parts):
    """How many samples are in each of the `parts` equal consecutive parts of x; InputError if they cannot be equal.

    For layers whose samples see each other: real and fake pictures go through D in one batch of two parts, and a part
    must not see the other.
    """
    if len(x) % positive_int(repr(layer), "parts", parts):
        raise InputError(f"{layer!r}.forward: a batch of {len(x)} cannot be split into {parts} equal parts.")
    return len(x) // parts


def closeness_forward(m):
    """o_ib = Σ_{j≠i} c_b(i, j) with c_b(i, j) = e^(-‖m_ib - m_jb‖₁): how close sample i is to the others of its part.

    m (P, M, B, K): P parts, M samples of B kernels of K dimensions -> out (P, M, B), cache.
    """
    parts, size, kernels, _ = m.shape
    closeness = memory.empty((parts, size, size, kernels), m.dtype)
    threads.run(_closeness, parts * size, 2 * size * m.size, m, closeness)
    return closeness.sum(axis=2), (m, closeness)


def closeness_backward(grad_output, cache):
    """With g = ∂L/∂o: ∂L/∂m_ibk = -Σ_j (g_ib + g_jb) c_b(i, j) sign(m_ibk - m_jbk).

    g_jb is there because c_b(i, j) is part of o_jb too. |·| has a kink at 0: where two samples have the very same
    number, 0 is taken for its slope, the mean of the slopes -1 and 1 on the two sides.
    grad_output (P, M, B) -> grad_m (P, M, B, K).
    """
    m, closeness = cache
    grad_m = memory.empty(m.shape, m.dtype)
    threads.run(_closeness_backward, len(m) * m.shape[1], 2 * m.shape[1] * m.size, grad_output, m, closeness, grad_m)
    return grad_m


def _closeness(start, stop, m, closeness):
    """Samples start to stop, counted through all parts, of closeness_forward's c."""
    for part, i in _samples(start, stop, m.shape[1]):
        closeness[part, i] = np.exp(-np.abs(m[part, i] - m[part]).sum(axis=-1))
        closeness[part, i, i] = 0  # the sum is over j ≠ i


def _closeness_backward(start, stop, grad_output, m, closeness, grad_m):
    """Samples start to stop, counted through all parts, of closeness_backward."""
    for part, i in _samples(start, stop, m.shape[1]):
        pull = (grad_output[part, i] + grad_output[part]) * closeness[part, i]
        grad_m[part, i] = -(pull[..., None] * np.sign(m[part, i] - m[part])).sum(axis=0)


def _samples(start, stop, size):
    return (divmod(n, size) for n in range(start, stop))


def minibatch_discrimination_forward(x, weight, kernels, parts=1):
    """y = [x, o]: to each sample's features x_i the numbers o_i = o(x T) that say how close it is to the others.

    x (N, D), weight T (D, B K) for B = kernels, the columns of a kernel side by side; see closeness_forward for o.
    Each of the `parts` equal consecutive parts of the batch sees only itself. -> out (N, D + B), cache.
    """
    m = gemm.product(x, weight, out=memory.empty((len(x), weight.shape[1]), x.dtype))
    close, cache = closeness_forward(m.reshape(parts, -1, kernels, weight.shape[1] // kernels))
    out = memory.empty((len(x), x.shape[1] + kernels), x.dtype)
    return np.concatenate([x, close.reshape(len(x), kernels)], axis=1, out=out), (x, weight, cache)


def minibatch_discrimination_backward(grad_output, cache, need=EVERYTHING):
    """With ∂L/∂y = [g, h] and d = ∂L/∂(x T), made of h by closeness_backward: ∂L/∂x = g + d Tᵀ, ∂L/∂T = xᵀ d.

    grad_output (N, D + B) -> grad_input (N, D), grad_weight (D, B K); None for what `need` leaves out.
    """
    x, weight, close = cache
    own, more = grad_output[:, : x.shape[1]], grad_output[:, x.shape[1] :]
    grad_m = closeness_backward(more.reshape(close[0].shape[:3]), close).reshape(len(x), -1)
    grad_input = grad_weight = None
    if need.params:
        grad_weight = gemm.product(x.T, grad_m, out=memory.empty(weight.shape, weight.dtype))
    if need.input:
        grad_input = gemm.product(grad_m, weight.T, out=memory.empty(x.shape, x.dtype))
        grad_input += own
    return grad_input, grad_weight


class MinibatchDiscrimination(Layer):
    """(N, in_features) -> (N, in_features + kernels): appends how close each sample is to the others of its batch, by
    which D tells a G that makes the same sample all over (Salimans et al. 2016, section 3.2); formula in
    minibatch_discrimination_forward.

    The same in training and in use, where what is found for a sample depends on what it is shown with.
    params: weight (in_features, kernels · dimensions), the T of the paper. No bias, which differences would cancel.
    forward takes `parts`: a batch made of that many equal parts, such as real and fake, is compared part by part.
    rng: the Generator that draws the weight (Glorot uniform).
    """

    mixes_samples = True

    def __init__(self, in_features, kernels=50, dimensions=5, rng=None, dtype=np.float32):
        super().__init__()
        self.in_features = positive_int("MinibatchDiscrimination", "in_features", in_features)
        self.kernels = positive_int("MinibatchDiscrimination", "kernels", kernels)
        self.dimensions = positive_int("MinibatchDiscrimination", "dimensions", dimensions)
        init.check_rng("MinibatchDiscrimination", rng)
        self._add_param("weight", init.glorot_uniform((in_features, kernels * dimensions), rng, dtype))

    def __repr__(self):
        return f"MinibatchDiscrimination({self.in_features}, kernels={self.kernels}, dimensions={self.dimensions})"

    def output_shape(self, input_shape):
        return (self.in_features + self.kernels,)

    def _check_input(self, x):
        self._check_features(x, 2, self.in_features, f"(N, {self.in_features})")

    def _forward(self, x, training, parts=1):
        check_parts(self, x, parts)
        return minibatch_discrimination_forward(x, self.params["weight"], self.kernels, parts)

    def _backward(self, grad_output, cache, need):
        grad_input, grad_weight = minibatch_discrimination_backward(grad_output, cache, need)
        if need.params:
            self._accumulate("weight", grad_weight, need)
        return grad_input
