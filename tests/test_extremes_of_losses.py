"""Numbers at their limits: every loss, penalty and optimizer is finite where the mathematics is, else training sees it.

Non-finite numbers are handed on, so that training stops with a RunError. TINY is the smallest number of a float32.
"""

import math

import numpy as np
import pytest
from layer_zoo import TINY

from minigan import losses, optim, penalties
from minigan.base.errors import RunError
from minigan.layers import Dense
from minigan.metrics.judge import Classifier

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
    with pytest.raises(RunError, match="training diverged at step 1: loss is nan"):
        classifier.fit(images, labels, 1, np.random.default_rng(0), batch_size=16)


@pytest.mark.parametrize("size", LOGITS)
def test_other_losses_at_any_size(size):
    wide = [
        np.array(row, np.float32) * np.float32(size) for row in ([[1, -1, 0]], [[2, 0, -1], [1, 1, 1]], [[0, 3, -3]])
    ]
    found = losses.semi_supervised(wide[0], [1], wide[1], wide[2])
    wanted = losses.semi_supervised(
        *(a if i == 1 else np.asarray(a, np.float64) for i, a in enumerate((wide[0], [1], *wide[1:])))
    )
    for got, true in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, true, rtol=1e-5, atol=1e-6)
    value, grad = losses.feature_matching(wide[1], np.zeros(3, np.float32))
    mean = wide[1].astype(np.float64).mean(axis=0)
    assert math.isclose(value, np.sum(mean**2), rel_tol=1e-5, abs_tol=1e-80)
    np.testing.assert_allclose(grad, np.tile(mean, (2, 1)), rtol=1e-5, atol=1e-44)


# ---- penalties


@pytest.mark.parametrize("penalty", [penalties.wgan_gp, lambda g: penalties.r1(g, 3.0)], ids=["wgan_gp", "r1"])
@pytest.mark.parametrize("size", [0.0, 1e-36, 1e-30, 1e-20, 1.0, 1e20, 1e30])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (2, 3, 1, 2)])
def test_penalties_on_gradients_of_any_length(penalty, size, shape):
    g = (np.random.default_rng(1).standard_normal(shape) * size).astype(np.float32)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, moved = penalty(g)
        wanted, along = penalty(g.astype(np.float64))
    assert moved.dtype == np.float32
    assert math.isclose(value, wanted, rel_tol=1e-6)
    np.testing.assert_allclose(moved, along, rtol=1e-5)
    assert np.isnan(penalty(np.full(shape, np.nan, np.float32))[0])


@pytest.mark.parametrize("penalty", [penalties.l1, penalties.l2, penalties.orthogonal])
@pytest.mark.parametrize("size", [0.0, TINY, 1e-30, 1.0, 1e9, 1e18, 1e30])
def test_penalties_on_weights_of_any_size(penalty, size):
    if penalty is penalties.orthogonal and size > 1e9:
        pytest.skip("the gradient has the third power")
    found = []
    for dtype in (np.float32, np.float64):
        layer = Dense(3, 2, rng=np.random.default_rng(0)).astype(dtype)
        layer.params["weight"][...] = np.array([[1, 2], [-1, 0], [3, 1]]) * np.float32(size)
        with np.errstate(over="raise", invalid="raise"):
            found.append((penalty(layer, 0.5), layer.grads["weight"]))
    (value, grad), (wanted, along) = found
    assert math.isclose(value, wanted, rel_tol=1e-6, abs_tol=1e-60)
    np.testing.assert_allclose(grad, along, rtol=1e-5, atol=1e-44)


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
