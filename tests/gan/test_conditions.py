"""Conditions: clusters with a known answer, labels that reach the samples, the projection's gradient, bad input."""

import json

import numpy as np
import pytest
from PIL import Image

from minigan import datasets, evaluate, sample, train
from minigan.base.errors import InputError, RunError
from minigan.gan import GAN, build_gan
from minigan.gan.conditions import Conditions, kmeans, of_samples
from minigan.gan.config import Config
from minigan.gan.run import load_gan
from minigan.layers import one_hot, projection_backward, projection_forward
from minigan.tools import plotting

RING, RING_LABELS = datasets.load("ring", "test")


def rng(seed=0):
    return np.random.default_rng(seed)


def config(**settings):
    return Config.for_preset("toy", **settings)


# ---- clusters


@pytest.mark.parametrize("seed", range(5))
def test_kmeans_finds_clusters_that_are_there(seed):
    centres = 10 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 0]], np.float32)
    truth = rng(seed).integers(0, 4, 500)
    x = centres[truth] + rng(seed + 9).standard_normal((500, 3)).astype(np.float32)
    found = kmeans(x, 4, rng(seed))
    assert len(set(zip(truth.tolist(), found.tolist(), strict=True))) == 4, "one cluster a centre, and no other"
    assert np.array_equal(found, kmeans(x, 4, rng(seed)))


def test_kmeans_leaves_each_point_with_its_nearest_mean():
    x = rng(1).standard_normal((300, 2)).astype(np.float32)
    found = kmeans(x, 5, rng(2))
    means = np.stack([x[found == i].mean(axis=0) for i in range(5)])
    distance = ((x[:, None] - means) ** 2).sum(axis=2)
    assert (distance.argmin(axis=1) == found).mean() > 0.97  # all, had the rounds not been limited


def test_kmeans_with_fewer_different_points_than_clusters():
    x = np.repeat(np.array([[0.0], [1.0]], np.float32), 5, axis=0)
    found = kmeans(x, 4, rng())
    assert len(set(found[:5])) == len(set(found[5:])) == 1
    assert found[0] != found[5]
    with pytest.raises(InputError, match="there are 10 samples, too few for 11 clusters"):
        kmeans(x, 11, rng())


# ---- conditions of a data set


def test_conditions_of_labels_and_of_clusters():
    conditions, shares = of_samples(config(condition="labels"), RING, RING_LABELS)
    assert np.array_equal(conditions, RING_LABELS)
    np.testing.assert_allclose(shares, np.bincount(RING_LABELS) / len(RING), rtol=1e-12)

    conditions, shares = of_samples(config(condition="labels", clusters=3), RING, RING_LABELS)
    assert np.array_equal(conditions // 3, RING_LABELS)
    assert len(shares) == 24
    assert shares.min() > 0
    assert shares.sum() == pytest.approx(1, rel=1e-12)

    conditions, shares = of_samples(config(condition="clusters", clusters=8), RING, None)
    for cluster in range(8):
        assert len(set(RING_LABELS[conditions == cluster])) == 1, "the eight modes are eight clusters"
    assert of_samples(config(), RING, RING_LABELS) == (None, None)
    with pytest.raises(InputError, match="ring has no labels; use --condition clusters or none"):
        of_samples(config(condition="labels"), RING, None)


def test_clusters_never_look_at_the_labels():
    settings = config(condition="clusters", clusters=6)
    for first, second in zip(of_samples(settings, RING, RING_LABELS), of_samples(settings, RING, None), strict=True):
        assert np.array_equal(first, second)


def test_draws_are_as_frequent_as_the_shares():
    shares = np.array([0.1, 0.0, 0.3, 0.2, 0.1, 0.3])  # three classes of two clusters
    conditions = Conditions(config(condition="labels", clusters=2), shares)
    assert (conditions.count, conditions.classes) == (6, 3)
    drawn = conditions.draw(20_000, rng(3))
    np.testing.assert_allclose(np.bincount(drawn, minlength=6) / 20_000, shares, atol=0.015)
    labels = np.arange(20_000) % 3
    drawn = conditions.draw(20_000, rng(4), labels)
    assert np.array_equal(conditions.labels(drawn), labels)
    within = np.bincount(drawn, minlength=6).reshape(3, 2) / (20_000 / 3)
    np.testing.assert_allclose(within, [[1, 0], [0.6, 0.4], [0.25, 0.75]], atol=0.02)


def test_nothing_is_drawn_without_conditions():
    conditions = Conditions(config(), None)
    generator = rng()
    before = generator.bit_generator.state
    assert conditions.draw(5, generator) is None
    assert conditions.labels(None) is None
    assert generator.bit_generator.state == before


# ---- the projection


def test_projection_and_its_gradient():
    outputs, conditions = rng(1).standard_normal((5, 4)), np.array([2, 0, 1, 2, 2])
    logits, cache = projection_forward(outputs, conditions)
    expected = [outputs[i, 0] + outputs[i, 1 + y] for i, y in enumerate(conditions)]
    np.testing.assert_allclose(logits[:, 0], expected, rtol=1e-15)
    grad_logits = rng(2).standard_normal((5, 1))
    grad = projection_backward(grad_logits, cache)
    for i in np.ndindex(outputs.shape):
        step = np.zeros_like(outputs)
        step[i] = 1e-5
        above, below = (projection_forward(outputs + sign * step, conditions)[0] for sign in (1, -1))
        assert grad[i] == pytest.approx((grad_logits * (above - below)).sum() / 2e-5, rel=1e-7, abs=1e-9)


def test_without_conditions_the_output_is_the_logit():
    outputs = rng(1).standard_normal((5, 1))
    logits, cache = projection_forward(outputs, None)
    assert np.array_equal(logits, outputs)
    assert np.array_equal(projection_backward(2 * outputs, cache), 2 * outputs)


def test_one_hot():
    rows = one_hot(np.array([1, 0, 2]), 3, np.float32)
    assert rows.dtype == np.float32
    assert np.array_equal(rows, [[0, 1, 0], [1, 0, 0], [0, 0, 1]])


# ---- what it is for


def test_a_label_decides_which_mode_of_the_ring_a_sample_is_of():
    points, labels = datasets.load("ring")
    gan = build_gan("toy", seed=0, condition="labels", ema_decay=0.99)
    for step in range(600):
        some = slice(256 * (step % 195), 256 * (step % 195 + 1))
        gan.train_step(points[some], labels[some])
    asked = np.arange(800) % 8
    samples = gan.sample(800, rng(), asked)
    centres, _ = datasets.toy_modes("ring")
    nearest = ((samples[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == asked).mean() > 0.9  # 0.12 where the label has no effect


LABELLED = {"preset": "toy", "condition": "labels"}
WRONG = [
    (lambda: config(condition="clusters"), "clusters is 1, expected at least 2 with condition clusters"),
    (lambda: config(condition="label"), "there is no condition 'label'; there are none, labels, clusters"),
    (lambda: build_gan(**LABELLED).train_step(RING[:4]), r"conditions are None, expected \(4,\) whole .* 0 to 7"),
    (lambda: build_gan("toy").train_step(RING[:4], RING_LABELS[:4]), r"conditions are int64 \(4,\), expected none"),
    (lambda: build_gan(**LABELLED).train_step(RING[:4], RING_LABELS[:3]), r"conditions are int64 \(3,\), expected \(4"),
    (
        lambda: build_gan(**LABELLED).train_step(RING[:2], np.array([0, 8])),
        r"expected \(2,\) whole numbers from 0 to 7",
    ),
    (lambda: build_gan(**LABELLED).train_step(RING[:2], np.array([0.0, 1.0])), r"conditions are float64 \(2,\)"),
    (lambda: build_gan("toy").sample(2, rng(), [0, 1]), "was trained without labels, so it cannot be asked for one"),
    (lambda: build_gan(**LABELLED).sample(2, rng(), [0, 8]), "expected 2 whole numbers from 0 to 7"),
    (lambda: build_gan(**LABELLED).sample(2, rng(), [0]), "expected 2 whole numbers from 0 to 7"),
    (lambda: build_gan(**LABELLED).decode(np.zeros((2, 2), np.float32)), "decode: conditions are None"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_conditions_are_those_of_the_fakes():
    gan = build_gan(**LABELLED)
    fake = gan.generate(gan.draw_z(4, rng()), RING_LABELS[:4])
    with pytest.raises(InputError, match="g_step: conditions are None"):
        gan.g_step(fake)
    gan.g_step(fake, RING_LABELS[:4])
    with pytest.raises(RunError, match="g_step: fake is not what generate returned last"):
        gan.g_step(fake, RING_LABELS[:4])


# ---- on the command line


@pytest.fixture(scope="module")
def conditional_run(tmp_path_factory):
    """A few steps of a small network conditional on the digit."""
    folder = tmp_path_factory.mktemp("conditional") / "run"
    flags = ["--preset", "mlp", "--condition", "labels", "--clusters", "2", "--steps", "20", "--batch-size", "16"]
    assert train.run([*flags, "--quiet", "--out", str(folder)]) == 0
    return folder


def drawn(folder, *flags):
    assert sample.run([str(folder), "--out", str(folder / "out.npy"), *map(str, flags)]) == 0
    return np.load(folder / "out.npy")


def test_sample_draws_the_digit_asked_for_or_one_a_row(conditional_run):
    gan, _, _ = load_gan(conditional_run)
    for flags, labels in ((["--label", 7], np.full(25, 7)), ([], np.arange(25) // 10)):
        got = drawn(conditional_run, "--n", 25, "--seed", 3, *flags)
        assert np.array_equal(got, gan.sample(25, rng(3), labels))
    walk = drawn(conditional_run, "--n", 20, "--seed", 3, "--interpolate", "--label", 7)
    generator = rng(3)
    z = gan.draw_z(4, generator)
    conditions = gan.conditions.draw(2, generator, np.array([7, 7]))
    np.testing.assert_allclose(walk[[0, 10]], gan.decode(z[[0, 2]], conditions), atol=1e-5)
    np.testing.assert_allclose(walk[[9, 19]], gan.decode(z[[1, 3]], conditions), atol=1e-5)


def test_a_sample_picture_of_training_shows_one_digit_a_row(conditional_run):
    gan, _, _ = load_gan(conditional_run)
    expected = gan.sample(100, rng([0, 1]), np.arange(100) // 10)
    sheet = plotting.grid(expected, 10)[..., 0]
    with Image.open(conditional_run / "samples" / "step_0000020.png") as picture:
        got = np.array(picture)
    scale = got.shape[0] // sheet.shape[0]
    assert np.array_equal(got, np.kron(sheet, np.ones((scale, scale), np.uint8)))


def test_wrong_digits(conditional_run, tmp_path):
    with pytest.raises(InputError, match=r"there is no label '10', expected one of 0, 1, .*, 9"):
        drawn(conditional_run, "--label", 10)
    plain = ["--preset", "mlp", "--steps", "2", "--batch-size", "16", "--quiet", "--out", str(tmp_path / "plain")]
    assert train.run(plain) == 0
    with pytest.raises(InputError, match="trained without labels; train one with --condition labels"):
        drawn(tmp_path / "plain", "--label", 7)


def test_evaluate_says_how_many_are_recognised_as_asked(conditional_run, monkeypatch):
    """The pictures being real ones of the digits asked for, nearly all are."""
    images, labels = datasets.load("mnist")
    examples = np.stack([images[np.flatnonzero(labels == digit)[0]] for digit in range(10)])
    monkeypatch.setattr(GAN, "make", lambda self, z, conditions: datasets.to_float(examples[conditions // 2]))
    assert evaluate.run([str(conditional_run), "--n", "200"]) == 0
    report = json.loads((conditional_run / "metrics.json").read_text())
    assert report["samples"]["conditional_accuracy"] == 1.0
    assert report["real"]["conditional_accuracy"] > 0.98
