"""Exercise adam: one step of Adam (notebook 7; Kingma and Ba 2015, algorithm 1).

Judge it with `python -m minigan.gradcheck notebooks/exercises/adam.py` or `pytest notebooks/exercises -k adam`.
"""

import numpy as np


def adam_step(param, grad, mean, square, step, lr, beta1, beta2, eps):
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², θ ← θ - lr m̂ / (√v̂ + eps),
    with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) at step t = 1, 2, …

    param θ, grad g, mean m, square v: arrays of one shape; step t, lr, beta1, beta2, eps: numbers
    -> the new param, mean and square (m and v themselves, not m̂ and v̂). The arguments stay as they are.
    """
    raise NotImplementedError
