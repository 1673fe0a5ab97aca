"""Self-attention over the places of a picture (Zhang et al. 2019, SAGAN, section 3)."""

import numpy as np

from minigan import init
from minigan.kernels import gemm, memory, threads
from minigan.layers.base import EVERYTHING, Layer, positive_int


def attention_forward(queries, keys, values):
    """y_p = Σ_q β_pq v_q with β_pq = e^(s_pq) / Σ_r e^(s_pr) and s_pq = q_p · k_q, for each sample by itself.

    A row of β says how much place p attends to each place q. The row's largest score is subtracted before the
    exponential, so that none overflows. The cache holds β, which has N P Q entries: the square of the pixels.
    queries (N, P, D), keys (N, Q, D), values (N, Q, E) -> out (N, P, E), cache.
    """
    n, p, _ = queries.shape
    weights = memory.empty((n, p, keys.shape[1]), queries.dtype)
    out = memory.empty((n, p, values.shape[2]), queries.dtype)
    with threads.one_blas_thread:
        threads.run(_attend, n, 4 * weights.size, queries, keys, values, weights, out)
    return out, (queries, keys, values, weights, out)


def attention_backward(grad_output, cache):
    """With g = ∂L/∂y and b_pq = g_p · v_q, the gradient of β: the softmax gives ∂L/∂s_pq = β_pq (b_pq - Σ_r β_pr b_pr),
    and then ∂L/∂q_p = Σ_q ∂L/∂s_pq k_q, ∂L/∂k_q = Σ_p ∂L/∂s_pq q_p, ∂L/∂v_q = Σ_p β_pq g_p.

    The sum over r is there because raising one score lowers all other entries of the row; it equals g_p · y_p.
    grad_output (N, P, E) -> grad_queries (N, P, D), grad_keys (N, Q, D), grad_values (N, Q, E).
    """
    grads = tuple(memory.empty(array.shape, array.dtype) for array in cache[:3])
    with threads.one_blas_thread:
        threads.run(_attend_backward, len(grad_output), 4 * cache[3].size, grad_output, *cache, *grads)
    return grads


def _attend(start, stop, queries, keys, values, weights, out):
    """Samples start to stop of attention_forward, one at a time, since the scores of one fit in the cache."""
    for n in range(start, stop):
        beta = np.matmul(queries[n], keys[n].T, out=weights[n])
        beta -= beta.max(axis=1, keepdims=True)
        np.exp(beta, out=beta)
        beta /= beta.sum(axis=1, keepdims=True)
        np.matmul(beta, values[n], out=out[n])


def _attend_backward(
    start, stop, grad_output, queries, keys, values, weights, out, grad_queries, grad_keys, grad_values
):
    """Samples start to stop of attention_backward."""
    for n in range(start, stop):
        g, beta = grad_output[n], weights[n]
        grad_scores = g @ values[n].T
        grad_scores -= (g * out[n]).sum(axis=1, keepdims=True)
        grad_scores *= beta
        np.matmul(grad_scores, keys[n], out=grad_queries[n])
        np.matmul(grad_scores.T, queries[n], out=grad_keys[n])
        np.matmul(beta.T, g, out=grad_values[n])


def self_attention_forward(x, query, key, value, output, gamma):
    """y = x + γ o(a), where a_p = Σ_q β_pq h(x_q), β_pq is the softmax over q of f(x_q) · g(x_p), and f, g, h and o are
    1x1 convolutions without bias, that is, products of each pixel's channels with a matrix (Zhang et al. 2019,
    equations 1 to 3).

    In their words f(x) are the keys, g(x) the queries and h(x) the values. The places q are all of the picture's, not
    pooled. x (N, H, W, C), query and key (C, D), value (C, E), output (E, C), gamma (1,) -> out (N, H, W, C), cache.
    """
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[3])
    joined = np.concatenate((query, key, value), axis=1)  # one product in the place of three
    projected = _product(rows, joined).reshape(len(x), -1, joined.shape[1])
    borders = query.shape[1], query.shape[1] + key.shape[1]
    attended, cache = attention_forward(*np.split(projected, borders, axis=2))
    attended = attended.reshape(len(rows), -1)
    seen = _product(attended, output)
    out = np.multiply(seen, gamma, out=memory.empty(seen.shape, seen.dtype))
    out += rows
    return out.reshape(x.shape), (rows, joined, borders, cache, attended, output, seen, gamma)


def self_attention_backward(grad_output, cache, need=EVERYTHING):
    """With g = ∂L/∂y: ∂L/∂γ = Σ g · o(a); from γ g back through o, the attention and f, g, h as through dense layers;
    ∂L/∂x = g + what comes through f, g and h.

    grad_output (N, H, W, C) -> grad_input like it, grad_query, grad_key (C, D), grad_value (C, E), grad_output_weight
    (E, C), grad_gamma (1,); None for what `need` leaves out.
    """
    rows, joined, borders, attention, attended, output, seen, gamma = cache
    grad = np.ascontiguousarray(grad_output).reshape(rows.shape)
    grad_seen = gamma * grad
    grad_attended = _product(grad_seen, output.T).reshape(len(grad_output), -1, output.shape[0])
    grad_projected = np.concatenate(attention_backward(grad_attended, attention), axis=2).reshape(len(rows), -1)
    grad_input, grad_weights = None, (None,) * 5
    if need.params:
        grad_joined, grad_o = _product(rows.T, grad_projected), _product(attended.T, grad_seen)
        grad_gamma = (grad * seen).sum(dtype=np.float64, keepdims=True).reshape(1).astype(grad.dtype)
        grad_weights = (*map(np.ascontiguousarray, np.split(grad_joined, borders, axis=1)), grad_o, grad_gamma)
    if need.input:
        grad_input = _product(grad_projected, joined.T)
        grad_input += grad
        grad_input = grad_input.reshape(grad_output.shape)
    return grad_input, *grad_weights


def _product(a, b):
    return gemm.product(a, b, out=memory.empty((a.shape[0], b.shape[1]), a.dtype))


class SelfAttention2D(Layer):
    """Self-attention of pictures (N, H, W, channels), which it leaves in their shape: every place of a sample sees all
    others of it at once (Zhang et al. 2019); formula in self_attention_forward.

    Queries and keys have max(1, channels // reduction) features and values max(1, channels // 2), as in BigGAN (Brock
    et al. 2019), but the keys are not pooled. γ starts at 0, so that the layer starts as y = x and the other weights
    move only once γ has. Time and memory grow with N (H W)²: put it where the pictures are small.
    params: query.weight, key.weight (channels, D), value.weight (channels, E), output.weight (E, channels), which are
    1x1 convolutions without their two axes of length 1, and gamma (1,). No biases.
    rng: the Generator that draws the weights (Glorot uniform).
    """

    def __init__(self, channels, reduction=8, rng=None, dtype=np.float32):
        super().__init__()
        self.channels = positive_int("SelfAttention2D", "channels", channels)
        self.reduction = positive_int("SelfAttention2D", "reduction", reduction)
        init.check_rng("SelfAttention2D", rng)
        narrow, half = max(1, self.channels // self.reduction), max(1, self.channels // 2)
        for name, shape in {
            "query.weight": (self.channels, narrow),
            "key.weight": (self.channels, narrow),
            "value.weight": (self.channels, half),
            "output.weight": (half, self.channels),
        }.items():
            self._add_param(name, init.glorot_uniform(shape, rng, dtype))
        self._add_param("gamma", np.zeros(1, dtype))

    def __repr__(self):
        return f"SelfAttention2D({self.channels}, reduction={self.reduction})"

    def _check_input(self, x):
        self._check_features(x, 4, self.channels, "(N, H, W, C)")

    def _forward(self, x, training):
        return self_attention_forward(x, *self.params.values())

    def _backward(self, grad_output, cache, need):
        grad_input, *grads = self_attention_backward(grad_output, cache, need)
        if need.params:
            for name, grad in zip(self.params, grads, strict=True):
                self._accumulate(name, grad, need)
        return grad_input
