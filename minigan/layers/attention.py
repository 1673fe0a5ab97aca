"""Self-attention over the places of a picture (Zhang et al. 2019, SAGAN, section 3)."""

import numpy as np

from minigan import kernels
from minigan.layers.base import Layer, positive_int
from minigan.layers.formula import Formula


def attention_forward(queries, keys, values):
    """y_p = Σ_q β_pq v_q with β_pq = e^(s_pq) / Σ_r e^(s_pr) and s_pq = q_p · k_q, for each sample by itself.

    A row of β says how much place p attends to each place q. The row's largest score is subtracted before the
    exponential, so that none overflows. The cache holds β, which has N P Q entries: the square of the pixels.
    queries (N, P, D), keys (N, Q, D), values (N, Q, E) -> out (N, P, E), cache.
    """
    scores = queries @ keys.transpose(0, 2, 1)
    e = np.exp(scores - scores.max(axis=2, keepdims=True))
    beta = e / e.sum(axis=2, keepdims=True)
    return beta @ values, (queries, keys, values, beta)


def attention_backward(grad_output, cache):
    """With g = ∂L/∂y and b_pq = g_p · v_q, the gradient of β: the softmax gives ∂L/∂s_pq = β_pq (b_pq - Σ_r β_pr b_pr),
    and then ∂L/∂q_p = Σ_q ∂L/∂s_pq k_q, ∂L/∂k_q = Σ_p ∂L/∂s_pq q_p, ∂L/∂v_q = Σ_p β_pq g_p.

    The sum over r is there because raising one score lowers all other entries of the row.
    grad_output (N, P, E) -> grad_queries (N, P, D), grad_keys (N, Q, D), grad_values (N, Q, E).
    """
    queries, keys, values, beta = cache
    b = grad_output @ values.transpose(0, 2, 1)
    grad_scores = beta * (b - (beta * b).sum(axis=2, keepdims=True))
    return grad_scores @ keys, grad_scores.transpose(0, 2, 1) @ queries, beta.transpose(0, 2, 1) @ grad_output


def self_attention_forward(x, query, key, value, output, gamma):
    """y = x + γ o(a), where a_p = Σ_q β_pq h(x_q), β_pq is the softmax over q of f(x_q) · g(x_p), and f, g, h and o are
    1x1 convolutions without bias, that is, products of each pixel's channels with a matrix (Zhang et al. 2019,
    equations 1 to 3).

    In their words f(x) are the keys, g(x) the queries and h(x) the values. The places q are all of the picture's, not
    pooled. x (N, H, W, C), query and key (C, D), value (C, E), output (E, C), gamma (1,) -> out (N, H, W, C), cache.
    """
    rows = x.reshape(len(x), -1, x.shape[3])
    a, attention = attention_forward(rows @ query, rows @ key, rows @ value)
    seen = a @ output
    return x + gamma * seen.reshape(x.shape), (rows, query, key, value, output, gamma, attention, a, seen)


def self_attention_backward(grad_output, cache):
    """With g = ∂L/∂y: ∂L/∂γ = Σ g · o(a); from γ g back through o, the attention and f, g, h as through dense layers;
    ∂L/∂x = g + what comes through f, g and h.

    grad_output (N, H, W, C) -> grad_input like it, grad_query, grad_key (C, D), grad_value (C, E), grad_output_weight
    (E, C), grad_gamma (1,).
    """
    rows, query, key, value, output, gamma, attention, a, seen = cache
    g = grad_output.reshape(rows.shape)
    grad_gamma = (g * seen).sum(dtype=np.float64, keepdims=True).reshape(1).astype(g.dtype)
    grad_o = np.einsum("npe,npc->ec", a, gamma * g)
    grad_q, grad_k, grad_v = attention_backward((gamma * g) @ output.T, attention)
    grad_input = g + grad_q @ query.T + grad_k @ key.T + grad_v @ value.T
    grad_weights = (np.einsum("npc,npd->cd", rows, grad) for grad in (grad_q, grad_k, grad_v))
    return grad_input.reshape(grad_output.shape), *grad_weights, grad_o, grad_gamma


self_attention = Formula(self_attention_forward, self_attention_backward, fast=kernels.self_attention)


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

    formula = self_attention
    shown = ("channels", "reduction=")
    input_axes = (4,)

    def __init__(self, channels, reduction=8, rng=None, dtype=np.float32):
        super().__init__()
        self.channels = self.input_features = positive_int("SelfAttention2D", "channels", channels)
        self.reduction = positive_int("SelfAttention2D", "reduction", reduction)
        narrow, half = max(1, self.channels // self.reduction), max(1, self.channels // 2)
        self._add_weight("query.weight", (self.channels, narrow), rng, dtype)
        self._add_weight("key.weight", (self.channels, narrow), rng, dtype)
        self._add_weight("value.weight", (self.channels, half), rng, dtype)
        self._add_weight("output.weight", (half, self.channels), rng, dtype)
        self._add_param("gamma", np.zeros(1, dtype))
