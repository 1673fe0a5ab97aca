"""Answers to the exercises of notebook 11, with their reasons."""

import numpy as np

# D gives a number s from 0 to 1, and the loss takes it for a logit: G pays
# -log σ(s). For s = 1 that is -log 0.731 = 0.313, for s = 0 it is -log 0.5 = 0.693.
answer_1 = (np.log1p(np.exp(-1)), np.log(2))

# backward *adds* to the gradients. D's are never cleared, so line 4 adds to those of all
# earlier steps, and to G's gradient of line 8, which pushes D towards calling fakes
# real. D.zero_grad() has to stand before line 4, where D's new gradient is added. (It may
# stand anywhere between line 8 of the step before and line 4.)
answer_2 = ("D.zero_grad()", 4)


# One convolution makes floor((size + 2 padding - 5) / 2) + 1 of size; // rounds down. A
# kernel fits while the padded picture has at least 5 rows.
def answer_3(size, padding):
    sizes = []
    for _ in range(3):
        if size + 2 * padding < 5:
            return None
        size = (size + 2 * padding - 5) // 2 + 1
        sizes.append(size)
    return sizes


# Exercise 4 is open. Look at the distance, at the samples and at D's answers together: a
# low distance with samples that are all alike is no rescue.
