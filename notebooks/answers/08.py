"""Answers to the exercises of notebook 8, with their reasons."""

import numpy as np

# Where p lives alone, m = p/2 and log(p/m) = log 2. Where both live, p = q = m and the
# logarithm is 0. In the first case half of p is alone, so KL(p‖m) = 0.5 log 2; the same
# for q. In the other two all of p is alone. How far away q is makes no difference: this
# is the flat part of the figure in section 4, and the reason why minimax starves G.
answer_1 = (0.5 * np.log(2), np.log(2), np.log(2))

# Line 8 is the gradient of the other loss, minimax. That of line 7 is -sigmoid(-f) / N.
# It has the right sign, so G even learns while D is unsure. But where f is very negative
# it is almost 0. Only a check of the gradient against the loss shows such a bug.
answer_2 = 8


# The two terms come with the weights 3/4 and 1/4. Section 2 goes through with 3p in the
# place of p. So D's "probability" also depends on how often it is shown each kind.
def answer_3(p, q):
    return 3 * p / (3 * p + q)


# Exercise 4 is open. One run of each (seed 0): minimax starves with every lead, even with
# none (the mean ends at 3.8), because D learns faster than G moves. Its
# first gradient is 0.035 with no lead, 0.007 with 200 steps, and 0.000 with 1000. The other
# loss arrives with every lead. Its first gradient grows with the lead, from 0.05 to 5.0, so
# a longer lead makes its first steps longer. But in the end the means lie no nearer to 0.
