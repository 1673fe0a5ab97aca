"""Answers to the exercises of notebook 2, with their reasons."""

# With W1 = b1 = 0 the hidden v = tanh(0) = 0, so ∂L/∂W2 = vᵀ g = 0. With W2 = 0 nothing goes back:
# g W2ᵀ = 0, so W1 and b1 get 0 too. Only b2, which nothing is multiplied into, moves; and so it
# stays in all steps that follow. This is why weights start at random.
answer_1 = {"b2"}

# Line 8 is the gradient of W1, which stands before the tanh: it needs the g behind line 9. The
# bias and x, which come after line 9, are right.
answer_2 = 8


# As the first factor: with v = x W, y = v Wᵀ hands g W back to v, and xᵀ (g W) to W. As the second:
# y_nd = Σ_f v_nf W_df, so ∂L/∂W_df = Σ_n g_nd v_nf, which is gᵀ v. Both ways add up.
def answer_3(x, W, g):
    return x.T @ (g @ W) + g.T @ (x @ W)


# Exercise 4 is open. One run (seed 0): with the slow D the centre of G shoots past that of the data,
# to (1.35, -1.04) after 100 steps, and comes back; the covariance is still off by 0.66 after 2000
# steps, in place of 0.07. With the fast G the centre is 0.20 away after 20 steps, in place of 0.48,
# and the covariance swings: off by 0.79 after 100 steps, by 0.06 after 2000.
# The arrows point to where D was wrong a moment ago.
