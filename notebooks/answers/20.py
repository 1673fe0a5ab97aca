"""Answers to the exercises of notebook 20, with their reasons."""

import numba

# The ridge of the roof is at I = R / β = 100 / 20 = 5 operations a byte. With K = O = 1024:
# I = 2 N 1024² / (4 (2 · 1024 N + 1024²)) ≥ 5 means N (1024 - 20) ≥ 10 · 1024, N ≥ 10.2.
# The estimate I ≈ N / 2 gives 10. It leaves out the bytes of the layer's input and output.
answer_1 = 11

# Line 6 writes counts[c], which does not belong to the kernel's own rows: all threads write
# the same numbers. To add 1 is to read, to add and to write; where two threads read the same
# old count, one of the two additions is lost. Each thread needs counts of its own (a row of
# partial counts for each chunk of rows), which are added up afterwards.
answer_2 = 6


# Read param, grad and velocity, write param and velocity: 5 numbers. (The text reads
# velocity[i] twice, but the compiler keeps it in a register.) The formula: mu * velocity
# moves 2, + grad 3, lr * velocity 2, param - … 3, together 10.
@numba.njit(nogil=True)
def answer_3(param, grad, velocity, lr, mu):
    for i in range(len(param)):
        velocity[i] = mu * velocity[i] + grad[i]
        param[i] -= lr * velocity[i]


# Exercise 4 is open. The differences are small. 1 or 2 MB are usually as good as any: V and U then
# lie in or near the core's own second cache (1 MB on the machine of the committed run). One
# chunk of 6.4 MB leaves that cache; how much this costs depends on the cache behind it, which
# held all of V on that machine (32 MB). Chunks below 512 KB cannot be had here: V would be smaller
# than U, the products would be thin, and U would be read again for each of them.
