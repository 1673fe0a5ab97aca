"""Exercise dense: the fully connected layer (notebook 2; Rumelhart, Hinton and Williams 1986).

Judge it with `python -m minigan.gradcheck notebooks/exercises/dense.py` or `pytest notebooks/exercises -k dense`.
"""

import numpy as np


def dense_forward(x, weight, bias):
    """y = x W + b.

    x (N, D), weight (D, F), bias (F,) -> out (N, F), cache: whatever dense_backward needs.
    """
    raise NotImplementedError


def dense_backward(grad_output, cache):
    """With g = grad_output = ∂L/∂y: ∂L/∂x = g Wᵀ, ∂L/∂W = xᵀ g, ∂L/∂b = Σₙ gₙ.

    grad_output (N, F), cache from dense_forward -> grad_input (N, D), grad_weight (D, F), grad_bias (F,).
    """
    raise NotImplementedError
