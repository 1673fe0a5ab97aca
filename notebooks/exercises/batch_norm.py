"""Exercise batch_norm: batch normalisation in training (notebook 6; Ioffe and Szegedy 2015).

Judge it with `python -m minigan.gradcheck notebooks/exercises/batch_norm.py` or
`pytest notebooks/exercises -k batch_norm`.
"""

import numpy as np


def batch_norm_forward(x, gamma, beta, eps):
    """y = γ x̂ + β with x̂ = (x - μ) / √(σ² + eps), μ and σ² the mean and biased variance of each channel.

    The statistics of a channel are over all other axes: N, or N, H and W.

    x (N, C) or (N, H, W, C), gamma (C,), beta (C,), eps a number -> out like x, cache: what batch_norm_backward needs.
    """
    raise NotImplementedError


def batch_norm_backward(grad_output, cache):
    """With g = grad_output: ∂L/∂x = γ/√(σ² + eps) · (g - mean(g) - x̂ · mean(g x̂)), ∂L/∂γ = Σ g x̂, ∂L/∂β = Σ g.

    The two means are there because μ and σ² depend on every x.

    grad_output like x, cache from batch_norm_forward -> grad_input like x, grad_gamma (C,), grad_beta (C,).
    """
    raise NotImplementedError
