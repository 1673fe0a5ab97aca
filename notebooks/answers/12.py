"""Answers to the exercises of notebook 12, with their reasons."""

import numpy as np

# Each entry of a mean of 25 numbers with variance 1 has variance 1/25. There are 100
# entries, so the squared length is about 100/25 = 4, and the length about 2.
answer_1 = 2.0

# Line 2 gives the weight a second name; it does not copy it. The optimizer moves the
# array in place, so `averaged` moves along, and in line 6 the difference is always 0.
# It has to be gan.generator.params["0.weight"].copy().
answer_2 = 2


# The points of the straight line, each divided by its length and stretched to √Z.
def answer_3(z0, z1, n):
    s = np.linspace(0, 1, n)[:, None]
    line = (1 - s) * z0 + s * z1
    return np.sqrt(len(z0)) * line / np.linalg.norm(line, axis=1, keepdims=True)


# Exercise 4 is open. The mean of 50 noises is short, so in a - b + c each part weighs
# little, and one digit often wins whatever b is. Only a clear difference between b and
# the fifty random ones would show that the sum uses b.
