"""Answers to the exercises of notebook 4, with their reasons."""

import numpy as np

# ⌊(28 + 2 - 4)/2⌋ + 1 = 14, then ⌊(14 + 2 - 4)/2⌋ + 1 = 7, then ⌊(7 + 2 - 4)/2⌋ + 1 = 3: the
# last half is rounded down, so the last row of the padded picture is not reached.
answer_1 = (14, 7, 3)

# Line 7 puts the share of each output down with "=", so a later one wipes out an earlier
# one. A pixel that several windows see has to get the sum of all: "+=". Nobody notices where
# windows do not overlap, that is, where the kernel is not larger than the stride.
answer_2 = 7


# Row h is output h: the kernel, which begins at place h · S. (Its number of rows is the size
# formula with P = 0.) The kernel is not turned round: this is a cross-correlation.
def answer_3(W, H, S):
    rows = (H - len(W)) // S + 1
    A = np.zeros((rows, H))
    for h in range(rows):
        A[h, h * S : h * S + len(W)] = W
    return A


# Exercise 4 is open. What to look at: with moved training pictures the dense D can no longer
# rely on single pixels, so it learns more slowly and its curve is flatter. The convolutions
# get the same for nothing. This is what is meant by a good inductive bias.
