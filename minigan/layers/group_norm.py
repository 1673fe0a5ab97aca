"""Normalisation of each sample by itself: group, instance and layer norm, one formula with different groups."""

import numpy as np

from minigan.errors import InputError
from minigan.kernels import group_norm
from minigan.layers.base import Layer, positive_int


def group_norm_forward(x, gamma, beta, groups, eps):
    """y = γ x̂ + β with x̂ = (x - μ) / √(σ² + eps) (Wu and He 2018, equations 1, 2, 6 and 7).

    μ and σ² are the mean and biased variance over the pixels and channels of one group in one sample; a group is one
    of `groups` equal runs of neighbouring channels. x (N, C) or (N, H, W, C), gamma and beta (C,), C a multiple of
    `groups` -> out like x, cache.
    """
    samples = _samples(x)
    out, mean, inv_std = group_norm.normalise(samples, gamma, beta, groups, eps)
    return out.reshape(x.shape), (samples, mean, inv_std, gamma, groups)


def group_norm_backward(grad_output, cache):
    """With h = γ g: ∂L/∂x = 1/√(σ² + eps) · (h - ⟨h⟩ - x̂ ⟨h x̂⟩), ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g.

    ⟨·⟩ is the mean over a group; the two are there because μ and σ² depend on every x of the group. γ differs within
    a group, so that it stands inside these means, unlike in batch norm.
    -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    grad_input, grad_gamma, grad_beta = group_norm.normalise_backward(_samples(grad_output), *cache)
    return grad_input.reshape(grad_output.shape), grad_gamma, grad_beta


def group_norm_tangent(t, cache):
    """J t = γ/√(σ² + eps) · (t - ⟨t⟩ - x̂ ⟨t x̂⟩), how y changes as x moves along t.

    t like x -> J t like x. The Jacobian of x̂ is a symmetric matrix P, so J = γ P while the backward pass is Jᵀ = P γ:
    this is the backward pass with γ = 1, then times γ.
    """
    samples, mean, inv_std, gamma, groups = cache
    moved, _, _ = group_norm.normalise_backward(_samples(t), samples, mean, inv_std, np.ones_like(gamma), groups)
    moved *= gamma
    return moved.reshape(t.shape)


def group_norm_tangent_backward(s, t, cache):
    """The gradient of Φ = ⟪s, J t⟫, the sum of s · J t over all entries, with s and t constant.

    Let r = 1/√(σ² + eps), h = γ s, p = ⟨h x̂⟩, q = ⟨t x̂⟩ and c = ⟨h t⟩ - ⟨h⟩⟨t⟩. A group of M entries gives
    Φ = M r (c - p q). As x moves along w, r changes by -r² ⟨x̂ w⟩ and x̂ by r (w - ⟨w⟩ - x̂ ⟨x̂ w⟩), hence p by
    r (⟨h w⟩ - ⟨h⟩⟨w⟩ - p ⟨x̂ w⟩) and q likewise, while c stays. Collecting what stands beside each entry of w:

        ∂Φ/∂x = -r² (x̂ (c - 3 p q) + q (h - ⟨h⟩) + p (t - ⟨t⟩)),    ∂Φ/∂γ = Σ s r (t - ⟨t⟩ - x̂ q),    ∂Φ/∂β = 0.

    Nowhere is ⟨x̂²⟩ = 1 used, which eps makes untrue.
    s and t like x -> grad_input like x, grad_gamma (C,).
    """
    grad_input, grad_gamma = group_norm.normalise_tangent_backward(_samples(s), _samples(t), *cache)
    return grad_input.reshape(s.shape), grad_gamma


def _samples(x):
    """x as the kernels see it, (N, pixels, C)."""
    return np.ascontiguousarray(x).reshape(len(x), -1, x.shape[-1])


class GroupNorm(Layer):
    """Group normalisation of (N, C) or (N, H, W, C) (Wu and He 2018); formula in group_norm_forward.

    num_groups divides num_channels. There are no running statistics: the layer does the same in training and in use,
    and a sample never sees its batch. Every mean must be over two numbers or more, since (x - μ) of one number is 0.
    params: gamma (num_channels,) starting at 1, beta (num_channels,) at 0.
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, dtype=np.float32):
        super().__init__()
        owner = type(self).__name__
        self.num_groups = positive_int(owner, "num_groups", num_groups)
        self.num_channels = positive_int(owner, "num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise InputError(
                f"{owner}: num_groups is {num_groups}, expected a divisor of num_channels, which is {num_channels}."
            )
        if not eps > 0:
            raise InputError(f"{owner}: eps is {eps!r}, expected a small positive number.")
        self.eps = eps
        self._add_param("gamma", np.ones(self.num_channels, dtype))
        self._add_param("beta", np.zeros(self.num_channels, dtype))

    def __repr__(self):
        return f"GroupNorm({self.num_groups}, {self.num_channels})"

    def _check_input(self, x):
        if x.ndim not in (2, 4):
            raise InputError(f"{self!r}.forward: x has shape {x.shape}, expected (N, C) or (N, H, W, C).")
        self._check_features(x, x.ndim, self.num_channels, "(N, C) or (N, H, W, C)")
        if x[0].size == self.num_groups:
            raise InputError(
                f"{self!r}.forward: x has shape {x.shape}, so that each mean would be over a single number and the "
                "output beta whatever x is; expected more pixels, or more channels in a group."
            )

    def _forward(self, x, training):
        return group_norm_forward(x, self.params["gamma"], self.params["beta"], self.num_groups, self.eps)

    def _backward(self, grad_output, cache, need):
        grad_input, grad_gamma, grad_beta = group_norm_backward(grad_output, cache)
        if need.params:
            self._accumulate("gamma", grad_gamma, need)
            self._accumulate("beta", grad_beta, need)
        return grad_input

    def _tangent(self, t, cache):
        """J t, the derivative of the output along t (like x), at the input of the forward that returned `cache`."""
        return group_norm_tangent(t, cache)

    def _tangent_backward(self, s, t, cache, need):
        """∂/∂x of ⟪s, J t⟫, like x, for constant s (like the output) and t (like x); ∂/∂γ goes to `grads`."""
        grad_input, grad_gamma = group_norm_tangent_backward(s, t, cache)
        if need.params:
            self._accumulate("gamma", grad_gamma, need)
            self._accumulate("beta", np.zeros_like(grad_gamma), need)  # matters where gradients are to be replaced
        return grad_input


class InstanceNorm(GroupNorm):
    """Instance normalisation (Ulyanov et al. 2016): a group is one channel, so x (N, H, W, C) of two pixels or more.

    GroupNorm(num_features, num_features); with learnt γ and β per channel.
    """

    def __init__(self, num_features, eps=1e-5, dtype=np.float32):
        features = positive_int("InstanceNorm", "num_features", num_features)
        super().__init__(features, features, eps, dtype)

    def __repr__(self):
        return f"InstanceNorm({self.num_channels})"


class LayerNorm(GroupNorm):
    """Layer normalisation (Ba et al. 2016): one group, so the mean and variance of everything in a sample.

    GroupNorm(1, num_features). γ and β are per channel, shared by all pixels, so that pictures may have any size; for
    x (N, C) that is the paper's one gain and bias per unit.
    """

    def __init__(self, num_features, eps=1e-5, dtype=np.float32):
        super().__init__(1, positive_int("LayerNorm", "num_features", num_features), eps, dtype)

    def __repr__(self):
        return f"LayerNorm({self.num_channels})"
