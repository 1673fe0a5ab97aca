"""What a class says to G's layers: a vector for each class, and a batch norm whose γ and β depend on a vector."""

import numpy as np

from minigan import init
from minigan.base.errors import InputError
from minigan.layers.base import positive_int
from minigan.layers.batch_norm import Statistics


def embedding_forward(indices, weight):
    """y_n = W[i_n], the row of W that belongs to the index.

    indices (N,) whole numbers in 0 … K - 1, weight (K, E) -> out (N, E), cache. Raises InputError for other indices,
    since NumPy would count negative ones from the end.
    """
    indices = np.asarray(indices)
    count = len(weight)
    if indices.ndim != 1 or indices.dtype.kind not in "iu" or np.any(indices < 0) or np.any(indices >= count):
        raise InputError(
            f"embedding_forward: indices are {indices.dtype} {indices.shape}, expected whole numbers (N,) from 0 to "
            f"{count - 1}."
        )
    return weight[indices], (indices, count)


def embedding_backward(grad_output, cache):
    """∂L/∂W[k] = Σ_{n: i_n = k} g_n: equal indices add up.

    grad_output (N, E) -> grad_weight (K, E); rows that no index named get 0.
    """
    indices, count = cache
    grad_weight = np.zeros((count, grad_output.shape[1]), grad_output.dtype)
    np.add.at(grad_weight, indices, grad_output)
    return grad_weight


def conditional_affine_forward(x, condition, gamma_weight, beta_weight):
    """y = γ(c) x + β(c) with γ(c) = 1 + c W_γ and β(c) = c W_β, a number per sample and channel.

    x (N, C) or (N, H, W, C), condition c (N, E), gamma_weight and beta_weight (E, C) -> out like x, cache.
    """
    samples = x.reshape(len(x), -1, x.shape[-1])
    gamma, beta = 1 + condition @ gamma_weight, condition @ beta_weight
    out = gamma[:, None] * samples + beta[:, None]
    return out.reshape(x.shape), (samples, condition, gamma_weight, beta_weight, gamma)


def conditional_affine_backward(grad_output, cache):
    """With g = ∂L/∂y, d_γ = Σ g x and d_β = Σ g, the sums over each sample's places: ∂L/∂x = γ(c) g,
    ∂L/∂c = d_γ W_γᵀ + d_β W_βᵀ, ∂L/∂W_γ = cᵀ d_γ, ∂L/∂W_β = cᵀ d_β.

    grad_output like x -> grad_input like x, grad_condition (N, E), grad_gamma_weight and grad_beta_weight (E, C).
    """
    samples, condition, gamma_weight, beta_weight, gamma = cache
    grad = grad_output.reshape(samples.shape)
    grad_gamma, grad_beta = np.einsum("npc,npc->nc", grad, samples), grad.sum(axis=1)
    grad_condition = grad_gamma @ gamma_weight.T + grad_beta @ beta_weight.T
    grad_input = (gamma[:, None] * grad).reshape(grad_output.shape)
    return grad_input, grad_condition, condition.T @ grad_gamma, condition.T @ grad_beta


class ConditionalBatchNorm(Statistics):
    """Batch norm whose γ and β come from a vector c per sample: y = (1 + c W_γ) x̂ + c W_β, x̂ as in batch_norm_forward
    (de Vries et al. 2017; Miyato et al. 2018, projection discriminator; this form Brock et al. 2019, BigGAN).

    forward(x, c) takes x (N, C) or (N, H, W, C) and c (N, in_features); backward returns both gradients. So it fits in
    no Sequential, but in a block that passes c on. Running statistics as in BatchNorm, and `num_splits` too.
    params: gamma.weight W_γ and beta.weight W_β, both (in_features, num_features), drawn from N(0, 0.02²), so that it
    starts near a plain batch norm. buffers: running_mean, running_var (num_features,).
    """

    shown = ("num_features", "in_features")

    def __init__(self, num_features, in_features, rng=None, dtype=np.float32):
        super().__init__(num_features, 0.1, 1e-5, dtype)
        self.in_features = positive_int("ConditionalBatchNorm", "in_features", in_features)
        for name in ("gamma.weight", "beta.weight"):
            self._add_weight(name, (self.in_features, self.num_features), rng, dtype, init.normal)

    def forward(self, x, condition, training=True, num_splits=1):
        """y for x under `condition`; see Layer.forward. num_splits: equal parts of the batch, normalised apart."""
        return super().forward(x, training, condition=condition, num_splits=num_splits)

    def backward(self, grad_output, need_param_grads=True, need_input_grad=True):
        """-> (∂L/∂x, ∂L/∂condition); see Layer.backward. Both are always computed."""
        return super().backward(grad_output, need_param_grads)

    def _forward(self, x, training, condition, num_splits):
        self._check_array("forward", "condition", condition)
        if condition.shape != (len(x), self.in_features):
            raise InputError(
                f"{self!r}.forward: condition has shape {condition.shape}, expected {(len(x), self.in_features)}, a "
                "row for each sample of x."
            )
        one, nothing = np.ones(self.num_features, x.dtype), np.zeros(self.num_features, x.dtype)
        normal, norm_cache = self._normalise(x, training, num_splits, one, nothing)
        out, affine_cache = conditional_affine_forward(
            normal, condition, self.params["gamma.weight"], self.params["beta.weight"]
        )
        return out, (norm_cache, affine_cache)

    def _backward(self, grad_output, cache, need):
        norm_cache, affine_cache = cache
        grad_normal, grad_condition, *grads = conditional_affine_backward(grad_output, affine_cache)
        self._share_out((grad_normal, *grads), need.params)
        return self._normalise_backward(grad_normal, norm_cache, need)[0], grad_condition
