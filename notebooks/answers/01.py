"""Answers to the exercises of notebook 1, with their reasons."""

import numpy as np

# D gave 0.9 to the truth about the real samples and 0.1 to the truth about the fakes: it
# pays -log 0.9 - log 0.1 = 2.41. G wants "real" for its fakes and got 0.9: it pays 0.11.
answer_1 = (-np.log(0.9) - np.log(0.1), -np.log(0.9))

# Line 7 asks D about the real samples. The gradient that comes back belongs to them: it
# says how to make each *real* sample look more real. G gets it as if it belonged to its
# fakes, and so moves without any relation to what it made. It has to be D.forward(fake).
answer_2 = 7


# t goes from 0 to 1 as a column, so each row is one point (1 - t) z0 + t z1 of the line.
def answer_3(gan, z0, z1, n, digit):
    t = np.linspace(0, 1, n, dtype=np.float32)[:, None]
    return gan.decode((1 - t) * z0 + t * z1, np.full(n, digit))


# Exercise 4 is open. One run (seed 0): with lr=1e-5 and d_lr=1e-3 D finds the fakes: d_fake
# is about 0.3 and G's loss about 2, and 2 % of the samples are near a centre. With lr=1e-3 and
# d_lr=1e-5 D learns so slowly that d_fake stays 0.50: G has nothing to learn from. Its
# samples stay in the middle, and none reaches a cloud. The two players need each other.
