"""Holes in pictures: how they are made, and how they are filled without learning.

A hole is a boolean array (N, H, W, 1), True where the picture is missing; pictures x are floats (N, H, W, C) of any
range. The smooth fills solve a linear system in the missing pixels by conjugate gradients: the matrix is never
written down, only applied.
"""

import numpy as np

from minigan.base.errors import InputError
from minigan.base.mode import is_plain
from minigan.kernels import smoothing

TOLERANCE = 1e-3  # of the residual's length, beside the right-hand side's: less than a grey value
MOST = 500  # iterations
SCRATCHES, WIDTH = 4, 1 / 14  # lines across a picture, and how wide one is beside the picture


# ---- holes


def centre_hole(n, height, width, rng):
    """The square in the middle, half as wide and half as high (Pathak et al. 2016, section 3.3)."""
    hole = np.zeros((n, height, width, 1), bool)
    hole[:, height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = True
    return hole


def random_hole(n, height, width, rng):
    """Each pixel missing with probability 1/2."""
    return rng.random((n, height, width, 1)) < 0.5


def scratch_hole(n, height, width, rng):
    """SCRATCHES straight lines, each through a random point in a random direction: |(p - q) · n| < half their width."""
    points = rng.random((2, n, 1, 1, SCRATCHES)) * np.reshape([height - 1, width - 1], (2, 1, 1, 1, 1))
    angles = rng.random((n, 1, 1, SCRATCHES)) * np.pi
    down, right = np.arange(height)[:, None, None] - points[0], np.arange(width)[None, :, None] - points[1]
    reach = max(1.0, WIDTH * min(height, width)) / 2
    return (abs(down * np.cos(angles) + right * np.sin(angles)) < reach).any(axis=3, keepdims=True)


HOLES = {"centre": centre_hole, "random": random_hole, "scratches": scratch_hole}


# ---- fills


def mean_fill(x, hole):
    """The missing pixels become the mean of the known ones of their picture and channel, or 127.5 where none is."""
    known = ~hole
    count = known.sum(axis=(1, 2), keepdims=True)
    total = np.where(known, x, 0).sum(axis=(1, 2), keepdims=True)  # whatever is missing, NaN perhaps
    mean = np.where(count, total / np.maximum(count, 1), 127.5)
    return np.where(hole, mean, x).astype(x.dtype)


def harmonic(x, hole):
    """Diffusion: each missing pixel becomes the mean of its neighbours, L x = 0 in the hole."""
    return _smooth(x, hole, 1)


def biharmonic(x, hole):
    """A thin plate: ‖L x‖² is smallest, L² x = 0 in the hole, so that slopes go on into it."""
    return _smooth(x, hole, 2)


def poisson(x, hole, guide):
    """Blending: the missing pixels get the guide's gradients and meet the known ones, L x = L guide in the hole (Pérez
    et al. 2003). So x - guide is harmonic there."""
    return guide + harmonic(x - guide, hole)


def laplacian(x):
    """(L x)_p = Σ (x_p - x_q) over the pixels q beside p, above and below it, that the picture has: as if x_q = x_p
    outside. L is symmetric and not negative."""
    p = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    return 4 * x - p[:, :-2, 1:-1] - p[:, 2:, 1:-1] - p[:, 1:-1, :-2] - p[:, 1:-1, 2:]


def conjugate_gradients(matrix, b, tolerance=TOLERANCE, most=MOST, axes=None):
    """x with A x = b, matrix(v) = A v for v like b, A symmetric, positive where b can lead (Hestenes and Stiefel 1952).

    axes: those of one system, all but the first unless given; the others count systems, each solved by itself. It ends
    after `most` steps, or when every residual is shorter than tolerance · ‖b‖. A system is solved beside its largest
    number, whose square might be too large or too small for a float.
    """
    axes = axes or tuple(range(1, b.ndim))

    def dot(u, v):
        return (u * v).sum(axis=axes, keepdims=True)

    largest = np.abs(b).max(axis=axes, keepdims=True)
    largest = np.where(largest > 0, largest, 1)
    x, residual = np.zeros_like(b), b / largest
    direction, square = residual, dot(residual, residual)
    enough = tolerance**2 * square
    for _ in range(most):
        busy = square > enough
        if not busy.any():
            break
        image = matrix(direction)
        step = np.where(busy, square, 0) / np.where(busy, dot(direction, image), 1)
        x, residual = x + step * direction, residual - step * image
        before, square = square, dot(residual, residual)
        direction = residual + np.where(busy, square, 0) / np.where(busy, before, 1) * direction
    return x * largest


def masked(v, hole, power):
    """M L^power v, M being the hole."""
    for _ in range(power):
        v = laplacian(v)
    return v * hole


def smooth(b, hole, power, tolerance, most):
    """v with M L^power v = b and 0 outside the hole M, a system for each picture and channel.

    b (N, H, W, C) floats, 0 outside the hole (N, H, W, 1); power 1 or more; tolerance, most: of conjugate_gradients,
    in float64 -> v like b.
    """
    b64 = b.astype(np.float64)
    return conjugate_gradients(lambda v: masked(v, hole, power), b64, tolerance, most, axes=(1, 2)).astype(b.dtype)


def _smooth(x, hole, power):
    """The missing pixels of x such that L^power x = 0 in the hole; with v the part of them that is to be found, M the
    hole and x₀ the mean fill: M L^power M v = -M L^power x₀."""
    if x.shape[:3] != hole.shape[:3] or hole.dtype != bool:
        raise InputError(f"a hole of {hole.dtype} {hole.shape} does not go with pictures of {x.shape}.")
    start = mean_fill(x, hole)
    some = (~hole).any(axis=(1, 2), keepdims=True)  # a picture without a known pixel has nothing to go by
    solve = smooth if is_plain() else smoothing.smooth
    return start + solve(-masked(start, hole, power) * some, hole, power, TOLERANCE, MOST)
