"""A convolution as matrix products, in two ways with one interface.

Both turn input, weight and output into stacks of matrices, V (S, R, K), U (S, K, O) and M (S, R, O), such that the
convolution is M = V U, and its gradients are dV = dM Uᵀ and dU = Vᵀ dM:

    Im2col    one product (S = 1): V holds every window as a row (im2col.py); for any convolution
    ToomCook  one product for each pair of points (toom_cook.py): about half the multiplications and half the memory,
              for filters of 2 or 3 taps per phase and enough channels to be worth the sorting

"sides" are what the three arrays are turned into, and `to_…` is the transposed step: since each step is linear, the
gradient of one direction is the other, and a transposed convolution runs the same steps in the other order.
"""

from itertools import pairwise

import numpy as np

from minigan.kernels import gemm, memory, pointwise, toom_cook
from minigan.kernels.im2col import col2im, im2col

FEWEST_CHANNELS = 16  # on both sides, below which the products are too thin to be the larger part of the work
WORTHWHILE = 0.6  # the share of multiplications left, above which the plain way is as fast


def lowering(input_shape, weight_shape, stride, padding, output_size, dtype):
    """The cheaper way for x (N, H, W, C) = input_shape and weight (KH, KW, C, O), output_size (OH, OW)."""
    taps = [-(-k // s) for k, s in zip(weight_shape[:2], stride, strict=True)]
    within = all(p < k for p, k in zip(padding, weight_shape, strict=False))
    if min(weight_shape[2:]) >= FEWEST_CHANNELS and all(2 <= t <= 3 for t in taps) and within:
        plan = toom_cook.plan(weight_shape[:2], stride, output_size, dtype)
        left = plan.slot.size * stride[0] * stride[1]
        if left <= WORTHWHILE * output_size[0] * output_size[1] * weight_shape[0] * weight_shape[1]:
            return ToomCook(input_shape, weight_shape, stride, padding, output_size, plan)
    return Im2col(input_shape, weight_shape, stride, padding, output_size)


class Im2col:
    """The plain way: V = im2col(x), U = the weight as a matrix, M = the output's pixels."""

    def __init__(self, input_shape, weight_shape, stride, padding, output_size):
        self.input_shape, self.weight_shape = input_shape, weight_shape
        self.geometry = (weight_shape[:2], stride, padding, output_size)
        self.output_shape = (input_shape[0], *output_size, weight_shape[3])

    def input_side(self, x):
        return im2col(x, *self.geometry)[None]

    def weight_side(self, weight):
        return weight.reshape(1, -1, weight.shape[3])

    def output_side(self, y):
        return y.reshape(1, -1, y.shape[3])

    def to_input(self, v, bias):
        return col2im(v[0], self.input_shape, *self.geometry, _or_zero(bias, self.input_shape[3], v.dtype))

    def to_weight(self, u):
        return u.reshape(self.weight_shape)

    def to_output(self, m, bias, negative_slope):
        pointwise.add_bias(m[0], bias, negative_slope)
        return m.reshape(self.output_shape)

    def blocks(self, stack):
        return stack


class ToomCook:
    """The way with fewer multiplications: all sides are values at points; R counts segments and pictures."""

    def __init__(self, input_shape, weight_shape, stride, padding, output_size, plan):
        self.input_shape, self.weight_shape, self.stride, self.padding = input_shape, weight_shape, stride, padding
        self.plan = plan
        self.output_shape = (input_shape[0], *output_size, weight_shape[3])

    def input_side(self, x):
        return toom_cook.spread_input(x, self.plan, self.stride, self.padding)

    def weight_side(self, weight):
        return toom_cook.spread_weight(weight, self.plan, self.stride)

    def output_side(self, y):
        return toom_cook.spread_output(y, self.plan)

    def to_input(self, v, bias):
        bias = _or_zero(bias, self.input_shape[3], v.dtype)
        return toom_cook.gather_input(v, self.plan, self.input_shape, self.stride, self.padding, bias)

    def to_weight(self, u):
        return toom_cook.gather_weight(u, self.plan, self.weight_shape, self.stride)

    def to_output(self, m, bias, negative_slope):
        bias = _or_zero(bias, self.output_shape[3], m.dtype)
        return toom_cook.gather_output(m, self.plan, self.output_shape, bias, negative_slope)

    def blocks(self, stack):
        """(ξη, N, …) -> one matrix for each pair of points."""
        slots = pairwise(self.plan.borders)
        return [stack[first:last].reshape(-1, stack.shape[2]) for first, last in slots]


def forward(way, v, u):
    """M = V U."""
    m = memory.empty((*v.shape[:2], u.shape[2]), v.dtype)
    gemm.products(list(zip(way.blocks(v), u, way.blocks(m), strict=True)))
    return m


def backward_input(way, m, u):
    """dV = dM Uᵀ."""
    v = memory.empty((*m.shape[:2], u.shape[1]), m.dtype)
    gemm.products(list(zip(way.blocks(m), u.transpose(0, 2, 1), way.blocks(v), strict=True)))
    return v


def backward_weight(way, v, m):
    """dU = Vᵀ dM."""
    v_blocks, m_blocks = way.blocks(v), way.blocks(m)
    u = memory.empty((len(v_blocks), v.shape[2], m.shape[2]), v.dtype)
    gemm.products(
        [(v_block.T, m_block, u_block) for v_block, m_block, u_block in zip(v_blocks, m_blocks, u, strict=True)]
    )
    return u


def _or_zero(bias, channels, dtype):
    return np.zeros(channels, dtype) if bias is None else bias
