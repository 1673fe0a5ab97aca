"""Exercise spectral_norm: spectral normalisation of a weight (notebook 6; Miyato et al. 2018).

Judge it with `python -m minigan.gradcheck notebooks/exercises/spectral_norm.py` or
`pytest notebooks/exercises -k spectral_norm`.
"""

import numpy as np


def power_iteration(matrix, u, iterations):
    """That many times v ← Wᵀu / ‖Wᵀu‖, then u ← W v / ‖W v‖ (appendix A).

    matrix W (O, K), u (O,) of length 1, iterations ≥ 1 -> the last u (O,) and v (K,).
    """
    raise NotImplementedError


def spectral_norm_forward(matrix, u, v):
    """W̄ = W / σ with σ = uᵀ W v (section 2.1).

    matrix W (O, K), u (O,), v (K,) of length 1 -> W̄ (O, K), cache: whatever spectral_norm_backward needs.
    """
    raise NotImplementedError


def spectral_norm_backward(grad, cache):
    """With G = ∂L/∂W̄, and u and v held constant: ∂L/∂W = (G - ⟪G, W̄⟫ u vᵀ) / σ, where ⟪G, W̄⟫ = Σ G W̄ over all
    entries (section 2.3).

    grad G (O, K), cache from spectral_norm_forward -> grad_matrix (O, K).
    """
    raise NotImplementedError
