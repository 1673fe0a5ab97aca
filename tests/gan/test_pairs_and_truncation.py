"""What some presets have besides samples: pairs of pictures, pyramids, the truncation trick; the list of presets."""

import numpy as np
import pytest

from minigan import datasets, train
from minigan.base.errors import InputError
from minigan.gan import build_gan
from minigan.metrics import evaluation
from minigan.metrics.judge import shipped_judge
from minigan.models import PRESETS, cogan, lapgan


def rng(seed=0):
    return np.random.default_rng(seed)


# ---- truncation


def test_truncated_z_is_normal_within_its_bounds():
    gan = build_gan("mlp")
    z = gan.draw_z(2000, rng(), 1.5).ravel()
    assert abs(z).max() <= 1.5
    # of N(0, 1) cut at ±τ: variance 1 - 2 τ φ(τ) / (2 Φ(τ) - 1) = 1 - 2 · 1.5 · 0.129518 / 0.866386
    assert z.var() == pytest.approx(1 - 2 * 1.5 * 0.129518 / 0.866386, rel=0.02)
    assert abs(z.mean()) < 0.01
    assert np.array_equal(gan.draw_z(50, rng(1), 9.0), gan.draw_z(50, rng(1)))
    for wrong in (0, -1.0, float("nan")):
        with pytest.raises(InputError, match=r"truncation is .*, expected a number of at least"):
            gan.draw_z(2, rng(), wrong)


def test_truncated_samples_are_those_of_truncated_z():
    gan = build_gan("mlp")
    assert np.array_equal(gan.sample(5, rng(2), truncation=0.5), gan.decode(gan.draw_z(5, rng(2), 0.5)))


# ---- pyramids


def test_a_pyramid_is_rebuilt_exactly_and_its_levels_are_what_they_say():
    images = datasets.load("mnist", "test")[0][:20]
    x = datasets.to_float(images)
    coded = lapgan.to_discriminator(x)
    assert np.array_equal(datasets.to_uint8(lapgan.to_samples(coded)), images)
    np.testing.assert_allclose(lapgan.to_samples(coded), x, rtol=0, atol=1e-6)
    eighths = np.round(8 * rng().uniform(-1, 1, (3, 8, 8, 1))) / 8  # where nothing is rounded, not even the last bit
    assert np.array_equal(lapgan.to_samples(lapgan.to_discriminator(eighths)), eighths)
    (high, low), (high_1, low_1) = lapgan.split(coded)[0]
    coarsest = lapgan.split(coded)[1]
    half = x.reshape(20, 14, 2, 14, 2, 1).mean(axis=(2, 4))
    np.testing.assert_allclose(low, half.repeat(2, 1).repeat(2, 2), atol=1e-6)
    np.testing.assert_allclose(high, x - low, atol=1e-6)
    np.testing.assert_allclose(high_1 + low_1, half, atol=1e-6)
    np.testing.assert_allclose(coarsest, half.reshape(20, 7, 2, 7, 2, 1).mean(axis=(2, 4)), atol=1e-6)
    assert np.array_equal(lapgan.join(*lapgan.split(coded)), coded)
    colour = rng().uniform(-1, 1, (3, 8, 12, 3))
    np.testing.assert_allclose(lapgan.to_samples(lapgan.to_discriminator(colour)), colour, atol=1e-12)


def test_samples_of_a_pyramid_are_built_from_its_own_levels():
    gan = build_gan("lapgan", seed=3)
    made = gan.make(gan.draw_z(4, rng()))
    (_, low), (high_1, low_1) = lapgan.split(made)[0]
    assert np.array_equal(low_1, lapgan.up(lapgan.split(made)[1]))
    assert np.array_equal(low, lapgan.up(high_1 + low_1))


# ---- pairs


def test_real_pairs_are_never_of_one_picture():
    x = rng().uniform(-1, 1, (5, 8, 8, 1))
    pairs = cogan.to_discriminator(x)
    assert np.array_equal(cogan.to_samples(pairs), x)
    assert np.array_equal(cogan.partner(pairs), np.roll(x, -1, axis=0))
    assert not any(np.array_equal(a, b) for a, b in zip(cogan.to_samples(pairs), cogan.partner(pairs), strict=True))


def test_real_pairs_are_of_one_condition():
    """Both are given to D as that one; only a picture whose condition comes once stands beside its own negative."""
    x, conditions = rng().uniform(-1, 1, (7, 8, 8, 1)), np.array([2, 0, 2, 1, 0, 2, 3])
    pairs = cogan.to_discriminator(x, conditions)
    assert np.array_equal(cogan.to_samples(pairs), x)
    assert np.array_equal(cogan.partner(pairs), x[[2, 4, 5, 3, 1, 0, 6]])


def test_pairs_are_counted_as_the_judge_sees_them():
    test, labels = datasets.load("mnist", "test")
    reference = evaluation.Reference(test, test, labels, shipped_judge(), 200, rng())
    samples = test[:200]
    assert reference.measure(samples, partners=samples)["pairs"] == 1.0
    others = np.concatenate([samples[:100], np.roll(samples[100:], 1, axis=0)])
    same = np.concatenate([np.ones(100, bool), labels[100:200] == np.roll(labels[100:200], 1)]).mean()
    assert reference.measure(samples, partners=others)["pairs"] == pytest.approx(same, abs=0.02)
    assert "pairs" not in reference.measure(samples)


# ---- the list


def test_the_list_names_every_preset_with_its_size(capsys):
    assert train.run(["--list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == ["preset", *PRESETS]
    gan = build_gan("mlp")
    count = sum(p.size for p in [*gan.generator.params.values(), *gan.discriminator.params.values()])
    assert f"{count:,}" in lines["mlp"]
    for preset in PRESETS.values():
        assert lines[preset.name].endswith(f"{preset.minutes:g}  {preset.summary} ({preset.source})")
