"""Pictures at their limits: one pixel, one colour, nothing known, numbers of any size; filters, fills, measures.

Of uint8 pictures no number is out of range, so what is left is sizes, and settings, which are refused by name.
"""

import math

import numpy as np
import pytest

from minigan.audio import sounds
from minigan.autoencoders import variational
from minigan.base.errors import InputError
from minigan.image_to_image import filters, inpainting
from minigan.metrics import image_metrics

FILTERS = {
    "shrink": lambda x: filters.shrink(x, 1),
    "nearest": lambda x: filters.nearest(x, 3),
    "bicubic": lambda x: filters.bicubic(x, 2),
    "gaussian": lambda x: filters.gaussian(x, 1.5),
    "narrow gaussian": lambda x: filters.gaussian(x, 1e-6),
    "wide gaussian": lambda x: filters.gaussian(x, 1000),
    "unsharp": lambda x: filters.unsharp(x, 1.0, 4.0),
    "wiener": lambda x: filters.wiener(x, 2.0, 1e-6),
    "median": lambda x: filters.median(x, 5),
}
SHAPES = [(1, 1, 1, 1), (2, 1, 3, 1), (1, 4, 2, 3)]


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("value", [0, 1, 255])
def test_filters_leave_one_colour_as_it_is(name, shape, value):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert (FILTERS[name](np.full(shape, value, np.uint8)) == value).all()


@pytest.mark.parametrize("name", FILTERS)
def test_filters_refuse_nothing_and_floats(name):
    if name == "nearest":
        pytest.skip("it repeats what there is, floats too")
    for images in (np.zeros((0, 4, 4, 1), np.uint8), np.zeros((1, 4, 4, 1), np.float32), np.zeros((4, 4), np.uint8)):
        with pytest.raises(InputError, match="expected uint8 pictures"):
            FILTERS[name](images)


@pytest.mark.parametrize("bad", [0, 0.0, -1.0, 1e-200, 1e30, math.nan, math.inf])
def test_filters_refuse_deviations_that_are_none(bad):
    images = np.zeros((1, 4, 4, 1), np.uint8)
    for call in (
        lambda: filters.gaussian(images, bad),
        lambda: filters.unsharp(images, bad, 1.0),
        lambda: filters.wiener(images, bad, 0.1),
        lambda: filters.wiener(images, 1.0, bad),
    ):
        with pytest.raises(InputError, match=r"(sigma|noise) is .*, expected a number from 1e-06 to 1000"):
            call()


def test_a_narrow_gaussian_changes_nothing():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 3, 2), np.uint8)
    np.testing.assert_array_equal(filters.gaussian(images, 1e-6), images)


# ---- fills

FILLS = {
    "mean_fill": inpainting.mean_fill,
    "harmonic": inpainting.harmonic,
    "biharmonic": inpainting.biharmonic,
    "poisson": lambda x, hole: inpainting.poisson(x, hole, np.flip(np.where(hole, 0, x), axis=1)),
}


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("shape", [*SHAPES, (3, 6, 7, 2)])
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e-20, 1.0, 1e20, 1e30])
def test_fills_are_as_good_at_any_scale(name, shape, scale):
    """What is missing is not looked at: here it is NaN."""
    rng = np.random.default_rng(3)
    x, hole = rng.standard_normal(shape), rng.random((*shape[:3], 1)) < 0.4
    hole[0, 0, 0] = False
    known = ~hole.all(axis=(1, 2, 3))
    x = np.where(hole, 0 if name == "poisson" else np.nan, x)[known]
    hole = hole[known]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        got = FILLS[name]((x * scale).astype(np.float32), hole)
    wanted = FILLS[name](x, hole) * scale
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-2 * np.abs(wanted).max())


@pytest.mark.parametrize("name", ["mean_fill", "harmonic", "biharmonic"])
def test_fills_of_pictures_of_which_nothing_or_all_is_known(name):
    x, hole = np.full((2, 3, 3, 1), 7, np.float32), np.zeros((2, 3, 3, 1), bool)
    hole[0] = True
    filled = FILLS[name](x, hole)
    assert (filled[0] == 127.5).all()
    assert (filled[1] == 7).all()
    x[1, 0, 0] = np.nan
    hole[1, 2, 2] = True
    with np.errstate(invalid="ignore"):
        assert np.isnan(FILLS[name](x, hole)[1, 2, 2]).all()


# ---- what measures


def test_image_metrics_at_their_limits():
    black, white = np.zeros((1, 11, 11, 1), np.uint8), np.full((1, 11, 11, 1), 255, np.uint8)
    with np.errstate(over="raise", invalid="raise"):
        assert image_metrics.psnr(black, white).tolist() == [0]
        assert image_metrics.psnr(white[:, :1, :1], white[:, :1, :1]).tolist() == [math.inf]
        assert image_metrics.ssim(white, white) == pytest.approx(1)
        assert 0 < image_metrics.ssim(black, white)[0] < 1e-3
        assert image_metrics.sharpness(white).tolist() == [0]
        assert image_metrics.sharpness(black[:, :3, :3]).tolist() == [0]


@pytest.mark.parametrize("name", ["psnr", "ssim", "sharpness"])
def test_image_metrics_refuse_nothing_and_what_is_too_small(name):
    call = {"sharpness": image_metrics.sharpness}.get(name, lambda x: getattr(image_metrics, name)(x, x))
    for shape in ((0, 11, 11, 1), (2, 0, 11, 1), (2, 11, 11, 0)):
        with pytest.raises(InputError, match="no pictures"):
            call(np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match="expected two sets of uint8"):
        call(np.full((1, 11, 11, 1), np.nan))
    if name != "psnr":
        with pytest.raises(InputError, match="expected at least"):
            call(np.zeros((1, 2, 11, 1), np.uint8))


def test_sounds_at_their_limits():
    silent = np.zeros((1, 1, sounds.LENGTH, 1), np.float32)
    with np.errstate(all="raise"):
        for sound in (silent, silent + 1, silent + 1e-30):
            assert np.isfinite(sounds.features(sound)).all()
            assert np.isfinite(sounds.harmonicity(sound)).all()
            assert np.isfinite(sounds.shaped_noise(sound, 2, np.random.default_rng(0))).all()
        assert sounds.harmonicity(silent) == 0


# ---- autoencoders

SCALES = [0.0, 1e-45, 1e-30, 1.0, 80.0, 1e10, 1e30]


def close(found, wanted):
    """Both (value, gradient); what is beyond float32 may be infinite."""
    assert math.isclose(found[0], wanted[0], rel_tol=1e-5, abs_tol=1e-40)
    some = np.abs(wanted[1]) < 1e38
    np.testing.assert_allclose(found[1][some], wanted[1][some], rtol=1e-4, atol=1e-7)
    assert found[1].dtype == np.float32


@pytest.mark.parametrize("name", variational.LIKELIHOODS)
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", SHAPES)
def test_likelihoods_of_any_output(name, scale, shape):
    rng = np.random.default_rng(0)
    outputs, x = (rng.standard_normal(shape) * scale).astype(np.float32), rng.choice([-1, 0.5, 1], shape)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = variational.LIKELIHOODS[name](outputs, x.astype(np.float32))
        close(found, variational.LIKELIHOODS[name](outputs.astype(np.float64), x))


def test_pictures_made_without_any_error_are_not_infinitely_likely():
    x = np.array([-1, 1, 0], np.float32).reshape(1, 1, 3, 1)
    with np.errstate(all="raise"):
        value, grad = variational.gaussian(100 * x, x)
    assert value == pytest.approx(1.5 * math.log(2 * math.pi / 3 / 255**2))
    assert (grad == 0).all()
    assert math.isnan(variational.gaussian(x * np.nan, x)[0])


@pytest.mark.parametrize("scale", SCALES)
def test_the_divergence_of_any_codes(scale):
    mean = np.random.default_rng(0).standard_normal((3, 2)) * scale
    for log_variance in (-1e30, -80, -1e-9, 0, 1e-9, 80):
        codes = np.concatenate([mean, np.full((3, 2), log_variance)], axis=1).astype(np.float32)
        with np.errstate(over="raise", invalid="raise"):
            found = variational.kl_to_standard_normal(codes)
            close(found, variational.kl_to_standard_normal(codes.astype(np.float64)))
        assert found[0] >= 0
        if abs(log_variance) == 1e-9 and scale == 0:  # KL = (log σ²)²/4 to second order: nothing cancelled
            np.testing.assert_allclose(found[1][:, 2:], log_variance / 6, rtol=1e-5)
    assert math.isnan(variational.kl_to_standard_normal(codes * np.nan)[0])
