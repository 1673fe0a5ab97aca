"""Exercise weight_clipping: a step of the Wasserstein critic (notebook 13; Arjovsky et al. 2017, algorithm 1).

Judge it with `python -m minigan.gradcheck notebooks/exercises/weight_clipping.py` or
`pytest notebooks/exercises -k weight_clipping`.
"""

import numpy as np


def critic_step(weight, bias, real, fake, lr, limit):
    """The critic D(x) = x · weight + bias goes down L = mean D(fake) - mean D(real) by lr times the gradient.

    Afterwards every entry of both parameters is clipped to [-limit, limit], which keeps D Lipschitz.
    ∂L/∂weight = mean(fake) - mean(real), ∂L/∂bias = 0.

    weight (D,), bias (1,), real (N, D), fake (M, D), lr and limit numbers -> the new weight and bias.
    """
    raise NotImplementedError
