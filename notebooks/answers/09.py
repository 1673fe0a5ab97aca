"""Answers to the exercises of notebook 9, with their reasons."""

# 2 (w - 3)² = κ/2 (w - 3)² with κ = 4. L1 moves the minimum by λ/κ: to come from 3 to 2 it
# needs λ = 4, to come to 0 it needs λ/4 = 3, so λ = 12. L2 makes it 3 κ/(κ + λ) = 2, so
# 12 = 2 (4 + λ) and λ = 2.
answer_1 = (4, 12, 2)

# Line 7 draws a new mask. Backward must use the mask of forward: an entry that was dropped
# had no influence on the loss, so its gradient is 0, and one that was kept must get its
# gradient. With a new mask the gradient belongs to another network than the loss does.
answer_2 = 7


# The term of a fake is (1 - β) softplus(r) + β softplus(-r) = softplus(r) - β r. So
# p (σ - 1 + α) + q (σ - β) = 0. Where p is almost 0, D still says β to G's samples.
def answer_3(p, q, alpha, beta):
    return ((1 - alpha) * p + beta * q) / (p + q)


# Exercise 4 is open. One run (seed 0), D's mean answers to known digits, new digits, fakes:
# 0.90, 0.58, 0.18 with the noise 0.3; 0.76, 0.63, 0.40 with 1; 0.53, 0.50, 0.50 with 2; and
# 0.54 to all three with 4. Known and new digits come together first: the noise hides what
# makes one picture different from the next. With more noise real and fake look alike too.
# Then the best D says 0.5 to everything (notebook 8: p = q), and it tells G nothing.
