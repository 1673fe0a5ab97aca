"""Numbers at their limits: every layer is finite where the mathematics is. Losses, metrics and what is of pictures only
are in the other test_extremes files.

Non-finite numbers are handed on, so that training sees them and stops with a RunError. What a float32 cannot hold is no
number: attention's scores of numbers beyond 1e19, say, or a running variance.
"""

import math

import numpy as np
import pytest
from layer_zoo import LAYERS, TINY, made, passes

from minigan import layers
from minigan.base.errors import InputError, RunError
from minigan.layers import BatchNorm, Dense, Layer, Sequential, SpectralNorm

every_layer = pytest.mark.parametrize("name", LAYERS)
SEEDS = range(3)


def reference(name, seed, x, condition, training):
    """The same layer on the same numbers, in float64."""
    layer, _, _ = made(name, seed)
    layer.astype(np.float64)
    return passes(
        layer, x.astype(np.float64), None if condition is None else condition.astype(np.float64), None, training
    )


def finite(arrays):
    return {key for key, array in arrays.items() if not np.isfinite(array).all()} == set()


# ---- layers


def test_every_layer_is_in_the_zoo():
    named = {kind for kind in vars(layers).values() if isinstance(kind, type) and issubclass(kind, Layer)} - {
        Layer,
        layers.Composite,
    }
    assert named <= {type(made(name, 0)[0]) for name in LAYERS}


@every_layer
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("scale", [0.0, TINY, 1e-30, 1.0, 1e8])
def test_float32_follows_float64(name, seed, scale):
    """One pixel, one channel, one sample, no variance, numbers with no digits left: as exact as float32 is."""
    with np.errstate(all="ignore"):
        layer, x, condition = made(name, seed)
        x = (x * np.float32(scale)).astype(np.float32)
        got = passes(layer, x, condition)
        wanted = reference(name, seed, x, condition, True)
    for key, array in wanted.items():
        assert np.isfinite(got[key]).all(), key
        least = np.abs(array).max()
        # where float32 rounds what a sign or the largest score depends on, the two part company
        if least < 1e30 and (name, scale) not in (("minibatch_discrimination", TINY), ("attention", 1e8)):
            # a variance that is nearly nothing beside eps costs digits, as does a sum of numbers that cancel
            np.testing.assert_allclose(got[key], array, rtol=0, atol=2e-3 * max(least, 1e-30), err_msg=key)


@every_layer
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("training", [True, False])
def test_large_numbers_are_as_good_as_others(name, seed, training):
    with np.errstate(all="ignore"):
        layer, x, condition = made(name, seed)
        # attention multiplies x by itself, more than once on the way back
        x = (np.sign(x) * np.float32(1e10 if name == "attention" else 1e30)).astype(np.float32)
        got = passes(layer, x, condition, training=training)
        wanted = reference(name, seed, x, condition, training)
    for key, array in wanted.items():
        if (largest := np.abs(array).max()) < 1e36:
            assert np.isfinite(got[key]).all(), key
            if name != "attention":  # where float32 rounds what the largest score depends on
                np.testing.assert_allclose(got[key], array, rtol=0, atol=2e-3 * max(largest, 1e-30), err_msg=key)


def test_a_variance_that_a_float32_cannot_hold():
    layer, x = BatchNorm(2), np.array([[1e25, -1], [-1e25, 1], [0, 3]], np.float32)
    with np.errstate(over="ignore"):
        out = layer.forward(x)
    wanted = [[1.5**0.5, -(1.5**0.5)], [-(1.5**0.5), 0], [0, 1.5**0.5]]
    np.testing.assert_allclose(out, wanted, atol=1e-3)
    assert layer.buffers["running_var"].tolist() == [math.inf, pytest.approx(0.9 + 0.1 * 4)]


INFINITE = [-np.inf, np.inf]
AT_INFINITY = {  # values and slopes there
    layers.ReLU: ([0, np.inf], [0, 1]),
    layers.LeakyReLU: ([-np.inf, np.inf], [0.2, 1]),
    layers.Sigmoid: ([0, 1], [0, 0]),
    layers.Tanh: ([-1, 1], [0, 0]),
    layers.Softplus: ([0, np.inf], [0, 1]),
}


@pytest.mark.parametrize("activation", AT_INFINITY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("times", [1, 37])  # so that some are in a loop over whole vector registers
def test_activations_at_infinity(activation, dtype, times):
    layer, (values, slopes) = activation(), AT_INFINITY[activation]
    x = np.array(INFINITE * times, dtype)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(layer.forward(x), np.array(values * times, dtype))
        np.testing.assert_array_equal(layer.backward(np.ones_like(x)), np.array(slopes * times, dtype))
        assert np.isnan(layer.forward(np.full_like(x, np.nan))).all()


@pytest.mark.parametrize("kind", [layers.ReLU, layers.LeakyReLU])
@pytest.mark.parametrize("bias", INFINITE)
def test_an_infinite_bias_before_an_activation(kind, bias):
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((2, 8, 14, 16)).astype(np.float32)
    for layer, x, name in (
        (layers.Conv2D(16, 17, 4, 2, 1, rng=rng), pictures, "bias"),  # by Toom-Cook
        (layers.Conv2D(16, 3, 3, 1, 1, rng=rng), pictures, "bias"),
        (Dense(16, 9, rng=rng), pictures[0, 0], "bias"),
        (BatchNorm(16), pictures, "beta"),
    ):
        layer.params[name][...] = bias
        out = Sequential([layer, kind()]).forward(x)
        assert (out == AT_INFINITY[kind][0][INFINITE.index(bias)]).all(), layer


@every_layer
@pytest.mark.parametrize("seed", SEEDS)
def test_equal_samples_have_no_variance_and_no_trouble(name, seed):
    with np.errstate(all="raise", under="ignore"):
        layer, x, condition = made(name, seed)
        x[...] = 3.0
        assert finite(passes(layer, x, condition))


@every_layer
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_handed_on(name, bad):
    """NaN in, NaN out, so that training sees it; infinity may become a number where a function levels off."""
    layer, x, condition = made(name, 4)
    x[...] = np.where(np.arange(x.size).reshape(x.shape) % 2, x, bad)
    with np.errstate(all="ignore"):
        out = passes(layer, x, condition)["out"]
    if name == "Sigmoid":
        assert not (np.isfinite(out).all() and np.isnan(bad))
    elif name not in ("Tanh", "Softplus") or np.isnan(bad):
        assert not np.isfinite(out).all()


@every_layer
def test_no_samples_are_refused_by_name(name):
    layer, x, condition = made(name, 5)
    given = () if condition is None else (condition[:0],)
    with pytest.raises(InputError, match=r"\.forward: x is empty|is empty"):
        layer.forward(x[:0], *given)


@pytest.mark.parametrize("scale", [1e-36, 1e-30, 1e30, 1e37])
def test_spectral_norm_of_weights_of_any_size(scale):
    layer = Dense(5, 4, rng=np.random.default_rng(0))
    layer.params["weight"] *= np.float32(scale)
    spectral, x = SpectralNorm(layer, rng=np.random.default_rng(1)), np.ones((2, 5), np.float32)
    for _ in range(30):
        found = passes(spectral, x)
    weight = layer.params["weight"].astype(np.float64)
    wanted = np.ones((2, 5)) @ (weight / np.linalg.norm(weight, 2))
    np.testing.assert_allclose(found["out"], wanted, rtol=1e-3)


def test_spectral_norm_of_a_weight_that_became_nothing():
    spectral = SpectralNorm(Dense(5, 4, rng=np.random.default_rng(0)), rng=np.random.default_rng(1))
    spectral.params["weight"][...] = 0
    with pytest.raises(RunError, match="the weight has become 0"):
        spectral.forward(np.ones((2, 5), np.float32))
