"""Every metric on cases with a known answer, and on the inputs that break naive versions of it."""

import math

import numpy as np
import pytest

from minigan.base.errors import InputError
from minigan.metrics import distances as metrics


def rng():
    return np.random.default_rng(5)


def whitened(n, features):
    """(n, features) whose sample mean is 0 and whose sample covariance is the identity, exactly."""
    x = rng().standard_normal((n, features))
    x -= x.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(x, rowvar=False))
    return x @ (vectors / np.sqrt(values)) @ vectors.T


def test_frechet_distance_of_gaussians_in_closed_form():
    x = whitened(500, 4)
    scales, shift = np.array([0.5, 1, 2, 3]), np.array([1.0, -2, 0, 0.5])
    expected = np.sum(shift**2) + np.sum((scales - 1) ** 2)  # commuting covariances: Σ (√λ - √λ')²
    assert metrics.frechet_distance(x, x * scales + shift) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_when_the_covariances_do_not_commute():
    """For 2 x 2 matrices tr √M = √(tr M + 2 √det M), with M = Σ_r Σ_f."""
    x, a, b = whitened(300, 2), np.array([[2.0, 1.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [-3.0, 0.5]])
    cov_r, cov_f = a.T @ a, b.T @ b
    product = cov_r @ cov_f
    root = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    expected = np.trace(cov_r) + np.trace(cov_f) - 2 * root
    assert metrics.frechet_distance(x @ a, x @ b) == pytest.approx(expected, rel=1e-10)


def test_identical_sets():
    x = rng().standard_normal((300, 5))
    assert 0 <= metrics.frechet_distance(x, x) < 1e-9
    assert metrics.precision_recall(x, x) == (1, 1)
    density, coverage = metrics.density_coverage(x, x)
    assert coverage == 1
    assert density == pytest.approx(
        1 + 1 / 5, abs=0.01
    )  # each in its own ball and five others; those at the rim may be out


def test_singular_covariances_give_a_number():
    """Fewer samples than features, constant pictures: eigenvalues of 0, which rounding makes negative."""
    few, constant = rng().standard_normal((5, 40)), np.full((20, 40), 0.1)
    assert metrics.frechet_distance(few, few) == pytest.approx(0, abs=1e-6)
    assert metrics.frechet_distance(constant, constant) == pytest.approx(0, abs=1e-12)
    assert math.isfinite(metrics.frechet_distance(few, constant))
    expected = np.sum((few.mean(axis=0) - 0.1) ** 2) + np.trace(np.cov(few, rowvar=False))  # a point has no spread
    assert metrics.frechet_distance(few, constant) == pytest.approx(expected, rel=1e-9)


def test_kernel_distance_is_unbiased():
    """Sets of one distribution: zero within the error it states. A shift in the mean: far beyond it."""
    x, y = rng().standard_normal((2, 2000, 8))
    mean, error = metrics.kernel_distance(x, y, block=200)
    assert abs(mean) < 3 * error
    shifted, error = metrics.kernel_distance(x, y + 0.5, block=200)
    assert shifted > 10 * error


@pytest.mark.parametrize("n", [4, 11, 50, 1001])
def test_kernel_distance_of_few_samples_has_an_error_too(n):
    """Twenty draws of one distribution: their spread is what the stated errors say, within a factor of two."""
    draws = np.random.default_rng(n).standard_normal((20, 2, n, 8))
    means, errors = np.transpose([metrics.kernel_distance(x, y) for x, y in draws])
    assert np.sqrt(np.mean(errors**2)) / 2 < np.std(means) < 2 * np.sqrt(np.mean(errors**2))


def test_kernel_distance_of_too_few_samples_has_no_error():
    assert metrics.kernel_distance(*rng().standard_normal((2, 3, 8)))[1] is None


def test_kernel_distance_of_two_points_each():
    """x = {0, 1}, y = {2, 3} in one dimension: (0·1 + 1)³ + (2·3 + 1)³ - 2 · mean of (xy + 1)³ over the four pairs."""
    x, y = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert metrics.kernel_distance(x, y)[0] == pytest.approx(1 + 343 - 2 * (1 + 1 + 27 + 64) / 4)


def test_correlations():
    x = np.array([3.0, 1, 4, 1, 5])
    assert metrics.correlations(x, 7 - 2 * x) == pytest.approx((-1, -1))
    pearson, spearman = metrics.correlations(x, np.exp(x))  # rises with x, but not as a line
    assert spearman == pytest.approx(1)
    assert 0.8 < pearson < 0.95
    # ranks of x with a tie: 3, 1.5, 4, 1.5, 5, of y: 1, 2, 3, 4, 5; deviations from 3 multiplied and summed by hand
    expected = (0 * -2 + -1.5 * -1 + 1 * 0 + -1.5 * 1 + 2 * 2) / math.sqrt((2.25 + 1 + 2.25 + 4) * 10)
    assert metrics.correlations(x, [1, 20, 300, 4000, 50000])[1] == pytest.approx(expected)
    assert metrics.correlations(x, np.ones(5)) == (None, None)
    with pytest.raises(InputError, match="finite"):
        metrics.correlations(x, [1, 2, 3, 4, math.nan])


def test_inception_score():
    assert metrics.inception_score(np.full((7, 10), 0.1)) == pytest.approx(1)
    assert metrics.inception_score(np.eye(10)) == pytest.approx(10)
    assert metrics.inception_score(np.eye(10)[[0] * 20]) == pytest.approx(1)  # sure, but always the same
    assert metrics.inception_score(np.eye(4)[[0, 1] * 5]) == pytest.approx(2)


def clusters(*centres, n=100):
    return np.concatenate([rng().standard_normal((n, 2)) * 0.1 + centre for centre in centres])


def test_a_dropped_class_lowers_recall_and_coverage_only():
    real, fake = clusters((0, 0), (10, 0)), clusters((0, 0), n=200) + 1e-3
    precision, recall = metrics.precision_recall(real, fake)
    density, coverage = metrics.density_coverage(real, fake)
    assert precision > 0.95
    assert 0.3 < recall <= 0.5
    assert 0.3 < coverage <= 0.5
    assert density > 0.7


def test_far_samples_lower_precision_and_density():
    real, fake = clusters((0, 0), (10, 0)), clusters((0, 0), (0, 50)) + 1e-3
    precision, recall = metrics.precision_recall(real, fake)
    assert precision == pytest.approx(0.5, abs=0.03)
    assert recall <= 0.5
    assert metrics.density_coverage(real, fake)[0] < 0.7


def test_precision_and_density_by_hand():
    """Real 0, 1, 3 on a line, k = 1: balls of radius 1, 1 and 2. Fake 0.5, 1.5, 9 and 9.5, radii 1, 1, 0.5 and 0.5."""
    real, fake = np.array([[0.0], [1], [3]]), np.array([[0.5], [1.5], [9], [9.5]])
    assert metrics.precision_recall(real, fake, k=1) == (2 / 4, 2 / 3)
    assert metrics.density_coverage(real, fake, k=1) == (4 / 4, 1)  # 0.5: balls 0 and 1; 1.5: balls 1 and 3


def test_duplicated_samples():
    real = rng().standard_normal((200, 3))
    precision, recall = metrics.precision_recall(real, np.repeat(real[:1], 200, axis=0))
    assert precision == 1
    assert recall == pytest.approx(1 / 200)


def test_more_samples_than_a_block(monkeypatch):
    real, fake = rng().standard_normal((2, 130, 3))
    expected = metrics.precision_recall(real, fake), metrics.density_coverage(real, fake)
    monkeypatch.setattr(metrics, "BLOCK", 37)
    assert (metrics.precision_recall(real, fake), metrics.density_coverage(real, fake)) == expected


def test_class_balance():
    shares, there, entropy = metrics.class_balance([0, 1, 2, 3], 4)
    assert (shares.tolist(), there, entropy) == ([0.25] * 4, 4, pytest.approx(1))
    shares, there, entropy = metrics.class_balance([2, 2, 2], 4)
    assert (shares.tolist(), there, entropy) == ([0, 0, 1, 0], 1, 0)
    with pytest.raises(InputError, match="labels must be numbers from 0 to 3"):
        metrics.class_balance([4], 4)


def test_nearest_neighbours_finds_a_copy():
    data = rng().uniform(-1, 1, (2500, 6, 5, 1)).astype(np.float32)
    samples = np.concatenate([data[[1234]], data[[7]] + np.float32(0.01), np.zeros((1, 6, 5, 1), np.float32)])
    index, distance = metrics.nearest_neighbours(samples, data)
    assert index[:2].tolist() == [1234, 7]
    assert distance[:2] == pytest.approx([0, 0.01], rel=1e-5)
    brute = np.sqrt(np.mean(data.reshape(2500, -1).astype(float) ** 2, axis=1))
    assert (index[2], distance[2]) == (brute.argmin(), pytest.approx(brute.min()))


def test_modes():
    centres = np.array([[0.0, 0], [4, 0], [0, 4]])
    points = np.array([[0.1, 0], [0, 0.29], [4, 0.31], [2, 2]])
    assert metrics.modes(points, centres, 0.1) == (1, 0.5)
    assert metrics.modes(centres, centres, 0.1) == (3, 1)


def test_jensen_shannon_divergence():
    x, apart = rng().uniform(-1, 0, (500, 2)), rng().uniform(0.1, 1, (500, 2))
    assert metrics.jensen_shannon(x, x, extent=1) == 0
    assert metrics.jensen_shannon(x, apart, extent=1) == pytest.approx(math.log(2))
    half = np.concatenate([x, apart])  # half of q where p is: ½ [log(4/3)] + ½ [½ log(2/3) + ½ log 2]
    expected = (math.log(4 / 3) + math.log(2 / 3) / 2 + math.log(2) / 2) / 2
    assert metrics.jensen_shannon(x, half, extent=1) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [metrics.frechet_distance, metrics.kernel_distance, metrics.precision_recall])
def test_what_cannot_be_measured_is_refused(metric):
    good = rng().standard_normal((10, 3))
    broken = good.copy()
    broken[4, 1] = np.nan
    with pytest.raises(InputError, match="fake holds NaN or infinite values"):
        metric(good, broken)
    with pytest.raises(InputError, match=r"fake has shape \(1, 3\), expected .* at least \d samples"):
        metric(good, good[:1])
    with pytest.raises(InputError, match="real has 3 features and fake 2"):
        metric(good, good[:, :2])
