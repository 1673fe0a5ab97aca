"""Answers to the exercises of notebook 3, with their reasons."""

import numpy as np

from minigan import layers

# -f is +200, and exp(200) is too large for float32: in A and B it becomes infinite (A is then
# -log 0, B is log ∞). C, the library's softplus, has only exp(-200) in it, and so has D, which is
# the same with the larger term, -f, taken out.
answer_1 = {"C", "D"}

# Line 4 is the slope of the sigmoid. The loss is a softplus, and its slope is the sigmoid itself.
answer_2 = 4


# -log σ(f) = softplus(-f) and -log(1 - σ(f)) = softplus(f). The slope is -q σ(-f) + (1 - q) σ(f),
# which is σ(f) - q. (softplus(f) - q f is the same value, but subtracts large numbers.)
def answer_3(f, q):
    value = (q * layers.softplus(-f) + (1 - q) * layers.softplus(f)).mean()
    return value, (layers.sigmoid(f) - np.asarray(q)) / len(f)


# Exercise 4 is open. One run (seed 0): with sigmoids D's loss is 0.50 and the gradient at the fakes
# 0.015; with tanh, ReLU and leaky ReLU the losses are 0.004 to 0.009 and the gradients 0.15 to 0.17.
# Among these three tanh has the largest loss and the largest gradient: the loss of D does not tell
# what G gets. With weights 1.39 times larger all gradients grow, to 1.4 to 2.4 times as much.
