"""Answers to the exercises of notebook 18, with their reasons."""

from minigan.image_to_image import filters

# A stroke is two or three pixels wide. Moved by one pixel it is wrong by the whole range
# along both of its rims, though it looks perfect. The blur is wrong by some grey there.
# All black is wrong by the whole range on the whole stroke, and right on the ground.
answer_1 = ["blurred", "moved", "black"]

# Line 7 moves G's weights. It has to move z by grad_z (step down its gradient, as Adam
# does). As it stands, z stays, and G is bent towards the few pictures it is asked for.
answer_2 = 7


# In the reverse order, each matrix transposed. B is not symmetric: at the border the
# outermost pixel counts more than once.
def answer_3(grad_y, S, B):
    return filters.apply_along(filters.apply_along(grad_y, S.T, S.T), B.T, B.T)


# Exercise 4 is open. The derivative of the mean loss is (1 - tau) P(v < c) - tau P(v > c),
# which is 0 where P(v < c) = tau: the tau-quantile. With tau = 0.1 only strokes that nearly
# all 31 pictures share are left, with 0.9 everything that some of them have is white.
