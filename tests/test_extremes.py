"""Numbers at their limits: every layer, loss, optimizer and metric is finite where the mathematics is, else says so.

Non-finite numbers: layers and losses hand them on, so that training sees them and stops with a RunError; metrics refuse
them with an InputError. What a float32 cannot hold is no number: the square of 1e30, which a normalisation needs, is
infinite, and what comes out then is 0 or a number, never NaN.
"""

import math

import numpy as np
import pytest
from layer_zoo import LAYERS, made, passes

from minigan import losses, metrics, optim
from minigan.classifier import Classifier
from minigan.errors import InputError, RunError
from minigan.layers import Dense, SpectralNorm

every_layer = pytest.mark.parametrize("name", LAYERS)
TINY = float(np.finfo(np.float32).smallest_subnormal)
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
def test_large_numbers_stay_finite(name, seed, training):
    with np.errstate(all="ignore"):
        layer, x, condition = made(name, seed)
        # attention multiplies x by itself, more than once on the way back
        x = (np.sign(x) * np.float32(1e10 if name == "attention" else 1e30)).astype(np.float32)
        got = passes(layer, x, condition, training=training)
        wanted = reference(name, seed, x, condition, training)
    for key, array in wanted.items():
        if np.abs(array).max() < 1e36:
            assert np.isfinite(got[key]).all(), key


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


# ---- losses

LOSSES = {name: loss() for name, loss in losses.LOSSES.items()}
LOGITS = [0.0, TINY, 1e-30, 1.0, 1e4, 1e30]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", LOGITS)
@pytest.mark.parametrize("n", [1, 3])
def test_losses_are_finite_at_any_logit(name, dtype, size, n):
    loss = LOSSES[name]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        for real, fake in [(size, size), (size, -size), (-size, size), (-size, -size)]:
            r, f = np.full((n, 1), real, dtype), np.full((n, 1), fake, dtype)
            results = *loss.discriminator(r, f), *loss.generator(f)
            assert all(np.isfinite(result).all() for result in results)
            values = losses.LOSSES[name]().discriminator(r.astype(np.float64), f.astype(np.float64))
            assert math.isclose(results[0], values[0], rel_tol=1e-5, abs_tol=1e-30)
            assert {result.dtype for result in results if isinstance(result, np.ndarray)} == {np.dtype(dtype)}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_hand_on_what_is_no_number(name):
    bad, good = np.array([1.0, np.nan], np.float32), np.ones(2, np.float32)
    with np.errstate(all="ignore"):
        for value in (LOSSES[name].discriminator(bad, good)[0], LOSSES[name].discriminator(good, bad)[0]):
            assert math.isnan(value)
        assert math.isnan(LOSSES[name].generator(bad)[0])


@pytest.mark.parametrize("size", LOGITS)
def test_cross_entropy_at_any_logit(size):
    logits = np.array([[size, -size, 0], [0, 0, 0]], np.float32)
    for label in range(3):
        value, grad = losses.softmax_cross_entropy(logits, np.array([label, 0]))
        assert math.isfinite(value)
        assert np.isfinite(grad).all()
    made_of = np.full((1, 2, 2, 1), size, np.float32)
    assert math.isclose(losses.l1(made_of, -made_of)[0], 2 * float(made_of[0, 0, 0, 0]), rel_tol=1e-6)


def test_a_classifier_that_diverges_says_so():
    images, labels = np.random.default_rng(0).integers(0, 256, (32, 8, 8, 1), np.uint8), np.arange(32) % 2
    classifier = Classifier((8, 8, 1), 2)
    classifier.head.params["weight"][0, 0] = np.nan
    with pytest.raises(RunError, match="training diverged at step 1: the loss is nan"):
        classifier.fit(images, labels, 1, np.random.default_rng(0), batch_size=16)


# ---- optimizers


class Network:
    def __init__(self, value, grad, dtype):
        self.params = {"w": np.full(5, value, dtype)}
        self.grads = {"w": np.full(5, grad, dtype)}


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("grad", [0.0, -TINY, 1e-30, 1.0, -1e8, 1e30])
def test_a_step_along_any_gradient_is_finite(name, dtype, grad):
    network = Network(0.5, grad, dtype)
    optimizer = optim.OPTIMIZERS[name](network, lr=1e-3)
    for _ in range(3):
        optimizer.step()
    moved = network.params["w"].astype(np.float64) - 0.5
    assert np.isfinite(moved).all()
    assert (moved == 0).all() if grad == 0 else (np.sign(moved) * np.sign(grad) <= 0).all()


@pytest.mark.parametrize("name", optim.OPTIMIZERS)
def test_a_gradient_that_is_no_number_is_seen_in_the_parameters(name):
    network = Network(0.5, np.nan, np.float32)
    optim.OPTIMIZERS[name](network, lr=1e-3).step()
    assert np.isnan(network.params["w"]).all()


@pytest.mark.parametrize("size", [TINY, 1e-30, 1.0, 1e30, 3e38])
def test_clipping_gradients_of_any_size(size):
    network = Network(0.0, size, np.float32)
    norm = optim.clip_grad_norm(network, 1e-3)
    assert math.isclose(norm, 5**0.5 * float(np.float32(size)), rel_tol=1e-6)
    assert math.isclose(optim.grad_norm(network), min(norm, 1e-3), rel_tol=1e-3)


# ---- metrics


def features(seed, scale=1.0, n=12, d=3):
    return scale * np.random.default_rng(seed).standard_normal((n, d))


PAIRS = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": metrics.kernel_distance,
    "precision_recall": metrics.precision_recall,
    "density_coverage": metrics.density_coverage,
    "nearest_neighbours": metrics.nearest_neighbours,
    "modes": lambda a, b: metrics.modes(a[:, :2], b[:, :2], 0.1),
    "jensen_shannon": lambda a, b: metrics.jensen_shannon(a[:, :2], b[:, :2], 1.0),
}


def numbers(result):
    return np.concatenate([np.ravel(one) for one in (result if isinstance(result, tuple) else (result,))])


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("scale", [0.0, 1e-300, TINY, 1e-30, 1.0, 1e18, 1e24])
def test_metrics_are_finite(name, scale):
    if (name, scale) == ("nearest_neighbours", 1e24):
        pytest.skip("it is of pictures, and computes in float32")
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        assert np.isfinite(numbers(PAIRS[name](features(0, scale), features(1, scale)))).all()


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("side", [0, 1])
def test_metrics_refuse_what_is_no_number(name, bad, side):
    pair = [features(0), features(1)]
    pair[side][3, 1] = bad
    with pytest.raises(InputError, match="NaN"):
        PAIRS[name](*pair)


@pytest.mark.parametrize("name", PAIRS)
def test_metrics_refuse_nothing(name):
    for pair in ((features(0, n=0), features(1)), (features(0), features(1, n=0)), (features(0, n=0),) * 2):
        with pytest.raises(InputError):
            PAIRS[name](*pair)


@pytest.mark.parametrize("labels", [[0.5, 1.0], [np.nan], ["a"], [[0]], [], [-1], [9]])
def test_class_balance_refuses_what_are_no_labels(labels):
    with pytest.raises(InputError, match="class_balance"):
        metrics.class_balance(labels, 3)


def test_other_figures_at_their_limits():
    with np.errstate(all="raise"):
        assert metrics.class_balance([0, 0], 1) == (np.ones(1), 1, 1.0)
        assert metrics.inception_score(np.eye(3)[[0, 0]]) == 1.0
        assert metrics.inception_score(np.full((2, 3), 1e-300)) > 0
    for x, y in (([1, 2], [1]), ([np.nan, 1], [1, 2]), ([1e200, 1], [1, 2])):
        with pytest.raises(InputError, match="correlations"):
            metrics.correlations(x, y)
    assert metrics.correlations([], []) == (None, None)
    with pytest.raises(InputError, match="extent"):
        metrics.jensen_shannon(features(0)[:, :2], features(1)[:, :2], 0.0)
