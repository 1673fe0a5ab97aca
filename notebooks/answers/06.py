"""Answers to the exercises of notebook 6, with their reasons."""

import numpy as np

# μ = 1, so the deviations are (-1, -1, -1, 3). σ² = (1 + 1 + 1 + 9)/4 = 3 (the biased variance,
# divided by M and not by M - 1), σ = 1.732. So (-0.577, -0.577, -0.577, 1.732).
answer_1 = (-0.577, -0.577, -0.577, 1.732)

# Line 8 takes the mean of the batch instead of the running one. For a batch of one, x - mean is
# 0 and the output is β whatever x is. In training nothing is wrong, so the losses look good.
answer_2 = 8


# Only one extra term: stretching x changes nothing, but shifting does. From ∂r/∂x_k = -r³ x_k / C:
# ∂L/∂x_k = r g_k - r³ x_k mean(g x) = r (g_k - y_k mean(g y)), the means over the channels.
def answer_3(g, y, r):
    return r * (g - y * np.mean(g * y, axis=1, keepdims=True))


# Exercise 4 is open. What to look at: with two pictures x̂ is +1 and -1 in every channel, so all
# that is left of the size is a sign, and the output is mostly a matter of the other picture.
# Small batches make the statistics noisy. Layer norm does not look at the batch at all.
