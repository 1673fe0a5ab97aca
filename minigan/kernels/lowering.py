"""A convolution as matrix products, by two algorithms with one interface, a few pictures at a time.

Both turn input, weight and output into stacks of matrices, V (S, R, K), U (S, K, O) and M (S, R, O), such that the
convolution is M = V U, and its gradients are dV = dM Uᵀ and dU = Vᵀ dM:

    Im2col    one product (S = 1): V holds every window as a row (im2col.py); for any convolution
    ToomCook  one product for each pair of points (toom_cook): about half the multiplications and half the memory,
              for filters of 2 or 3 taps per phase and enough channels to be worth the sorting

"sides" are what the three arrays are turned into, and `to_…` is the transposed step: since each step is linear, the
gradient of one direction is the other, and a transposed convolution runs the same steps in the other order.

V is many times as large as x. So each thread takes its pictures in chunks whose V stays in the cache, from the first
step to the last, and V is made anew for the weight gradient instead of being kept. As every chunk reads all of U, and
adds to all of dU, a chunk's V is at least as large as U.
"""

import math
from itertools import pairwise

import numpy as np

from minigan.kernels import pointwise
from minigan.kernels.im2col import col2im, im2col
from minigan.kernels.parallel import memory, threads
from minigan.kernels.toom_cook import plans
from minigan.kernels.toom_cook import steps as toom_cook_steps

FEWEST_CHANNELS = 16  # on both sides, below which the products are too thin to be the larger part of the work
WORTHWHILE = 0.6  # the share of multiplications left, above which im2col is as fast
CHUNK_BYTES = 1 << 20  # of V at least, which is about a core's own cache


def lowering(input_shape, weight_shape, stride, padding, output_size, dtype):
    """The cheaper algorithm for x (N, H, W, C) = input_shape and weight (KH, KW, C, O), output_size (OH, OW)."""
    taps = [-(-k // s) for k, s in zip(weight_shape[:2], stride, strict=True)]
    within = all(p < k for p, k in zip(padding, weight_shape, strict=False))
    if min(weight_shape[2:]) >= FEWEST_CHANNELS and all(2 <= t < max(plans.POINTS) for t in taps) and within:
        axes = zip(output_size, weight_shape, stride, strict=False)
        left = math.prod(plans.multiplications(*axis) for axis in axes)
        if left <= WORTHWHILE * math.prod(output_size) * math.prod(weight_shape[:2]):
            plan = plans.plan(weight_shape[:2], stride, output_size, dtype)
            return ToomCook(input_shape, weight_shape, stride, padding, output_size, plan)
    return Im2col(input_shape, weight_shape, stride, padding, output_size)


class Im2col:
    """V = im2col(x), U = the weight as a matrix, M = the output's pixels."""

    def __init__(self, input_shape, weight_shape, stride, padding, output_size):
        self.input_shape, self.weight_shape = input_shape, weight_shape
        self.geometry = (weight_shape[:2], stride, padding, output_size)
        self.output_shape = (input_shape[0], *output_size, weight_shape[3])
        self.u_size = math.prod(weight_shape)
        self.v_size = math.prod(output_size) * math.prod(weight_shape[:3])

    def input_side(self, x):
        return im2col(x, *self.geometry)[None]

    def weight_side(self, weight):
        return weight.reshape(1, -1, weight.shape[3])

    def output_side(self, y):
        return y.reshape(1, -1, y.shape[3])

    def to_input(self, v, bias, out):
        col2im(v[0], out.shape, *self.geometry, bias + np.zeros(out.shape[3], out.dtype), out)

    def to_weight(self, u):
        return u.reshape(self.weight_shape)

    def room_for_m(self, out):
        return self.output_side(out)

    def to_output(self, m, bias, out):
        pointwise.add_bias(m[0], bias)  # m is out's own memory

    def room_for_v(self, m):
        return memory.empty((*m.shape[:2], math.prod(self.weight_shape[:3])), m.dtype)

    def room_for_u(self, m):
        return memory.empty((1, math.prod(self.weight_shape[:3]), self.weight_shape[3]), m.dtype)

    def stacks(self, v, u, m):
        yield v, u, m


class ToomCook:
    """Winograd's, with fewer multiplications: all sides are values at points, in flat arrays."""

    def __init__(self, input_shape, weight_shape, stride, padding, output_size, plan):
        self.input_shape, self.weight_shape, self.stride, self.padding = input_shape, weight_shape, stride, padding
        self.plan = plan
        self.output_shape = (input_shape[0], *output_size, weight_shape[3])
        self.u_size = plan.weight.layout.size * weight_shape[2] * weight_shape[3]
        self.v_size = plan.input.layout.size * weight_shape[2]

    def input_side(self, x):
        return toom_cook_steps.transform(x, self.plan.input, self.stride, self.padding)

    def weight_side(self, weight):
        return toom_cook_steps.transform(self._as_picture(weight), self.plan.weight, self.stride)

    def output_side(self, y):
        return toom_cook_steps.transform(y, self.plan.output)

    def to_input(self, v, bias, out):
        toom_cook_steps.inverse_transform(v, self.plan.input, out, self.stride, self.padding, bias)

    def to_weight(self, u):
        weight = np.empty(self.weight_shape, u.dtype)
        toom_cook_steps.inverse_transform(u, self.plan.weight, self._as_picture(weight), self.stride)
        return weight

    def room_for_m(self, out):
        return memory.empty((self.plan.output.layout.size * len(out) * out.shape[3],), out.dtype)

    def to_output(self, m, bias, out):
        toom_cook_steps.inverse_transform(m, self.plan.output, out, bias=bias)

    def room_for_v(self, m):
        return memory.empty((m.size // self._m_size() * self.v_size,), m.dtype)

    def room_for_u(self, m):
        return memory.empty((self.u_size,), m.dtype)

    def stacks(self, v, u, m):
        """The three as stacks of matrices (S, R, K), (S, K, O) and (S, R, O), one triple for each kind."""
        (c, o), n = self.weight_shape[2:], m.size // self._m_size()
        for group in self.plan.groups:
            blocks, rows, width = group.blocks, group.rows * n, group.width * c
            yield (
                _stack(v, group.v * n * c, blocks, rows, width),
                _stack(u, group.u * c * o, blocks, width, o),
                _stack(m, group.m * n * o, blocks, rows, o),
            )

    def _m_size(self):
        return self.plan.output.layout.size * self.weight_shape[3]

    def _as_picture(self, weight):
        return weight.reshape(1, *weight.shape[:2], -1)


def _stack(flat, first, *shape):
    return flat[first : first + math.prod(shape)].reshape(shape)


def convolve(algorithm, x, u, bias):
    """x (N, H, W, C) convolved with the weight whose side is u, plus bias (O,), or 0 for none."""
    out = memory.empty(algorithm.output_shape, x.dtype)
    _share(algorithm, _convolve, x, u, bias, out)
    return out


def convolve_transposed(algorithm, y, u, bias):
    """The transposed convolution of y (N, OH, OW, O), plus bias (C,), or 0 for none -> (N, H, W, C)."""
    out = memory.empty(algorithm.input_shape, y.dtype)
    _share(algorithm, _convolve_transposed, y, u, bias, out)
    return out


def convolve_backward(algorithm, grad, x, u, need_params, need_input):
    """-> gradients of `convolve` by x and by the weight, None where it is not needed; grad (N, OH, OW, O)."""
    grad_x = memory.empty(algorithm.input_shape, grad.dtype) if need_input else None
    sums = _Sums() if need_params else None
    _share(algorithm, _convolve_backward, grad, x, u, grad_x, sums)
    return grad_x, algorithm.to_weight(sums.total()) if need_params else None


def convolve_transposed_backward(algorithm, grad, y, u, need_params, need_input):
    """-> gradients of `convolve_transposed` by y and by the weight, likewise; grad (N, H, W, C)."""
    grad_y = memory.empty(algorithm.output_shape, grad.dtype) if need_input else None
    sums = _Sums() if need_params else None
    _share(algorithm, _convolve_transposed_backward, grad, y, u, grad_y, sums)
    return grad_y, algorithm.to_weight(sums.total()) if need_params else None


class _Sums:
    """Weight gradients of parts of the batch, added up in the batch's order, whichever thread was done first."""

    def __init__(self):
        self.parts = []

    def add(self, start, u):
        self.parts.append((start, u))

    def total(self):
        first, *others = [u for _, u in sorted(self.parts, key=lambda part: part[0])]
        for u in others:
            pointwise.add(first, u)
        return first


def _share(algorithm, task, *arguments):
    """task(start, stop, algorithm, …) for all pictures, shared among the threads, each product with one BLAS thread."""
    pictures = algorithm.input_shape[0]
    work = pictures * algorithm.v_size * algorithm.output_shape[3] // threads.MULTIPLICATIONS
    with threads.one_blas_thread:
        threads.run(task, pictures, work, algorithm, *arguments)


def _chunks(start, stop, algorithm, itemsize):
    size = max(CHUNK_BYTES, algorithm.u_size * itemsize)
    count = min(stop - start, -(-(stop - start) * algorithm.v_size * itemsize // size))
    borders = [start + (stop - start) * i // count for i in range(count + 1)]
    return [slice(*border) for border in pairwise(borders)]


def _convolve(start, stop, algorithm, x, u, bias, out):
    for part in _chunks(start, stop, algorithm, x.itemsize):
        m = product(algorithm, algorithm.input_side(x[part]), u, out[part])
        algorithm.to_output(m, bias, out[part])


def _convolve_transposed(start, stop, algorithm, y, u, bias, out):
    for part in _chunks(start, stop, algorithm, y.itemsize):
        algorithm.to_input(product_grad_v(algorithm, algorithm.output_side(y[part]), u), bias, out[part])


def _convolve_backward(start, stop, algorithm, grad, x, u, grad_x, sums):
    total = None
    for part in _chunks(start, stop, algorithm, grad.itemsize):
        m = algorithm.output_side(grad[part])
        if grad_x is not None:
            algorithm.to_input(product_grad_v(algorithm, m, u), 0, grad_x[part])
        if sums is not None:
            total = product_grad_u(algorithm, algorithm.input_side(x[part]), m, total)
    if sums is not None:
        sums.add(start, total)


def _convolve_transposed_backward(start, stop, algorithm, grad, y, u, grad_y, sums):
    total = None
    for part in _chunks(start, stop, algorithm, grad.itemsize):
        v = algorithm.input_side(grad[part])
        if grad_y is not None:
            algorithm.to_output(product(algorithm, v, u, grad_y[part]), 0, grad_y[part])
        if sums is not None:
            total = product_grad_u(algorithm, v, algorithm.output_side(y[part]), total)
    if sums is not None:
        sums.add(start, total)


def product(algorithm, v, u, out):
    """M = V U, from which `algorithm` will make `out`."""
    m = algorithm.room_for_m(out)
    for v_stack, u_stack, m_stack in algorithm.stacks(v, u, m):
        np.matmul(v_stack, u_stack, out=m_stack)
    return m


def product_grad_v(algorithm, m, u):
    """dV = dM Uᵀ."""
    v = algorithm.room_for_v(m)
    for v_stack, u_stack, m_stack in algorithm.stacks(v, u, m):
        np.matmul(m_stack, u_stack.transpose(0, 2, 1), out=v_stack)
    return v


def product_grad_u(algorithm, v, m, so_far=None):
    """dU = Vᵀ dM, added to what there is so far, if anything."""
    u = algorithm.room_for_u(m) if so_far is None else so_far
    for v_stack, u_stack, m_stack in algorithm.stacks(v, u, m):
        if so_far is None:
            np.matmul(v_stack.transpose(0, 2, 1), m_stack, out=u_stack)
        else:
            u_stack += np.matmul(v_stack.transpose(0, 2, 1), m_stack)
    return u
