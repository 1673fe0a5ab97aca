"""The pieces of a variational autoencoder (Kingma and Welling 2014), each with its gradient.

An encoder gives for each picture x the mean μ and the log variance of a Gaussian q(z|x), a decoder what p(x|z) is. They
maximise a lower bound of log p(x), the prior of z being N(0, I):
    log p(x) ≥ E_q log p(x|z) - KL(q(z|x) ‖ N(0, I)).
All values are means over the batch of sums over a picture, in nats, and are to be minimised.
"""

import numpy as np

from minigan.base.errors import InputError
from minigan.layers.activations import sigmoid, softplus


def reparametrise_forward(codes, noise):
    """z = μ + exp(½ log σ²) ε, which is N(μ, σ²) for ε from N(0, I) and has a derivative by μ and σ (section 2.4).

    codes (N, 2Z): [μ, log σ²]; noise (N, Z): ε -> z (N, Z), cache.
    """
    if codes.ndim != 2 or noise.shape != (len(codes), codes.shape[1] // 2) or codes.shape[1] % 2:
        raise InputError(
            f"reparametrise: codes {codes.shape} and noise {noise.shape}, expected (N, 2Z), means beside log "
            "variances, and (N, Z)."
        )
    mean, log_variance = np.split(codes, 2, axis=1)
    moved = np.exp(log_variance / 2) * noise
    return mean + moved, moved


def reparametrise_backward(grad_z, cache):
    """∂L/∂μ = g, ∂L/∂log σ² = ½ g σ ε -> (N, 2Z)."""
    return np.concatenate([grad_z, grad_z * cache / 2], axis=1)


def kl_to_standard_normal(codes):
    """-> (value, grad_codes): KL(N(μ, σ²) ‖ N(0, I)) = ½ Σ (μ² + σ² - 1 - log σ²) (appendix B).

    codes (N, 2Z): [μ, log σ²]. The gradient by μ is μ, by log σ² it is ½ (σ² - 1), both over N.
    """
    mean, log_variance = np.split(codes.astype(np.float64), 2, axis=1)
    above = np.expm1(log_variance)  # σ² - 1
    terms = (mean**2 + above - log_variance) / 2
    grad = np.concatenate([mean, above / 2], axis=1) / len(codes)
    return float(terms.sum() / len(codes)), grad.astype(codes.dtype)


def pictures_of(outputs):
    """The mean of p(x|z) as pixels in [-1, 1], from a decoder's outputs u: tanh(u/2) = 2 σ(u) - 1."""
    return np.tanh(outputs / 2)


def bernoulli(outputs, x):
    """-> (value, grad_outputs): -log p(x|z) with each pixel white with probability σ(u) (appendix C.1).

    outputs, x (N, H, W, C), x in [-1, 1]: t = (x + 1)/2 is taken for the share of white. Σ softplus(u) - t u, whose
    gradient is (σ(u) - t)/N. Of grey pixels this is no likelihood, but it is least where σ(u) = t.
    """
    target = (x + 1) / 2
    value = (softplus(outputs) - target * outputs).sum(dtype=np.float64) / len(x)
    return float(value), (sigmoid(outputs) - target) / outputs.dtype.type(len(x))


def gaussian(outputs, x, least=(1 / 255) ** 2 / 3):
    """-> (value, grad_outputs): -log p(x|z) for pixels from N(m, s²) with m = tanh(u/2), and with the one s that suits
    the batch best, s² = mean (x - m)² (Rybkin et al. 2021, section 3.2), but `least` where that is less, or pictures
    made without any error would be infinitely likely: that of pixels known to half a grey value, which lie 2/255 apart.

    With D pixels a picture: D/2 (log 2πs² + mean (x - m)² / s²), so ∂/∂m = (m - x)/(N s²) and ∂m/∂u = (1 - m²)/2.
    """
    made = pictures_of(outputs)
    gap = made - x
    square = float(np.square(gap, dtype=np.float64).mean())
    variance = max(square, least)
    value = x[0].size / 2 * (np.log(2 * np.pi * variance) + square / variance)
    return float(value), gap * (1 - made**2) / outputs.dtype.type(2 * variance * len(x))


LIKELIHOODS = {"bernoulli": bernoulli, "gaussian": gaussian}
