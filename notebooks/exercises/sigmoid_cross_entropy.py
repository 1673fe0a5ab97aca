"""Exercise sigmoid_cross_entropy: real or fake, from logits (notebook 3; Goodfellow et al. 2014, equation 1).

Judge it with `python -m minigan.gradcheck notebooks/exercises/sigmoid_cross_entropy.py` or
`pytest notebooks/exercises -k sigmoid_cross_entropy`.
"""

import numpy as np


def sigmoid_cross_entropy(logits, targets):
    """L = -1/N Σₙ tₙ log σ(lₙ) + (1 - tₙ) log(1 - σ(lₙ)), with σ(l) = 1 / (1 + e⁻ˡ).

    With softplus(l) = log(1 + eˡ) that is the mean of softplus(l) - t l, and its gradient is (σ(l) - t) / N. It has to
    be finite for logits of ±1000: log(1 + eˡ) = max(l, 0) + log(1 + e^(-|l|)).

    logits (N,), targets (N,) in [0, 1] -> value (a number), grad_logits (N,).
    """
    raise NotImplementedError
