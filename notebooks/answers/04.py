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


# Exercise 4 is open. What to look at: with moved training pictures the grain stands at no fixed
# pixel, so the dense D cannot learn it by heart. Two runs: after 200 steps it was right in 96 to
# 99 % of the cases, whatever the move, after 1000 steps in more than 98 %. So it can learn what the
# convolutions have from the start, but it needs more pictures and more steps. To have it from the
# start is called a good inductive bias.
