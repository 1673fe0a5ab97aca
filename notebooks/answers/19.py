"""Answers to the exercises of notebook 19, with their reasons."""

import numpy as np

# (a) The mean: 0 up to column 9, then 3/5, 4/5, 1. It rises by 0.6, 0.2, 0.2, and the rise
# changes by 0.6, -0.4, 0, -0.2. The squares are together 0.36 + 0.16 + 0.04 = 0.56; a true
# edge has 1 + 1 = 2. The share is 0.28.
# (b) The median of each pixel: three of five say white from column 10 on, so the answer is
# the edge at 10, as sharp as a true one. The median does not blur. But it decides pixel by
# pixel: thin uncertain strokes vanish, and the medians together need not be a digit.
answer_1 = (0.28, 1.0)


# As in section 5 with log p = -(log 2π + log τ² + z²/τ²)/2. Or: divide z by τ, which changes
# no divergence, and take the formula of section 5 for μ/τ and σ/τ.
def answer_2(mu, sigma, tau):
    return ((mu**2 + sigma**2) / tau**2 - 1 - np.log(sigma**2 / tau**2)) / 2


# Line 2 gives σ², since log_var is log σ². It has to be np.exp(log_var / 2). Lines 3, 6 and 8
# are right for the true σ: with line 2 as it is, z has the deviation σ², line 6 measures the
# divergence for σ, and the derivative in line 8 (with its 1/2) belongs to exp(log_var / 2).
answer_3 = 2

# Exercise 4 is open. With a small weight the heap grows wider than N(0, I) and falls into
# arms, as for the plain autoencoder: the pictures that are given back are sharper, and
# random z more often meet places without digits. With a large weight the heap is round,
# neighbours overlap more, and everything is blurred more: a code may say less.
