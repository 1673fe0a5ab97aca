"""Answers to the exercises of notebook 14, with their reasons."""

import numpy as np

# Channels: the weight (4, 4, C, 64) gets ten more input channels, 4 · 4 · 10 · 64 = 10,240.
# Projection: the dense layer on 7 · 7 · 128 features gets ten more outputs, 62,720.
answer_1 = (4 * 4 * 10 * 64, 7 * 7 * 128 * 10)

# Line 4: f is used twice, and L changes by both uses, so their gradients add up. Half of the sum
# is not the gradient. The trunk then learns at half the rate of the last layers.
answer_2 = 4


# grad[indices] += g would keep only the last of equal indices; np.add.at adds them all.
def answer_3(grad_output, indices, K):
    grad_weight = np.zeros((K, grad_output.shape[1]))
    np.add.at(grad_weight, indices, grad_output)
    return grad_weight


# Exercise 4 is open. With the label each level's task is smaller, and the 4 × 4 pictures become
# blobs of the right place. Readable digits need much longer than a few hundred steps.
