"""Exercise minimax_step: one round of the game (notebook 8; Goodfellow et al. 2014, algorithm 1).

Judge it with `python -m minigan.gradcheck notebooks/exercises/minimax_step.py` or
`pytest notebooks/exercises -k minimax_step`.
"""

import numpy as np


def minimax_step(weight, bias, shift, real, z, lr):
    """D(x) = σ(x · weight + bias) and G(z) = z + shift play V = mean log D(x) + mean log(1 - D(G(z))).

    First D climbs: its parameters move by + lr times the gradient of V. Then G, judged by the D just moved and with the
    same z, goes down: shift moves by - lr times the gradient of V (V itself: the saturating form).
    ∂ log σ(l)/∂l = σ(-l) and ∂ log(1 - σ(l))/∂l = -σ(l).

    weight (D,), bias (1,), shift (D,), real (N, D), z (N, D), lr a number -> the new weight, bias and shift.
    """
    raise NotImplementedError
