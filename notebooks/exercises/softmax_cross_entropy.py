"""Exercise softmax_cross_entropy: which class, from logits (notebook 3; Bridle 1990).

Judge it with `python -m minigan.gradcheck notebooks/exercises/softmax_cross_entropy.py` or
`pytest notebooks/exercises -k softmax_cross_entropy`.
"""

import numpy as np


def softmax_cross_entropy(logits, labels):
    """L = -1/N Σₙ log pₙ[label n], with pₙₖ = e^(lₙₖ) / Σⱼ e^(lₙⱼ), and its gradient (p - onehot(label)) / N.

    It has to be finite for logits of ±1000: log p = (l - m) - log Σⱼ e^(lⱼ - m), with m the largest logit of the row.

    logits (N, K), labels (N,) whole numbers from 0 to K - 1 -> value (a number), grad_logits (N, K).
    """
    raise NotImplementedError
