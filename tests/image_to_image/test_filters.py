"""Filters and picture metrics against their definitions, written pixel by pixel."""

import math

import numpy as np
import pytest

from minigan.base.errors import InputError
from minigan.image_to_image import filters
from minigan.metrics import image_metrics


def rng():
    return np.random.default_rng(4)


def draw(*shape):
    return rng().integers(0, 256, shape).astype(np.uint8)


def at(picture, h, w):
    """The pixel (h, w) of a picture (H, W, C), the outermost one beyond the border."""
    return picture[min(max(h, 0), len(picture) - 1), min(max(w, 0), picture.shape[1] - 1)]


def pixel_by_pixel(images, shape, formula):
    """formula(picture, h, w) -> (C,), for every output pixel of every picture, rounded."""
    out = np.array([[[formula(p, h, w) for w in range(shape[1])] for h in range(shape[0])] for p in images])
    return np.rint(np.clip(out, 0, 255)).astype(int)


# ---- filters


def test_shrink_is_the_mean():
    images = np.arange(2 * 4 * 6 * 2).reshape(2, 4, 6, 2).astype(np.uint8)

    def mean(picture, h, w):
        return picture[2 * h : 2 * h + 2, 2 * w : 2 * w + 2].reshape(4, -1).mean(axis=0)

    np.testing.assert_array_equal(filters.shrink(images, 2), pixel_by_pixel(images, (2, 3), mean))
    assert filters.shrink(draw(3, 8, 8, 1), 4).shape == (3, 2, 2, 1)
    with pytest.raises(InputError, match="4 x 6 pixels do not divide by 4"):
        filters.shrink(images, 4)


def cubic(d):
    d = abs(d)
    if d >= 2:
        return 0
    return 1.5 * d**3 - 2.5 * d**2 + 1 if d <= 1 else -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic(factor):
    images = draw(2, 5, 4, 2)

    def formula(picture, h, w):
        p, q = (h + 0.5) / factor - 0.5, (w + 0.5) / factor - 0.5
        places = [(i, j) for i in range(-4, 10) for j in range(-4, 10)]
        return sum(cubic(p - i) * cubic(q - j) * at(picture, i, j).astype(float) for i, j in places)

    expected = pixel_by_pixel(images, (5 * factor, 4 * factor), formula)
    assert abs(filters.bicubic(images, factor) - expected).max() <= 1  # a tie may round either way
    assert (filters.bicubic(images, factor) != expected).mean() < 0.02


def test_bicubic_keeps_ramps_and_puts_pixels_in_place():
    ramp = np.broadcast_to(np.arange(0, 200, 8)[:, None], (25, 6)).astype(np.uint8)[None, ..., None]
    larger = filters.bicubic(ramp, 2)[0, :, 3, 0]
    np.testing.assert_array_equal(larger[4:-4], (-2 + 4 * np.arange(50))[4:-4])
    assert (filters.bicubic(np.full((1, 3, 3, 1), 77, np.uint8), 4) == 77).all()


def test_nearest():
    x = draw(2, 2, 3, 2)
    larger = filters.nearest(x, 2)
    assert all((larger[:, i::2, j::2] == x).all() for i in range(2) for j in range(2))


@pytest.mark.parametrize("sigma", [0.5, 1.25])
def test_gaussian(sigma):
    images, reach = draw(2, 5, 7, 2), range(-6, 7)
    reach = [d for d in reach if abs(d) <= math.ceil(4 * sigma)]

    def formula(picture, h, w):
        weights = {(i, j): math.exp(-(i * i + j * j) / (2 * sigma**2)) for i in reach for j in reach}
        total = sum(weights.values())
        return sum(weight * at(picture, h + i, w + j).astype(float) for (i, j), weight in weights.items()) / total

    expected = pixel_by_pixel(images, (5, 7), formula)
    assert abs(filters.gaussian(images, sigma) - expected).max() <= 1
    assert (filters.gaussian(images, sigma) != expected).mean() < 0.02


@pytest.mark.parametrize("size", [3, 5])
def test_median(size):
    images, reach = draw(2, 5, 7, 2), range(-(size // 2), size // 2 + 1)

    def formula(picture, h, w):
        return np.median([at(picture, h + i, w + j) for i in reach for j in reach], axis=0)

    np.testing.assert_array_equal(filters.median(images, size), pixel_by_pixel(images, (5, 7), formula))
    with pytest.raises(InputError, match="expected an odd number"):
        filters.median(images, 4)


def test_noise():
    grey = np.full((50, 20, 20, 1), 128, np.uint8)
    noisy = filters.add_noise(grey, 0.1, rng()).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=1)
    assert noisy.std() == pytest.approx(25.5, rel=0.03)
    assert (grey == 128).all()
    np.testing.assert_array_equal(noisy, filters.add_noise(grey, 0.1, rng()))
    clipped = filters.add_noise(np.zeros((1, 50, 50, 1), np.uint8), 0.3, rng())
    assert 0.4 < (clipped == 0).mean() < 0.6  # what is below black is black


def test_only_uint8_pictures_are_filtered():
    for method in (filters.bicubic, filters.shrink, filters.gaussian, filters.median, image_metrics.psnr):
        with pytest.raises(InputError, match="expected"):
            method(np.zeros((2, 4, 4, 1)), np.zeros((2, 4, 4, 1)))


# ---- metrics


def test_psnr_by_hand():
    x = np.full((2, 4, 6, 1), 100, np.uint8)
    y = x.copy()
    y[0] += 5
    y[1, 0, 0] = 0  # wraps round where bytes are subtracted
    expected = [20 * math.log10(255 / 5), 10 * math.log10(255**2 / (100**2 / 24))]
    np.testing.assert_allclose(image_metrics.psnr(x, y), expected, rtol=1e-12)
    np.testing.assert_allclose(image_metrics.psnr(y, x), expected, rtol=1e-12)
    assert np.isposinf(image_metrics.psnr(x, x)).all()


def plain_ssim(x, y):
    """The definition in Wang et al. 2004, window by window, for one channel (H, W)."""
    d = np.arange(11) - 5
    weights = np.exp(-(d[:, None] ** 2 + d[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2, values = (0.01 * 255) ** 2, (0.03 * 255) ** 2, []
    for h in range(x.shape[0] - 10):
        for w in range(x.shape[1] - 10):
            a, b = (z[h : h + 11, w : w + 11].astype(float) for z in (x, y))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * (a - mean_a) ** 2).sum(), (weights * (b - mean_b) ** 2).sum()
            covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
            values.append(
                (2 * mean_a * mean_b + c1)
                * (2 * covariance + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
            )
    return np.mean(values)


def pair():
    x = draw(3, 15, 13, 2)
    return x, np.clip(x * 0.7 + 60 * rng().standard_normal(x.shape), 0, 255).astype(np.uint8)


def test_ssim_is_its_definition():
    x, y = pair()
    expected = [np.mean([plain_ssim(a[..., c], b[..., c]) for c in range(2)]) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(image_metrics.ssim(x, y), expected, rtol=1e-10)
    np.testing.assert_allclose(image_metrics.ssim(y, x), expected, rtol=1e-10)
    np.testing.assert_allclose(image_metrics.ssim(x, x), 1, rtol=1e-12)


@pytest.mark.parametrize(("name", "value"), [("K1", 0.03), ("K2", 0.01), ("SIGMA", 2), ("WINDOW", 9), ("L", 1)])
def test_a_wrong_constant_of_ssim_shows(monkeypatch, name, value):
    x, y = pair()
    right = image_metrics.ssim(x, y)
    monkeypatch.setattr(image_metrics, name, value)
    assert abs(image_metrics.ssim(x, y) / right - 1).min() > 1e-5


def test_metrics_refuse_what_does_not_fit():
    with pytest.raises(InputError, match="10 x 20 pixels, expected at least 11 x 11"):
        image_metrics.ssim(draw(1, 10, 20, 1), draw(1, 10, 20, 1))
    with pytest.raises(InputError, match="of one shape"):
        image_metrics.psnr(draw(2, 4, 4, 1), draw(1, 4, 4, 1))
    with pytest.raises(InputError, match="no pictures"):
        image_metrics.psnr(draw(0, 4, 4, 1), draw(0, 4, 4, 1))
