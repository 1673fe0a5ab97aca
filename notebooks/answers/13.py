"""Answers to the exercises of notebook 13, with their reasons."""

import numpy as np

# -κ W + λ (κ - 1)² is smallest where -W + 2 λ (κ - 1) = 0, so κ = 1 + W / (2 λ) = 1 + 2.75 / 4,
# and the estimate is κ W = 2.75 · 1.69 = 4.6. A weak penalty leaves the critic much too steep.
answer_1 = 2.75 * (1 + 2.75 / 4)

# Line 7: r₁ is the derivative of ⟨ẋ₁, s₂ ⊙ φ'(u)⟩ by u, so ẋ₁ ⊙ s₂ ⊙ φ''(u). The line has ẋ₂,
# which has φ'(u) in it already. Lines 8 and 9 use r₁ and are wrong for that reason only.
answer_2 = 7


# With y = tanh(b x): g = a b (1 - y²) and v = g / N. By a: g / a. By b it occurs twice: directly,
# a (1 - y²), the "tangent" part, and inside of y, -2 a b y (1 - y²) x, the "curved" part.
def answer_3(x, a, b):
    y = np.tanh(b * x)
    v = a * b * (1 - y**2) / len(x)
    by_b = a * (1 - y**2) - 2 * a * b * y * (1 - y**2) * x
    return (v * b * (1 - y**2)).sum(), (v * by_b).sum()


# Exercise 4 is open, and we have no run of it. A step of G is the rate times the pull. The pull of
# the penalised critic is about 1 whatever the distance, that of the logit is as long as D is steep.
# A smaller rate makes both slower. Look what becomes of the swings about the goal.
