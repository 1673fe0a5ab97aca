"""Normalisation of each sample by itself: group, instance and layer norm, one formula with different groups."""

import numpy as np

from minigan import kernels
from minigan.base.errors import InputError
from minigan.base.ranges import number
from minigan.layers.base import Layer, positive_int
from minigan.layers.formula import Formula


def group_mean(x, groups):
    """⟨x⟩: the mean over the pixels and the channels of one group in one sample, for each of them: (N, …, C) -> like x.

    float64, so that nothing overflows on the way.
    """
    grouped = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
    mean = grouped.mean(axis=(1, 3), keepdims=True, dtype=np.float64)
    return np.broadcast_to(mean, grouped.shape).reshape(x.shape)


def group_norm_forward(x, gamma, beta, groups, eps):
    """y = γ x̂ + β with x̂ = (x - μ) / √(σ² + eps) (Wu and He 2018, equations 1, 2, 6 and 7).

    μ = ⟨x⟩ and σ² = ⟨(x - μ)²⟩ are over the pixels and channels of one group in one sample; a group is one of `groups`
    equal runs of neighbouring channels. x (N, C) or (N, H, W, C), gamma and beta (C,), C a multiple of `groups`
    -> out like x, cache.
    """
    deviation = x - group_mean(x, groups)
    r = 1 / np.sqrt(group_mean(deviation**2, groups) + eps)
    x_hat = deviation * r
    return (gamma * x_hat + beta).astype(x.dtype), (x_hat, r, gamma, groups)


def group_norm_backward(grad_output, cache):
    """With r = 1/√(σ² + eps) and h = γ g: ∂L/∂x = r (h - ⟨h⟩ - x̂ ⟨h x̂⟩), ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g.

    ⟨·⟩ is the mean over a group; the two are there because μ and σ² depend on every x of the group. γ differs within
    a group, so that it stands inside these means, unlike in batch norm.
    -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    x_hat, r, gamma, groups = cache
    g, over = grad_output, tuple(range(grad_output.ndim - 1))
    h = gamma * g
    grad_input = r * (h - group_mean(h, groups) - x_hat * group_mean(h * x_hat, groups))
    return tuple(grad.astype(g.dtype) for grad in (grad_input, (g * x_hat).sum(axis=over), g.sum(axis=over)))


def group_norm_jvp(t, cache):
    """J t = γ r (t - ⟨t⟩ - x̂ ⟨t x̂⟩), how y changes as x moves along t. t like x -> J t like x."""
    x_hat, r, gamma, groups = cache
    return (gamma * r * (t - group_mean(t, groups) - x_hat * group_mean(t * x_hat, groups))).astype(t.dtype)


def group_norm_jvp_backward(s, t, cache):
    """The gradient of Φ = ⟪s, J t⟫, the sum of s · J t over all entries, with s and t constant.

    Let h = γ s, p = ⟨h x̂⟩, q = ⟨t x̂⟩ and c = ⟨h t⟩ - ⟨h⟩⟨t⟩. A group of M entries gives Φ = M r (c - p q). As x moves
    along w, r changes by -r² ⟨x̂ w⟩ and x̂ by r (w - ⟨w⟩ - x̂ ⟨x̂ w⟩), hence p by r (⟨h w⟩ - ⟨h⟩⟨w⟩ - p ⟨x̂ w⟩) and q
    likewise, while c stays. Collecting what stands beside each entry of w:
        ∂Φ/∂x = -r² (x̂ (c - 3 p q) + q (h - ⟨h⟩) + p (t - ⟨t⟩)),    ∂Φ/∂γ = Σ s r (t - ⟨t⟩ - x̂ q),    ∂Φ/∂β = 0.
    Nowhere is ⟨x̂²⟩ = 1 used, which eps makes untrue.
    s and t like x -> grad_input like x, grad_gamma (C,), None.
    """
    x_hat, r, gamma, groups = cache
    h = gamma * s
    mean_h, mean_t, p, q = (group_mean(a, groups) for a in (h, t, h * x_hat, t * x_hat))
    c = group_mean(h * t, groups) - mean_h * mean_t
    grad_input = -(r**2) * (x_hat * (c - 3 * p * q) + q * (h - mean_h) + p * (t - mean_t))
    grad_gamma = (s * r * (t - mean_t - x_hat * q)).sum(axis=tuple(range(s.ndim - 1)))
    return grad_input.astype(s.dtype), grad_gamma.astype(s.dtype), None


group_norm = Formula(
    group_norm_forward, group_norm_backward, group_norm_jvp, group_norm_jvp_backward, fast=kernels.group_norm
)


class GroupNorm(Layer):
    """Group normalisation of (N, C) or (N, H, W, C) (Wu and He 2018); formula in group_norm_forward.

    num_groups divides num_channels. There are no running statistics: the layer does the same in training and in use,
    and a sample never sees its batch. Every mean must be over two numbers or more, since (x - μ) of one number is 0.
    params: gamma (num_channels,) starting at 1, beta (num_channels,) at 0.
    """

    formula = group_norm
    settings = ("num_groups", "eps")
    shown = ("num_groups", "num_channels")
    input_axes = (2, 4)

    def __init__(self, num_groups, num_channels, eps=1e-5, dtype=np.float32):
        super().__init__()
        owner = type(self).__name__
        self.num_groups = positive_int(owner, "num_groups", num_groups)
        self.num_channels = self.input_features = positive_int(owner, "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise InputError(
                f"{owner}: num_groups is {num_groups}, expected a divisor of num_channels, which is {num_channels}."
            )
        self.eps = number(f"{owner}: eps", eps, above=0)
        self._add_param("gamma", np.ones(self.num_channels, dtype))
        self._add_param("beta", np.zeros(self.num_channels, dtype))

    def _check_input(self, x):
        super()._check_input(x)
        if x[0].size == self.num_groups:
            raise InputError(
                f"{self!r}.forward: x has shape {x.shape}, so that each mean would be over a single number and the "
                "output beta whatever x is; expected more pixels, or more channels in a group."
            )


class InstanceNorm(GroupNorm):
    """Instance normalisation (Ulyanov et al. 2016): a group is one channel, so x (N, H, W, C) of two pixels or more.

    GroupNorm(num_features, num_features); with learnt γ and β per channel.
    """

    shown = ("num_channels",)

    def __init__(self, num_features, eps=1e-5, dtype=np.float32):
        features = positive_int("InstanceNorm", "num_features", num_features)
        super().__init__(features, features, eps, dtype)


class LayerNorm(GroupNorm):
    """Layer normalisation (Ba et al. 2016): one group, so the mean and variance of everything in a sample.

    GroupNorm(1, num_features). γ and β are per channel, shared by all pixels, so that pictures may have any size; for
    x (N, C) that is the paper's one gain and bias per unit.
    """

    shown = ("num_channels",)

    def __init__(self, num_features, eps=1e-5, dtype=np.float32):
        super().__init__(1, positive_int("LayerNorm", "num_features", num_features), eps, dtype)
