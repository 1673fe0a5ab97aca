"""Losses and penalties: gradients by differences, values by hand, and no overflow where D is very sure."""

import math

import numpy as np
import pytest
from samples import draw

from minigan import losses, penalties
from minigan.base.errors import InputError
from minigan.gradcheck import check_function
from minigan.layers import BatchNorm, Conv2D, Dense, Flatten, Sequential
from minigan.optim import clip_grad_norm, grad_norm


def off_kinks(x):
    """Hinge has its corners at ±1; away from them by 0.05."""
    for corner in (-1, 1):
        x = np.where(abs(x - corner) < 0.05, corner + 0.07, x)
    return x


BUILDERS = {**losses.LOSSES, "smoothed": lambda: losses.NonSaturating(0.1), "half": lambda: losses.NonSaturating(0.5)}
every_loss = pytest.mark.parametrize("name", BUILDERS)


# ---- gradients


@every_loss
@pytest.mark.parametrize("shape", [(7,), (7, 1), (1,)])
def test_gradients(name, shape):
    loss, real, fake = BUILDERS[name](), off_kinks(3 * draw(*shape)), off_kinks(3 * draw(*shape, seed=2))
    for check in (check_function(loss.discriminator, real, fake), check_function(loss.generator, fake)):
        assert check.ok, check


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_shapes_and_dtypes_stay(name, dtype, shape):
    loss, logits = BUILDERS[name](), draw(*shape).astype(dtype)
    value, *grads = loss.discriminator(logits, logits)
    more_value, grad = loss.generator(logits)
    for number in (value, more_value):
        assert type(number) is float
    for g in (*grads, grad):
        assert g.dtype == dtype
        assert g.shape == shape
    exact = loss.discriminator(*[logits.astype(np.float64)] * 2)
    assert value == pytest.approx(exact[0], rel=1e-6)
    np.testing.assert_allclose(grads[0], exact[1], rtol=1e-5, atol=1e-7)
    logits[...] = 0.5
    kept = logits.copy()
    for g in (*loss.discriminator(logits, logits)[1:], loss.generator(logits)[1]):
        g += 1
    assert np.array_equal(logits, kept), "a gradient must not be the logits' own memory"


# ---- values at hand-computed points: r and f are one real and one fake logit

LOG2, E = math.log(2), math.e
AT_ZERO = {  # D's value, D's derivatives, G's value, G's derivative at r = f = 0
    "minimax": (2 * LOG2, -0.5, 0.5, -LOG2, -0.5),
    "non_saturating": (2 * LOG2, -0.5, 0.5, LOG2, -0.5),
    "smoothed": (2 * LOG2, 0.1 - 0.5, 0.5, LOG2, -0.5),
    "least_squares": (0.5, -1, 0, 0.5, -1),
    "hinge": (2, -1, 1, 0, -1),
    "wasserstein": (0, -1, 1, 0, -1),
}
AT_TWO_AND_MINUS_ONE = {  # at r = 2, f = -1: σ(-2) = 1/(1+e²), σ(-1) = 1/(1+e), softplus(x) = log(1 + eˣ)
    "minimax": (
        math.log(1 + E**-2) + math.log(1 + 1 / E),
        -1 / (1 + E**2),
        1 / (1 + E),
        -math.log(1 + 1 / E),
        -1 / (1 + E),
    ),
    "non_saturating": (
        math.log(1 + E**-2) + math.log(1 + 1 / E),
        -1 / (1 + E**2),
        1 / (1 + E),
        math.log(1 + E),
        -E / (1 + E),
    ),
    "smoothed": (
        0.9 * math.log(1 + E**-2) + 0.1 * math.log(1 + E**2) + math.log(1 + 1 / E),
        0.1 - 1 / (1 + E**2),
        1 / (1 + E),
        math.log(1 + E),
        -E / (1 + E),
    ),
    "least_squares": (0.5 + 0.5, 1, -1, 2, -2),
    "wasserstein": (-3, -1, 1, 1, -1),
}


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize(("point", "table"), [((0.0, 0.0), AT_ZERO), ((2.0, -1.0), AT_TWO_AND_MINUS_ONE)])
def test_values_by_hand(point, table, count):
    """The same logit N times over: the same mean, and each derivative an Nth."""
    for name, (d_value, d_real, d_fake, g_value, g_fake) in table.items():
        real, fake = (np.full(count, logit) for logit in point)
        value, grad_real, grad_fake = BUILDERS[name]().discriminator(real, fake)
        assert value == pytest.approx(d_value, abs=1e-14), name
        np.testing.assert_allclose(grad_real, d_real / count, atol=1e-15, err_msg=name)
        np.testing.assert_allclose(grad_fake, d_fake / count, atol=1e-15, err_msg=name)
        value, grad = BUILDERS[name]().generator(fake)
        assert value == pytest.approx(g_value, abs=1e-14), name
        np.testing.assert_allclose(grad, g_fake / count, atol=1e-15, err_msg=name)


def test_hinge_beyond_its_corners():
    value, grad_real, grad_fake = losses.Hinge().discriminator(np.array([3.0, -1.0]), np.array([-4.0, 0.5]))
    assert value == (0 + 2) / 2 + (0 + 1.5) / 2
    assert grad_real.tolist() == [0, -0.5]
    assert grad_fake.tolist() == [0, 0.5]


def test_the_players_of_minimax_play_one_game():
    """What D gains on fakes G loses: G's loss is minus the fake half of D's, and so are the gradients."""
    fake, far = draw(5), np.full(5, 1000.0)
    value, _, grad = losses.Minimax().discriminator(far, fake)  # D's real half is 0 there
    g_value, g_grad = losses.Minimax().generator(fake)
    assert g_value == pytest.approx(-value, abs=1e-15)
    np.testing.assert_allclose(g_grad, -grad, rtol=1e-15)


def test_which_losses_speak_of_probabilities():
    assert {name for name, build in losses.LOSSES.items() if build.logits_are_probabilities} == {
        "minimax",
        "non_saturating",
    }


# ---- where D is sure

EXTREMES = {  # name: (G at -1000, G at 1000), each the value and N times the gradient
    "minimax": ((0, 0), (-1000, -1)),
    "non_saturating": ((1000, -1), (0, 0)),
    "least_squares": ((501000.5, -1001), (499000.5, 999)),
    "hinge": ((1000, -1), (-1000, -1)),
    "wasserstein": ((1000, -1), (-1000, -1)),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", EXTREMES)
def test_limits(name, dtype):
    loss = losses.LOSSES[name]()
    with np.errstate(all="raise", under="ignore"):
        for logit, (expected, slope) in zip((-1000, 1000), EXTREMES[name], strict=True):
            value, grad = loss.generator(np.full(4, logit, dtype))
            assert value == pytest.approx(expected, rel=1e-7)
            np.testing.assert_allclose(grad, slope / 4, rtol=1e-6)
            for other in (-1000, 1000):
                value, *grads = loss.discriminator(np.full(4, logit, dtype), np.full(2, other, dtype))
                assert math.isfinite(value)
                assert all(np.isfinite(grad).all() for grad in grads)


def test_limits_of_the_discriminator():
    for name in ("minimax", "non_saturating"):
        wrong, right = np.full(4, -1000.0), np.full(4, 1000.0)
        value, grad_real, grad_fake = losses.LOSSES[name]().discriminator(wrong, right)
        assert value == 2000
        assert grad_real.tolist() == [-0.25] * 4
        assert grad_fake.tolist() == [0.25] * 4
        value, grad_real, grad_fake = losses.LOSSES[name]().discriminator(right, wrong)
        assert value == 0
        assert not grad_real.any()
        assert not grad_fake.any()
    value, grad_real, _ = losses.NonSaturating(0.1).discriminator(right, wrong)
    assert value == pytest.approx(100)  # 0.1 · 1000: being too sure costs, which is what smoothing is for
    np.testing.assert_allclose(grad_real, 0.1 / 4)


# ---- recognition


def test_cross_entropy():
    loss, labels = losses.softmax_cross_entropy, np.array([0, 3, 1, 1, 2])
    report = check_function(lambda logits: loss(logits, labels), 2 * draw(5, 4))
    assert report.ok, report
    value, grad = loss(np.log(np.array([[1.0, 2, 5], [4, 4, 2]])), [1, 0])
    assert value == pytest.approx(-(math.log(0.25) + math.log(0.4)) / 2)
    np.testing.assert_allclose(grad, [[0.125 / 2, (0.25 - 1) / 2, 0.625 / 2], [-0.3, 0.2, 0.1]], atol=1e-15)
    logits = np.array([[1000.0, -1000], [1000, -1000]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        value, grad = loss(logits, np.array([0, 1]))
    assert value == 1000
    assert grad.dtype == np.float32
    assert grad.tolist() == [[0, 0], [0.5, -0.5]]
    assert logits.tolist() == [[1000, -1000]] * 2


CROSS_ENTROPY_ERRORS = [
    (draw(3), [0, 1, 2], "logits must be a float32 or float64 array"),
    (np.ones((3, 2), int), [0, 1, 0], "logits must be a float32 or float64 array"),
    (draw(3, 2), [0, 1], r"labels are int64 \(2,\), expected 3 whole numbers"),
    (draw(3, 2), [0.0, 1, 0], "labels are float64"),
    (draw(3, 2), [0, 2, 1], "labels must be 3 whole numbers from 0 to 1"),
    (draw(3, 2), [0, -1, 1], "labels must be 3 whole numbers from 0 to 1"),
]


@pytest.mark.parametrize(("logits", "labels", "message"), CROSS_ENTROPY_ERRORS)
def test_cross_entropy_errors(logits, labels, message):
    with pytest.raises(InputError, match=f"softmax_cross_entropy: {message}"):
        losses.softmax_cross_entropy(logits, labels)


# ---- errors

WRONG = [
    (np.ones((3, 2)), r"float64 \(3, 2\)"),
    (np.ones((3, 1, 1)), r"float64 \(3, 1, 1\)"),
    (np.ones(3, int), r"int64 \(3,\)"),
    (np.ones(0), r"float64 \(0,\)"),
    (np.float64(1), "a float64"),
    ([1.0], "a list"),
]


@every_loss
@pytest.mark.parametrize(("logits", "got"), WRONG)
def test_errors(name, logits, got):
    loss, good, expected = BUILDERS[name](), draw(3), rf"is {got}, expected a float array of shape \(N,\) or \(N, 1\)"
    with pytest.raises(InputError, match=f"real_logits {expected}"):
        loss.discriminator(logits, good)
    with pytest.raises(InputError, match=f"fake_logits {expected}"):
        loss.discriminator(good, logits)
    with pytest.raises(InputError, match=f"fake_logits {expected}"):
        loss.generator(logits)


@pytest.mark.parametrize("smoothing", [-0.1, 1, 1.5, math.nan])
def test_wrong_smoothing(smoothing):
    with pytest.raises(InputError, match=r"label_smoothing is .*, expected a number in \[0, 1\)"):
        losses.NonSaturating(smoothing)


# ---- penalties and clipping


def network(dtype=np.float64):
    rng = np.random.default_rng(3)
    layers = [Conv2D(2, 3, (2, 3), rng=rng), BatchNorm(3), Flatten(), Dense(12, 4, rng=rng)]
    made = Sequential(layers).astype(dtype)
    for seed, (name, param) in enumerate(made.params.items()):
        made.params[name] = (draw(*param.shape, seed=seed) + 0.5).astype(dtype)
        made.grads[name][...] = 0
    return made


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_penalty_values(dtype):
    net = network(dtype)
    weights = [net.params["0.weight"].astype(np.float64), net.params["3.weight"].astype(np.float64)]
    for grad in net.grads.values():
        grad[...] = 7
    assert penalties.l1(net, 0.5) == pytest.approx(0.5 * sum(abs(w).sum() for w in weights), rel=1e-7)
    assert penalties.l2(net, 0.5) == pytest.approx(0.25 * sum((w**2).sum() for w in weights), rel=1e-7)
    for name, grad in net.grads.items():
        w = net.params[name]
        expected = 7 + 0.5 * np.sign(w) + 0.5 * w if name.endswith("weight") else np.full(w.shape, 7)
        np.testing.assert_allclose(grad, expected, rtol=1e-6, err_msg=name)
        assert grad.dtype == dtype


def test_l1_has_no_opinion_at_zero():
    dense = Dense(2, 1, rng=np.random.default_rng(3), dtype=np.float64)
    dense.params["weight"] = np.array([[0.0], [-2.0]])
    assert penalties.l1(dense, 0.5) == 1
    assert dense.grads["weight"].tolist() == [[0], [-0.5]]


def test_clip_grad_norm():
    net = network()
    for seed, grad in enumerate(net.grads.values()):
        grad[...] = draw(*grad.shape, seed=seed)
    before = {name: grad.copy() for name, grad in net.grads.items()}
    norm = math.sqrt(sum((grad**2).sum() for grad in before.values()))
    assert grad_norm(net) == pytest.approx(norm, rel=1e-14)
    assert clip_grad_norm(net, norm * 1.01) == pytest.approx(norm, rel=1e-14)
    assert all(np.array_equal(net.grads[name], grad) for name, grad in before.items())
    assert clip_grad_norm(net, 0.5) == pytest.approx(norm, rel=1e-14)
    for name, grad in before.items():
        np.testing.assert_allclose(net.grads[name], grad * (0.5 / norm), rtol=1e-13)
    assert grad_norm(net) == pytest.approx(0.5, rel=1e-13)
    net.grads["3.bias"][0] = np.nan
    kept = net.grads["0.weight"].copy()
    assert math.isnan(clip_grad_norm(net, 0.1))
    assert np.array_equal(net.grads["0.weight"], kept)
    for wrong in (0, -1, math.inf, math.nan, "1", None):
        with pytest.raises(InputError, match=r"clip_grad_norm: max_norm is .*, expected a number above 0"):
            clip_grad_norm(net, wrong)


def test_norm_of_float32_gradients_is_summed_in_float64():
    dense = Dense(1000, 1000, rng=np.random.default_rng(3))
    dense.grads["weight"][...] = 1e-3
    assert grad_norm(dense) == pytest.approx(1000 * np.float32(1e-3), rel=1e-9)
