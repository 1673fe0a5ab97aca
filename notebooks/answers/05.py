"""Answers to the exercises of notebook 5, with their reasons."""

# Stamp of 2 at place 0: (2, 4, 2). Stamp of 1 at place 2: (1, 2, 1). Added: (2, 4, 3, 2, 1).
# The padding cuts one number off at each end: (4, 3, 2). Size: (2 - 1)·2 + 3 - 2 = 3.
answer_1 = (4, 3, 2)

# Line 6: stride and position have changed places. Stamps are S apart and dense inside, so the
# place is h · S + i. With the mistake they are 1 apart and have gaps. With S = 1 both agree.
answer_2 = 6

# At an even place of the uncut output W₀ meets W₂ of the input before, at an odd place W₁
# meets W₃. Constant: W₀ + W₂ = W₁ + W₃ = 1. Slope: input h at an even place gives
# W₀ h + W₂ (h - 1) = h - W₂, at an odd place h - W₃; the difference ½ asks for W₂ - W₃ = ½.
# Symmetric: W₃ = W₀ = 1 - W₂. So W₂ = ¾ and W₃ = ¼: linear interpolation.
answer_3 = (0.25, 0.75, 0.75, 0.25)

# Exercise 4 is open. What to look at: both are divisible by the stride, so neither has the
# first cause. Both have the second. Over six seeds the untrained kernel 2 had a checkerboard of
# 0.12 to 0.29 and kernel 6 one of 0.11 to 0.41, no less than kernel 4 (0.17 to 0.44).
