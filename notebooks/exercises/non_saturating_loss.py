"""Exercise non_saturating_loss: the losses GANs are trained with (notebook 8; Goodfellow et al. 2014, section 3).

Judge it with `python -m minigan.gradcheck notebooks/exercises/non_saturating_loss.py` or
`pytest notebooks/exercises -k non_saturating`.
"""

import numpy as np


def discriminator_loss(real_logits, fake_logits):
    """-V = mean softplus(-r) + mean softplus(f), what D minimises: -log σ(r) for real, -log(1 - σ(f)) for fake.

    The gradients are -σ(-r)/N and σ(f)/M. All has to be finite for logits of ±1000:
    softplus(l) = log(1 + eˡ) = max(l, 0) + log(1 + e^(-|l|)).

    real_logits r (N,), fake_logits f (M,) -> value (a number), grad_real (N,), grad_fake (M,).
    """
    raise NotImplementedError


def generator_loss(fake_logits):
    """mean softplus(-f) = -mean log σ(f), what G minimises instead of log(1 - σ(f)); its gradient is -σ(-f)/M.

    fake_logits f (M,) -> value (a number), grad_fake (M,).
    """
    raise NotImplementedError
