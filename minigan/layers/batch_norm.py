"""Batch normalisation (Ioffe and Szegedy 2015)."""

import numpy as np

from minigan import kernels
from minigan.base.errors import InputError
from minigan.base.ranges import number
from minigan.layers.base import Layer, joined, positive_int
from minigan.layers.formula import Formula


def channel_sum(x):
    """The sum over everything but the channels: (N, C) or (N, H, W, C) -> (C,), added up in float64."""
    return x.sum(axis=tuple(range(x.ndim - 1)), dtype=np.float64)


def batch_norm_forward(x, gamma, beta, eps):
    """y = γ x̂ + β with x̂ = (x - μ) / √(σ² + eps), μ and σ² the mean and biased variance of each channel.

    x (N, C) or (N, H, W, C), gamma γ and beta β (C,) -> out like x, cache, which begins with μ and σ² (C,) float64.
    """
    M = x.size / x.shape[-1]
    mean = channel_sum(x) / M
    var = channel_sum(np.square(x - mean)) / M
    inv_std = (1 / np.sqrt(var + eps)).astype(x.dtype)
    x_hat = (x - mean).astype(x.dtype) * inv_std
    return gamma * x_hat + beta, (mean, var, x_hat, inv_std, gamma)


def batch_norm_backward(grad_output, cache):
    """With g = ∂L/∂y: ∂L/∂x = γ/√(σ² + eps) · (g - mean(g) - x̂ · mean(g x̂)), ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g.

    The two means are there because μ and σ² depend on every x. -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    _, _, x_hat, inv_std, gamma = cache
    g, M = grad_output, grad_output.size / grad_output.shape[-1]
    grad_gamma, grad_beta = channel_sum(g * x_hat).astype(g.dtype), channel_sum(g).astype(g.dtype)
    grad_input = gamma * inv_std * (g - grad_beta / M - x_hat * (grad_gamma / M))
    return grad_input, grad_gamma, grad_beta


def batch_norm_inference_forward(x, gamma, beta, running_mean, running_var, eps):
    """y = γ x̂ + β with the running statistics in x̂, which are constants: a sample no longer sees its batch.

    x (N, C) or (N, H, W, C), the rest (C,) -> out like x, cache.
    """
    inv_std = (1 / np.sqrt(running_var.astype(np.float64) + eps)).astype(x.dtype)
    x_hat = (x - running_mean.astype(x.dtype)) * inv_std
    return gamma * x_hat + beta, (x_hat, inv_std, gamma)


def batch_norm_inference_backward(grad_output, cache):
    """With g = ∂L/∂y: ∂L/∂x = γ/√(σ² + eps) · g, ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g: no statistic depends on x.

    -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    x_hat, inv_std, gamma = cache
    g = grad_output
    return gamma * inv_std * g, channel_sum(g * x_hat).astype(g.dtype), channel_sum(g).astype(g.dtype)


batch_norm = Formula(batch_norm_forward, batch_norm_backward, fast=kernels.batch_norm)
batch_norm_inference = Formula(
    batch_norm_inference_forward, batch_norm_inference_backward, fast=kernels.batch_norm_inference
)


class Statistics(Layer):
    """What batch norm and its conditional form share: x̂, and the running statistics.

    momentum: the weight of the new statistic in the running one, as in PyTorch: r ← (1 - momentum) r + momentum s,
    where s is the batch's mean, or its unbiased variance. buffers: running_mean (C,), running_var (C,).
    """

    uses_batch_statistics = True
    input_axes = (2, 4)
    shown = ("num_features",)

    def __init__(self, num_features, momentum, eps, dtype):
        super().__init__()
        name = type(self).__name__
        self.num_features = self.input_features = positive_int(name, "num_features", num_features)
        self.momentum = number(f"{name}: momentum", momentum, above=0, most=1)
        self.eps = number(f"{name}: eps", eps, above=0)
        self.buffers["running_mean"] = np.zeros(num_features, dtype)
        self.buffers["running_var"] = np.ones(num_features, dtype)

    def _normalise(self, x, training, num_splits, gamma, beta):
        """γ x̂ + β and its cache: each of `num_splits` equal parts of the batch by itself, and the statistics moved once
        for each, in order; or, when not training, with the running statistics."""
        mean, var = self.buffers["running_mean"], self.buffers["running_var"]
        if not training:
            out, cache = batch_norm_inference.forward(x, gamma, beta, mean, var, self.eps)
            return out, (batch_norm_inference, [cache])
        count = self.check_splits(x, num_splits) * (x[0].size // self.num_features)
        if count < 2:
            raise InputError(
                f"{self!r}.forward: one value per channel has no variance; train with a batch of at least 2, or use "
                "training=False."
            )
        passes = [batch_norm.forward(part, gamma, beta, self.eps) for part in np.split(x, num_splits)]
        for _, (_, (batch_mean, batch_var, *_)) in passes:  # what batch_norm's cache begins with
            mean += self.momentum * (batch_mean - mean)
            var += self.momentum * (batch_var * (count / (count - 1)) - var)
        return joined([out for out, _ in passes]), (batch_norm, [cache for _, cache in passes])

    def _normalise_backward(self, grad_output, cache, need):
        """-> the gradients of x, γ and β."""
        formula, caches = cache
        pieces = zip(np.split(grad_output, len(caches)), caches, strict=True)
        grads, gammas, betas = zip(*(formula.backward(grad, each, need) for grad, each in pieces), strict=True)
        return joined(grads), sum(gammas), sum(betas)


class BatchNorm(Statistics):
    """Batch normalisation of (N, C) or (N, H, W, C), per channel; formula in batch_norm_forward.

    With training=False the running statistics are used (see Statistics), and the backward pass is that of a fixed
    affine map. Numbers beyond 1e19 are normalised too, but their variance is beyond a float32, so that running_var
    becomes infinite.
    params: gamma (C,) starting at 1, beta (C,) at 0. forward takes `num_splits`: a batch made of that many equal parts,
    such as real and fake images, is normalised part by part, and moves the running statistics once per part, in order.
    """

    def __init__(self, num_features, momentum=0.1, eps=1e-5, dtype=np.float32):
        super().__init__(num_features, momentum, eps, dtype)
        self._add_param("gamma", np.ones(num_features, dtype))
        self._add_param("beta", np.zeros(num_features, dtype))

    def _forward(self, x, training, num_splits=1):
        return self._normalise(x, training, num_splits, self.params["gamma"], self.params["beta"])

    def _backward(self, grad_output, cache, need):
        return self._share_out(self._normalise_backward(grad_output, cache, need), need.params)
