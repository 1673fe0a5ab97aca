"""Exercise gradient_penalty: where it is measured and how (notebook 13; Gulrajani et al. 2017, equation 3).

Judge it with `python -m minigan.gradcheck notebooks/exercises/gradient_penalty.py` or
`pytest notebooks/exercises -k gradient_penalty`.
"""

import numpy as np


def interpolates(real, fake, epsilon):
    """x̂ = ε x + (1 - ε) G(z), with one ε for each sample, the same for all of its pixels and channels.

    real x (N, …), fake G(z) (N, …), epsilon (N,) in [0, 1] -> x_hat (N, …).
    """
    raise NotImplementedError


def wgan_gp(g, strength):
    """P = λ/N Σₙ (‖gₙ‖ - 1)² and v = ∂P/∂g = 2 λ/N (1 - 1/‖gₙ‖) gₙ, where v is 0 for gₙ = 0.

    g = ∇ₓD(x̂) (N, …), ‖gₙ‖ the length of sample n over all its other axes, strength λ -> P (a number), v like g.
    From v the notebook leads back to the critic's weights: the second derivative.
    """
    raise NotImplementedError
