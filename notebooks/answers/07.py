"""Answers to the exercises of notebook 7, with their reasons."""

import numpy as np

# u after t steps is 1 + 0.9 + … + 0.9^(t-1) = (1 - 0.9^t) / 0.1. It is above 9 when 0.9^t < 0.1,
# that is t > log 0.1 / log 0.9 = 21.85: at step 22.
answer_1 = int(np.ceil(np.log(0.1) / np.log(0.9)))

# The power t is missing in lines 3 and 4: it has to be 1 - beta1**t and 1 - beta2**t. In the long run m = g and
# v = g², so the step is (1 / 0.1) / √(1 / 0.001) = 10 · 0.0316 = 0.316 times as long. At t = 1 it is
# right, so a test of one step cannot see it.
answer_2 = (3, (1 / (1 - 0.9)) / np.sqrt(1 / (1 - 0.999)))


# The new velocity is used once more in the step. Nothing is written in place: `velocity * mu + grad`
# makes a new array.
def answer_3(param, grad, velocity, t, lr, mu):
    velocity = mu * velocity + grad
    return param - lr * (grad + mu * velocity), velocity


# Exercise 4 is open. The players go round the solution, and their average goes into it: after 600
# steps in turns it is 0.03 away. Both at once the circles grow, and the average does not settle: it
# is 0.13 away after 200 steps and 0.35 after 600. So averaging helps where the players circle, not
# where they fly apart. The averaged G of notebook 1 is this idea, with old steps slowly forgotten.
