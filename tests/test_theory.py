"""The closed forms of the game, and that a discriminator of our layers learns what they say."""

import numpy as np
import pytest

from minigan import theory
from minigan.base.errors import InputError
from minigan.layers import Dense, LeakyReLU, Sequential, sigmoid
from minigan.losses import NonSaturating
from minigan.optim import Adam

X = np.linspace(-7, 7, 2801)
CELL = X[1] - X[0]


def normal(mean, deviation):
    return np.exp(-(((X - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))


P, Q = normal(-0.5, 1.0), normal(1.0, 0.9)


def test_the_optimum_is_the_best_answer_and_has_the_value_of_theorem_1():
    best = theory.optimal_discriminator(P, Q)
    optimum = theory.value(P, Q, best, CELL)
    assert optimum == pytest.approx(theory.value_at_optimum(P, Q, CELL), abs=1e-9)  # what lies beyond the grid
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = np.clip(best + 0.05 * rng.standard_normal() * np.sin(rng.uniform(0, 3) * X), 1e-6, 1 - 1e-6)
        assert theory.value(P, Q, other, CELL) < optimum


def test_known_divergences():
    assert theory.jensen_shannon(P, P, CELL) == 0
    assert theory.value_at_optimum(P, P, CELL) == pytest.approx(-np.log(4), abs=1e-15)
    apart = np.where(X < 0, P, 0), np.where(X > 0, Q, 0)
    masses = [density.sum() * CELL for density in apart]
    assert theory.jensen_shannon(*apart, CELL) == pytest.approx(np.log(2) * sum(masses) / 2, rel=1e-12)
    assert theory.jensen_shannon(P, Q, CELL) == pytest.approx(theory.jensen_shannon(Q, P, CELL), rel=1e-12)
    # two points with probabilities (1, 0) and (1/2, 1/2): half of log(4/3) and of log(2/3)/2 + log(2)/2
    expected = (np.log(4 / 3) + (np.log(2 / 3) + np.log(2)) / 2) / 2
    assert theory.jensen_shannon([1, 0], [0.5, 0.5], 1) == pytest.approx(expected, rel=1e-12)
    assert np.array_equal(theory.optimal_discriminator([1, 0, 0], [3, 0, 2]), [0.25, 0.5, 0])


def test_a_trained_discriminator_comes_within_a_twentieth_of_the_closed_form():
    """Goodfellow's proposition 1, with our layers, loss and optimizer, on samples and not on densities."""
    rng = np.random.default_rng(1)
    network = Sequential(
        [Dense(1, 64, rng=rng), LeakyReLU(0.2), Dense(64, 64, rng=rng), LeakyReLU(0.2), Dense(64, 1, rng=rng)]
    )
    loss, optimizer = NonSaturating(), Adam(network, 3e-3)
    steps = 1500
    for step in range(steps):
        real, fake = rng.normal(-0.5, 1.0, (1024, 1)), rng.normal(1.0, 0.9, (1024, 1))
        logits = network.forward(np.concatenate([real, fake]).astype(np.float32))
        _, grad_real, grad_fake = loss.discriminator(logits[:1024], logits[1024:])
        network.zero_grad()
        network.backward(np.concatenate([grad_real, grad_fake]))
        optimizer.lr = 3e-3 * (1 - step / steps)
        optimizer.step()
    seen = P + Q > 0.05  # where there are samples to learn from
    answers = sigmoid(network.forward(X[seen, None].astype(np.float32)))[:, 0]
    assert abs(answers - theory.optimal_discriminator(P, Q)[seen]).max() < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: theory.optimal_discriminator([1.0], [1.0, 2.0]), r"shapes \(1,\) and \(2,\), expected two alike"),
        (lambda: theory.jensen_shannon([1.0, -1.0], [1.0, 2.0], 1), "at least 0"),
        (lambda: theory.jensen_shannon([1.0, np.nan], [1.0, 2.0], 1), "finite"),
        (lambda: theory.value(P, Q, np.ones_like(P), CELL), "answers between 0 and 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()
