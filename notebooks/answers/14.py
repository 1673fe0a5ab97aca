"""Answers to the exercises of notebook 14, with their reasons."""

import numpy as np

# Channels: the weight (4, 4, C, 64) gets ten more input channels, 4 · 4 · 10 · 64 = 10,240.
# Projection: the dense layer on 7 · 7 · 128 features gets ten more outputs, 62,720.
answer_1 = (4 * 4 * 10 * 64, 7 * 7 * 128 * 10)

# Line 4: f is used twice, and L changes by both uses, so their gradients add up. Half of the sum
# is not the gradient. With plain gradient descent the trunk would learn at half the rate. Adam
# divides by the gradient's size and hides the mistake; only a gradient check finds it.
answer_2 = 4


# grad[indices] += g would keep only the last of equal indices; np.add.at adds them all.
def answer_3(grad_output, indices, K):
    grad_weight = np.zeros((K, grad_output.shape[1]))
    np.add.at(grad_weight, indices, grad_output)
    return grad_weight


# Exercise 4 is open, and we have no run of it. With the label each level has less to find out. If
# the samples of one label are all alike in 4 × 4 pixels, the coarsest level ignores its noise.
