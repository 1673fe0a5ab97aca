"""How near a picture is to the one it should be, peak signal-to-noise ratio and structural similarity; and how sharp.

Pictures are uint8 (N, H, W, C), so the range L of a number is 255. Each function gives a figure a picture, (N,).
"""

import numpy as np

from minigan.base.errors import InputError

L = 255
K1, K2 = 0.01, 0.03
WINDOW, SIGMA = 11, 1.5
BLOCK = 500  # pictures compared at a time
HIGHEST_PSNR = 100.0  # what a picture without any error counts as in a mean


def psnr(images, truth):
    """10 log₁₀(L² / mean (x - y)²) of each picture, in decibels; infinite where both are the same."""
    _check("psnr", images, truth)

    def error(x, y):
        return np.square(x.astype(np.float32) - y).mean(axis=(1, 2, 3), dtype=np.float64)

    with np.errstate(divide="ignore"):
        return 10 * np.log10(L**2 / _in_blocks(error, images, truth))


def mean_psnr(images, truth):
    """The mean PSNR, a number. A picture without any error counts as HIGHEST_PSNR; infinite where all are without."""
    values = psnr(images, truth)
    return float((values if np.isinf(values).all() else np.minimum(values, HIGHEST_PSNR)).mean())


def ssim(images, truth):
    """The structural similarity of each picture, 1 where both are the same (Wang et al. 2004, equation 13).

    In every 11 x 11 window that lies inside the picture, with means μ, variances σ² and the covariance σ_xy weighted by
    a Gaussian of σ = 1.5 that sums to 1:
        SSIM = (2 μ_x μ_y + C₁)(2 σ_xy + C₂) / ((μ_x² + μ_y² + C₁)(σ_x² + σ_y² + C₂)),  C = (K L)²,
    and then its mean over windows and channels.
    """
    _check("ssim", images, truth)
    if min(images.shape[1:3]) < WINDOW:
        raise InputError(
            f"ssim: pictures of {images.shape[1]} x {images.shape[2]} pixels, expected at least {WINDOW} x {WINDOW}."
        )
    rows, columns = (_windows(size) for size in images.shape[1:3])
    c1, c2 = (K1 * L) ** 2, (K2 * L) ** 2

    def weighted(z):
        return rows @ z.transpose(0, 3, 1, 2) @ columns.T

    def similarity(x, y):
        x, y = x.astype(np.float64), y.astype(np.float64)
        mean_x, mean_y = weighted(x), weighted(y)
        variances = weighted(x * x) - mean_x**2 + weighted(y * y) - mean_y**2
        covariance = weighted(x * y) - mean_x * mean_y
        above = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
        return (above / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))).mean(axis=(1, 2, 3))

    return _in_blocks(similarity, images, truth)


def sharpness(images):
    """The mean square of each picture's Laplacian, x above + below + left + right - 4x, over all inner pixels.

    Blurred pictures have less of it than real ones, noisy ones more.
    """
    _check("sharpness", images, images)
    if min(images.shape[1:3]) < 3:
        raise InputError(f"sharpness: pictures of {images.shape[1:3]} pixels, expected at least 3 x 3.")

    def square(x):
        x = x.astype(np.float32)
        around = x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]
        return np.square(around - 4 * x[:, 1:-1, 1:-1]).mean(axis=(1, 2, 3), dtype=np.float64)

    return _in_blocks(square, images)


def _windows(size):
    """(size - 10, size): row i holds the weights of the window that begins at pixel i."""
    middles = np.arange(size - WINDOW + 1)[:, None] + WINDOW // 2
    d = np.abs(np.arange(size) - middles)
    weights = np.where(d <= WINDOW // 2, np.exp(-(d**2) / (2 * SIGMA**2)), 0)
    return weights / weights.sum(axis=1, keepdims=True)


def _in_blocks(measure, *sets):
    blocks = [slice(first, first + BLOCK) for first in range(0, len(sets[0]), BLOCK)]
    return np.concatenate([measure(*(pictures[block] for pictures in sets)) for block in blocks])


def _check(name, images, truth):
    if images.ndim != 4 or images.shape != truth.shape or {images.dtype, truth.dtype} != {np.dtype(np.uint8)}:
        raise InputError(
            f"{name}: got {images.dtype} {images.shape} and {truth.dtype} {truth.shape}, expected two sets of uint8 "
            "pictures of one shape (N, H, W, C)."
        )
    if not images.size:
        raise InputError(f"{name}: there are no pictures to compare.")
