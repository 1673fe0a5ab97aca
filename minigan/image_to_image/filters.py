"""Pictures made smaller, larger, noisy and smooth without learning: what a network that enhances has to beat.

All take and give uint8 pictures (N, H, W, C), rounded to the nearest grey value and clipped as a file would be, and
repeat the outermost pixels where a formula looks beyond the border. Filters that treat rows and columns alike are two
matrix products a channel, A x Bᵀ: a row of A holds the weights with which one output row sees the input's rows.
"""

import numpy as np

from minigan.base.errors import InputError
from minigan.tools.inference import in_chunks

SMALLEST, LARGEST = 1e-6, 1000  # a deviation: less is nothing to a grey value, more is wider than any picture
BLOCK = 1000  # pictures filtered at a time, so that the floats stay few


def shrink(images, factor):
    """The mean of each factor x factor pixels: (N, H, W, C) -> (N, H/factor, W/factor, C)."""
    n, h, w, c = _checked("shrink", images)
    if h % factor or w % factor:
        raise InputError(f"shrink: {h} x {w} pixels do not divide by {factor}.")
    return _rounded(images.reshape(n, h // factor, factor, w // factor, factor, c).mean(axis=(2, 4), dtype=np.float32))


def nearest(images, factor):
    """Each pixel repeated: (N, H, W, C) -> (N, factor H, factor W, C); of floats too, as they are."""
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def bicubic(images, factor):
    """Cubic convolution with a = -1/2 (Keys 1981, equation 15): (N, H, W, C) -> (N, factor H, factor W, C).

    The centre of output pixel i lies at p = (i + 1/2) / factor - 1/2 of the input, which keeps the picture in place.
    """
    _, h, w, _ = _checked("bicubic", images)
    return _filtered(images, *(_bicubic_weights(size, factor) for size in (h, w)))


def _bicubic_weights(size, factor):
    """(factor·size, size): output pixel i sees the four input pixels around p, with the weights of the cubic."""
    p = (np.arange(factor * size) + 0.5) / factor - 0.5
    weights = np.zeros((factor * size, size))
    for tap in range(-1, 3):
        at = np.floor(p).astype(int) + tap
        d = abs(p - at)
        cubic = np.where(d <= 1, 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2)
        np.add.at(weights, (np.arange(factor * size), np.clip(at, 0, size - 1)), cubic)
    return weights


def gaussian(images, sigma):
    """The mean weighted by e^(-d²/2σ²), cut off at 4σ and normalised."""
    _, h, w, _ = _checked("gaussian", images)
    return _filtered(images, *(gaussian_weights(size, sigma) for size in (h, w)))


def gaussian_weights(size, sigma):
    """(size, size): how much of each pixel of a row `gaussian` puts into each."""
    _check_number("gaussian", "sigma", sigma)
    reach = int(np.ceil(4 * sigma))
    weights = np.zeros((size, size))
    for tap, weight in enumerate(gaussian_window(2 * reach + 1, sigma), -reach):
        np.add.at(weights, (np.arange(size), np.clip(np.arange(size) + tap, 0, size - 1)), weight)
    return weights


def gaussian_window(size, sigma):
    """(size,) weights proportional to e^(-d²/2σ²), d the distance from the middle, that sum to 1."""
    d = np.arange(size) - (size - 1) / 2
    weights = np.exp(-(d**2) / (2 * sigma**2))
    return weights / weights.sum()


def unsharp(images, sigma, amount):
    """x + amount · (x - gaussian(x)): what the filter would take away is put on top (unsharp masking)."""
    _checked("unsharp", images)
    gap = images.astype(np.float32) - gaussian(images, sigma)
    return _rounded(images + np.float32(amount) * gap)


def wiener(images, sigma, noise):
    """`gaussian` undone: with its matrices A = U S Vᵀ for rows and B = P T Qᵀ for columns and y the blurred picture,
        x = V (s_i t_j / ((s_i t_j)² + noise²) · (Uᵀ y P)_ij) Qᵀ.

    That is Wiener's filter (1949) for white noise, `noise` being its deviation beside the picture's, in the basis in
    which this blur is diagonal; sines are only where pictures have no border.
    """
    _, h, w, _ = _checked("wiener", images)
    _check_number("wiener", "noise", noise)
    (u, s, vt), (p, t, qt) = (np.linalg.svd(gaussian_weights(size, sigma)) for size in (h, w))
    gain = np.multiply.outer(s, t)
    gain = (gain / (gain**2 + noise**2))[:, :, None]

    def restored(block):
        block = block.astype(np.float32)
        mean = block.mean(axis=(1, 2), keepdims=True)  # a blur leaves a constant as it is, this filter would not
        return _rounded(apply_along(gain * apply_along(block - mean, u.T, p.T), vt.T, qt.T) + mean)

    return in_chunks(restored, images, size=BLOCK)


def median(images, size):
    """The median of the size x size pixels around each, size being odd."""
    _checked("median", images)
    if size % 2 == 0:
        raise InputError(f"median: size is {size}, expected an odd number, so that a pixel stands in the middle.")
    edge = size // 2

    def medians(block):
        block = np.pad(block, ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="edge")
        windows = np.lib.stride_tricks.sliding_window_view(block, (size, size), axis=(1, 2))
        windows = windows.reshape(*windows.shape[:4], size * size)
        return np.partition(windows, size * size // 2, axis=-1)[..., size * size // 2]

    return in_chunks(medians, images, size=BLOCK)


def add_noise(images, noise, rng):
    """Plus N(0, σ²) for every number of every pixel, drawn from rng; σ = 255 · noise."""
    _checked("add_noise", images)
    return _rounded(images + np.float32(255 * noise) * rng.standard_normal(images.shape, dtype=np.float32))


def apply_along(x, rows, columns):
    """rows x columnsᵀ for every picture and channel: x (N, H, W, C), rows (A, H), columns (B, W) -> (N, A, B, C)."""
    return (rows @ x.transpose(0, 3, 1, 2) @ columns.T).transpose(0, 2, 3, 1)


def _filtered(images, rows, columns):
    rows, columns = rows.astype(np.float32), columns.astype(np.float32)
    return in_chunks(lambda block: _rounded(apply_along(block.astype(np.float32), rows, columns)), images, size=BLOCK)


def _rounded(x):
    return np.rint(np.clip(x, 0, 255)).astype(np.uint8)


def _check_number(name, what, number):
    if not SMALLEST <= number <= LARGEST:
        raise InputError(f"{name}: {what} is {number!r}, expected a number from {SMALLEST:g} to {LARGEST:g}.")


def _checked(name, images):
    if images.ndim != 4 or images.dtype != np.uint8 or not images.size:
        raise InputError(f"{name}: images are {images.dtype} {images.shape}, expected uint8 pictures (N, H, W, C).")
    return images.shape
