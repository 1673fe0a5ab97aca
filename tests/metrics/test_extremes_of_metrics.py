"""Numbers at their limits: every metric is finite where the mathematics is, and refuses what is no number."""

import math

import numpy as np
import pytest
from layer_zoo import TINY

from minigan import metrics, theory
from minigan.base.errors import InputError


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


@pytest.mark.parametrize("scale", [0.0, 5e-324, 1e-300, 1.0, 1e300])
def test_closed_forms_of_any_density(scale):
    p, q = np.array([0.0, 0, 1, 2, 3]) * scale, np.array([0.0, 1, 0, 2, 1]) * scale
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        divergence = theory.jensen_shannon(p, q, 1.0)
        answers = theory.optimal_discriminator(p, q)
    wanted = (2 * math.log(2) + 3 * math.log(1.5) + math.log(0.5)) / 2
    assert math.isclose(divergence, scale * wanted, rel_tol=1e-9, abs_tol=2e-323)
    np.testing.assert_allclose(answers, [0.5, 0, 1, 0.5, 0.75] if scale else 0.5)


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
