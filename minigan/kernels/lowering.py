"""A convolution as matrix products, a few pictures at a time, by one of two algorithms.

Both turn input, weight and output into stacks of matrices, V (S, R, K), U (S, K, O) and M (S, R, O), such that the
convolution is M = V U, and its gradients are dV = dM Uᵀ and dU = Vᵀ dM:

    Im2col    one product (S = 1): V holds every window as a row (im2col.py); for any convolution
    ToomCook  one product for each pair of points (toom_cook): about half the multiplications and half the memory,
              for filters of 2 or 3 taps per phase and enough channels to be worth the sorting

`to_values(pictures, side)` makes V of inputs and M of outputs, and `to_pictures` is the transposed step: since each
step is linear, the gradient of one direction is the other, and a transposed convolution is one from OUTPUT to INPUT.

V is many times as large as x. So each thread takes its pictures in chunks whose V stays in the cache, from the first
step to the last, and V is made anew for the weight gradient instead of being kept. As every chunk reads all of U, and
adds to all of dU, a chunk's V is at least as large as U.
"""

import math
from itertools import pairwise

import numpy as np

from minigan.kernels import pointwise
from minigan.kernels.im2col import INPUT, OUTPUT, Im2col
from minigan.kernels.parallel import memory, threads
from minigan.kernels.toom_cook import plans
from minigan.kernels.toom_cook.steps import ToomCook

FEWEST_CHANNELS = 16  # on both sides, below which the products are too thin to be the larger part of the work
WORTHWHILE = 0.6  # the share of multiplications left, above which im2col is as fast
CHUNK_BYTES = 1 << 20  # of V at least, which is about a core's own cache


def lowering(input_shape, weight_shape, stride, padding, output_size, dtype):
    """The cheaper algorithm for x (N, H, W, C) = input_shape and weight (KH, KW, C, O), output_size (OH, OW)."""
    geometry = (input_shape, weight_shape, stride, padding, output_size)
    taps = [-(-k // s) for k, s in zip(weight_shape[:2], stride, strict=True)]
    within = all(p < k for p, k in zip(padding, weight_shape, strict=False))
    if min(weight_shape[2:]) >= FEWEST_CHANNELS and all(2 <= t < max(plans.POINTS) for t in taps) and within:
        axes = zip(output_size, weight_shape, stride, strict=False)
        left = math.prod(plans.multiplications(*axis) for axis in axes)
        if left <= WORTHWHILE * math.prod(output_size) * math.prod(weight_shape[:2]):
            return ToomCook(*geometry, dtype)
    return Im2col(*geometry)


def convolve(algorithm, x, u, bias, side=INPUT):
    """The convolution of x (N, H, W, C), or the transposed one where `side` is OUTPUT, with the weight whose values are
    u, plus bias, 0 for none."""
    out = memory.empty(algorithm.shapes[1 - side], x.dtype)
    _share(algorithm, _convolve, side, x, u, bias, out)
    return out


def convolve_backward(algorithm, grad, x, u, need_params, need_input, side=INPUT):
    """-> the gradients of `convolve` by x and by the weight, None where it is not needed."""
    grad_x = memory.empty(x.shape, x.dtype) if need_input else None
    sums = {} if need_params else None  # by their first picture: of a part of the batch each
    _share(algorithm, _convolve_backward, side, grad, x, u, grad_x, sums)
    if not need_params:
        return grad_x, None
    total, *others = (sums[first] for first in sorted(sums))  # in the batch's order, whichever thread was done first
    for grad_u in others:
        pointwise.add(total, grad_u)
    return grad_x, algorithm.to_weight(total)


def _share(algorithm, task, *arguments):
    """task(start, stop, algorithm, …) for all pictures, shared among the threads, each product with one BLAS thread."""
    pictures, *_, channels = algorithm.shapes[OUTPUT]
    work = pictures * algorithm.v_size * channels // threads.MULTIPLICATIONS
    with threads.one_blas_thread:
        threads.run(task, pictures, work, algorithm, *arguments)


def _chunks(start, stop, algorithm, itemsize):
    size = max(CHUNK_BYTES, algorithm.u_size * itemsize)
    count = min(stop - start, -(-(stop - start) * algorithm.v_size * itemsize // size))
    borders = [start + (stop - start) * i // count for i in range(count + 1)]
    return [slice(*border) for border in pairwise(borders)]


def _convolve(start, stop, algorithm, side, x, u, bias, out):
    for part in _chunks(start, stop, algorithm, x.itemsize):
        values = product(algorithm, algorithm.to_values(x[part], side), u, out[part], side)
        algorithm.to_pictures(values, 1 - side, bias, out[part])


def _convolve_backward(start, stop, algorithm, side, grad, x, u, grad_x, sums):
    for part in _chunks(start, stop, algorithm, grad.itemsize):
        back = algorithm.to_values(grad[part], 1 - side)
        if grad_x is not None:  # its values get no name, so that their memory is free for those of x
            algorithm.to_pictures(product(algorithm, back, u, grad_x[part], 1 - side), side, 0, grad_x[part])
        if sums is not None:
            values = algorithm.to_values(x[part], side)
            v, m = (values, back) if side == INPUT else (back, values)
            sums[start] = product_grad_u(algorithm, v, m, u, sums.get(start))


def product(algorithm, values, u, out, side):
    """M = V U from V, or V = M Uᵀ from M, of which `algorithm` will make `out`."""
    found = algorithm.room(1 - side, out)
    v, m = (values, found) if side == INPUT else (found, values)
    for v_stack, u_stack, m_stack in algorithm.stacks(v, u, m):
        if side == INPUT:
            np.matmul(v_stack, u_stack, out=m_stack)
        else:
            np.matmul(m_stack, u_stack.transpose(0, 2, 1), out=v_stack)
    return found


def product_grad_u(algorithm, v, m, u, so_far=None):
    """dU = Vᵀ dM, added to what there is so far, if anything."""
    total = memory.empty(u.shape, u.dtype) if so_far is None else so_far
    for v_stack, total_stack, m_stack in algorithm.stacks(v, total, m):
        if so_far is None:
            np.matmul(v_stack.transpose(0, 2, 1), m_stack, out=total_stack)
        else:
            total_stack += np.matmul(v_stack.transpose(0, 2, 1), m_stack)
    return total
