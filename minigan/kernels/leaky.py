"""The (leaky) ReLU of one number and its derivative, for all kernels that apply it on the way.

a(y) = y for y > 0, else s·y, with s = slope, from 0 for ReLU to 1 for no activation at all. The derivative follows from
the sign of a's output. NaN stays NaN, and with s = 0 infinity becomes 0 like every number below 0; their product is
NaN, which is not less than s, unlike all other products.
"""

from minigan.kernels.jit import inlined_kernel


@inlined_kernel
def activated(y, slope):
    """a(y)."""
    below = slope * y
    return y if not y <= 0 else (below if below < slope else slope)


@inlined_kernel
def passed_back(g, out, slope):
    """g a'(y), with out = a(y)."""
    return g if not out <= 0 else (slope * g if slope else slope)
