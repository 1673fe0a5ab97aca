"""Batch normalisation (Ioffe and Szegedy 2015)."""

import numpy as np

from minigan.errors import InputError
from minigan.layers.base import Layer, positive_int


def batch_norm_forward(x, gamma, beta, eps, parts=1):
    """y = γ x̂ + β with x̂ = (x - μ) / √(σ² + eps), μ and σ² the mean and biased variance of each channel.

    x (N, C) or (N, H, W, C), gamma and beta (C,). The statistics are those of each of `parts` equal consecutive parts
    of the batch by itself. -> out like x, cache, mean (parts, C), var (parts, C).
    """
    grouped = x.reshape(parts, -1, x.shape[-1])
    mean = grouped.mean(axis=1, keepdims=True, dtype=np.float64)
    var = np.square(grouped - mean).mean(axis=1, keepdims=True)
    inv_std = (1 / np.sqrt(var + eps)).astype(x.dtype)
    x_hat = (grouped - mean.astype(x.dtype)) * inv_std
    out = (gamma * x_hat + beta).reshape(x.shape)
    return out, (x_hat, inv_std, gamma), mean[:, 0], var[:, 0]


def batch_norm_backward(grad_output, cache):
    """∂L/∂x = γ/√(σ² + eps) · (g - mean(g) - x̂ · mean(g x̂)), ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g, with g = grad_output.

    The two means are there because μ and σ² depend on every x. -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    x_hat, inv_std, gamma = cache
    grad = grad_output.reshape(x_hat.shape)
    sum_grad = grad.sum(axis=1, keepdims=True, dtype=np.float64)
    sum_grad_x_hat = np.einsum("pmc,pmc->pc", grad, x_hat, dtype=np.float64)[:, None]
    count, dtype = x_hat.shape[1], x_hat.dtype
    mean_grad, mean_grad_x_hat = (sum_grad / count).astype(dtype), (sum_grad_x_hat / count).astype(dtype)
    grad_input = gamma * inv_std * (grad - mean_grad - x_hat * mean_grad_x_hat)
    grad_gamma, grad_beta = sum_grad_x_hat.sum(axis=(0, 1)), sum_grad.sum(axis=(0, 1))
    return grad_input.reshape(grad_output.shape), grad_gamma.astype(dtype), grad_beta.astype(dtype)


def batch_norm_inference_forward(x, gamma, beta, running_mean, running_var, eps):
    """y = γ x̂ + β with the running statistics in x̂, which are constants: a sample no longer sees its batch.

    x (N, C) or (N, H, W, C), the rest (C,) -> out like x, cache.
    """
    inv_std = (1 / np.sqrt(running_var + eps)).astype(x.dtype)
    x_hat = (x - running_mean.astype(x.dtype)) * inv_std
    return gamma * x_hat + beta, (x_hat, inv_std, gamma)


def batch_norm_inference_backward(grad_output, cache):
    """∂L/∂x = γ/√(σ² + eps) · g, ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g: no statistic depends on x here.

    -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    x_hat, inv_std, gamma = cache
    axes = tuple(range(grad_output.ndim - 1))
    return gamma * inv_std * grad_output, (grad_output * x_hat).sum(axis=axes), grad_output.sum(axis=axes)


class BatchNorm(Layer):
    """Batch normalisation of (N, C) or (N, H, W, C), per channel; formula in batch_norm_forward.

    momentum: the weight of the new statistic in the running one, as in PyTorch: r ← (1 - momentum) r + momentum s,
    where s is the batch's mean, or its unbiased variance. With training=False the running statistics are used, and the
    backward pass is that of a fixed affine map.
    params: gamma (C,) starting at 1, beta (C,) at 0. buffers: running_mean (C,), running_var (C,).
    forward takes `parts`: a batch made of that many equal parts, such as real and fake images, is normalised part by
    part, and updates the running statistics once per part, in order.
    """

    mixes_samples = True

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

    def forward(self, x, training=True, parts=1):
        self._parts = positive_int("BatchNorm", "parts", parts)
        return super().forward(x, training)

    def _check_input(self, x):
        if x.ndim not in (2, 4):
            raise InputError(f"{self!r}.forward: x has shape {x.shape}, expected (N, C) or (N, H, W, C).")
        self._check_features(x, x.ndim, self.num_features, "(N, C) or (N, H, W, C)")
        if len(x) % self._parts:
            raise InputError(f"{self!r}.forward: a batch of {len(x)} cannot be split into {self._parts} equal parts.")

    def _forward(self, x, training):
        gamma, beta, buffers = self.params["gamma"], self.params["beta"], self.buffers
        if not training:
            out, cache = batch_norm_inference_forward(
                x, gamma, beta, buffers["running_mean"], buffers["running_var"], self.eps
            )
            return out, (False, cache)
        count = x.size // x.shape[-1] // self._parts
        if count < 2:
            raise InputError(
                f"{self!r}.forward: one value per channel has no variance; train with a batch of at least 2, or use "
                "training=False."
            )
        out, cache, mean, var = batch_norm_forward(x, gamma, beta, self.eps, self._parts)
        for part in range(self._parts):
            self._update("running_mean", mean[part])
            self._update("running_var", var[part] * (count / (count - 1)))
        return out, (True, cache)

    def _update(self, name, statistic):
        running = self.buffers[name]
        self.buffers[name] = ((1 - self.momentum) * running + self.momentum * statistic).astype(running.dtype)

    def _backward(self, grad_output, cache, need_param_grads):
        trained, cache = cache
        backward = batch_norm_backward if trained else batch_norm_inference_backward
        grad_input, grad_gamma, grad_beta = backward(grad_output, cache)
        if need_param_grads:
            self._accumulate("gamma", grad_gamma)
            self._accumulate("beta", grad_beta)
        return grad_input
