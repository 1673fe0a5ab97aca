"""Batch normalisation (Ioffe and Szegedy 2015)."""

import numpy as np

from minigan.errors import InputError
from minigan.kernels import norm
from minigan.layers.base import Layer, positive_int


def batch_norm_forward(x, gamma, beta, eps, parts=1, negative_slope=1):
    """y = a(γ x̂ + β) with x̂ = (x - μ) / √(σ² + eps), μ and σ² the mean and biased variance of each channel.

    a is the leaky ReLU of negative_slope: 1 for none, 0 for ReLU. x (N, C) or (N, H, W, C), gamma and beta (C,). The
    statistics are those of each of `parts` equal consecutive parts of the batch by itself.
    -> out like x, cache, mean (parts, C) float64, var (parts, C) float64.
    """
    grouped = np.ascontiguousarray(x).reshape(parts, -1, x.shape[-1])
    mean, var = norm.moments(grouped)
    centre, inv_std = mean.astype(x.dtype), (1 / np.sqrt(var + eps)).astype(x.dtype)
    out = norm.normalise(grouped, centre, gamma * inv_std, beta, negative_slope)
    return out.reshape(x.shape), (grouped, centre, inv_std, gamma, out, negative_slope), mean, var


def batch_norm_backward(grad_output, cache):
    """With g = grad_output · a': ∂L/∂x = γ/√(σ² + eps) · (g - mean(g) - x̂ · mean(g x̂)), ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g.

    The two means are there because μ and σ² depend on every x. -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    x, mean, inv_std, gamma, out, negative_slope = cache
    grad = np.ascontiguousarray(grad_output).reshape(x.shape)
    sums, products = norm.normalise_sums(grad, out, x, mean, inv_std, negative_slope)
    mean_grad, mean_product = ((total / x.shape[1]).astype(x.dtype) for total in (sums, products))
    grad_input = norm.normalise_backward(grad, out, x, mean, inv_std, gamma, mean_grad, mean_product, negative_slope)
    grad_gamma, grad_beta = (total.sum(axis=0).astype(x.dtype) for total in (products, sums))
    return grad_input.reshape(grad_output.shape), grad_gamma, grad_beta


def batch_norm_inference_forward(x, gamma, beta, running_mean, running_var, eps, negative_slope=1):
    """y = a(γ x̂ + β) with the running statistics in x̂, which are constants: a sample no longer sees its batch.

    x (N, C) or (N, H, W, C), the rest (C,) -> out like x, cache.
    """
    grouped = np.ascontiguousarray(x).reshape(1, -1, x.shape[-1])
    mean = running_mean.astype(x.dtype)[None]
    inv_std = (1 / np.sqrt(running_var.astype(np.float64) + eps)).astype(x.dtype)[None]
    out = norm.normalise(grouped, mean, gamma * inv_std, beta, negative_slope)
    return out.reshape(x.shape), (grouped, mean, inv_std, gamma, out, negative_slope)


def batch_norm_inference_backward(grad_output, cache):
    """With g = grad_output · a': ∂L/∂x = γ/√(σ² + eps) · g, ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g: no statistic depends on x.

    -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    x, mean, inv_std, gamma, out, negative_slope = cache
    grad = np.ascontiguousarray(grad_output).reshape(x.shape)
    sums, products = norm.normalise_sums(grad, out, x, mean, inv_std, negative_slope)
    nothing = np.zeros_like(mean)
    grad_input = norm.normalise_backward(grad, out, x, mean, inv_std, gamma, nothing, nothing, negative_slope)
    return grad_input.reshape(grad_output.shape), products[0].astype(x.dtype), sums[0].astype(x.dtype)


class BatchNorm(Layer):
    """Batch normalisation of (N, C) or (N, H, W, C), per channel; formula in batch_norm_forward.

    momentum: the weight of the new statistic in the running one, as in PyTorch: r ← (1 - momentum) r + momentum s,
    where s is the batch's mean, or its unbiased variance. With training=False the running statistics are used, and the
    backward pass is that of a fixed affine map. Numbers beyond 1e19 are normalised too, but their variance is
    beyond a float32, so that running_var becomes infinite.
    params: gamma (C,) starting at 1, beta (C,) at 0. buffers: running_mean (C,), running_var (C,).
    forward takes `parts`: a batch made of that many equal parts, such as real and fake images, is normalised part by
    part, and updates the running statistics once per part, in order.
    """

    mixes_samples = True
    absorbs_leaky = True

    def __init__(self, num_features, momentum=0.1, eps=1e-5, dtype=np.float32):
        super().__init__()
        self.num_features = positive_int("BatchNorm", "num_features", num_features)
        if not 0 < momentum <= 1:
            raise InputError(f"BatchNorm: momentum is {momentum!r}, expected the new statistic's weight, in (0, 1].")
        if not eps > 0:
            raise InputError(f"BatchNorm: eps is {eps!r}, expected a small positive number.")
        self.momentum, self.eps = momentum, eps
        self._add_param("gamma", np.ones(num_features, dtype))
        self._add_param("beta", np.zeros(num_features, dtype))
        self.buffers["running_mean"] = np.zeros(num_features, dtype)
        self.buffers["running_var"] = np.ones(num_features, dtype)

    def __repr__(self):
        return f"BatchNorm({self.num_features})"

    def _check_input(self, x):
        if x.ndim not in (2, 4):
            raise InputError(f"{self!r}.forward: x has shape {x.shape}, expected (N, C) or (N, H, W, C).")
        self._check_features(x, x.ndim, self.num_features, "(N, C) or (N, H, W, C)")

    def _forward(self, x, training, parts=1, negative_slope=1):
        gamma, beta = self.params["gamma"], self.params["beta"]
        running_mean, running_var = self.buffers["running_mean"], self.buffers["running_var"]
        if not training:
            out, cache = batch_norm_inference_forward(
                x, gamma, beta, running_mean, running_var, self.eps, negative_slope
            )
            return out, (batch_norm_inference_backward, cache)
        if len(x) % positive_int("BatchNorm", "parts", parts):
            raise InputError(f"{self!r}.forward: a batch of {len(x)} cannot be split into {parts} equal parts.")
        count = x.size // x.shape[-1] // parts
        if count < 2:
            raise InputError(
                f"{self!r}.forward: one value per channel has no variance; train with a batch of at least 2, or use "
                "training=False."
            )
        out, cache, mean, var = batch_norm_forward(x, gamma, beta, self.eps, parts, negative_slope)
        for part in range(parts):
            running_mean += self.momentum * (mean[part] - running_mean)
            running_var += self.momentum * (var[part] * (count / (count - 1)) - running_var)
        return out, (batch_norm_backward, cache)

    def _backward(self, grad_output, cache, need):
        backward, cache = cache
        grad_input, grad_gamma, grad_beta = backward(grad_output, cache)
        if need.params:
            self._accumulate("gamma", grad_gamma, need)
            self._accumulate("beta", grad_beta, need)
        return grad_input
