"""ProGAN's stages: which parts work when, that nothing jumps, and that what rests has no gradient."""

import numpy as np
import pytest
from small_gans import reals

from minigan.gan import build_gan
from minigan.models.progan import stage_and_fade


def grown(progress, seed=1):
    gan = build_gan("progan", seed=seed, dtype=np.float64, sample_shape=(8, 12, 1), latent_dim=5, grow_steps=1)
    for network in (gan.generator, gan.discriminator, gan.averaged):
        network.grow(progress)
    return gan


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (0, (0, 1)),
        (0.9, (0, 1)),
        (1, (1, 0)),
        (1.25, (1, 0.25)),
        (2, (1, 1)),
        (2.7, (1, 1)),
        (3.5, (2, 0.5)),
        (9, (2, 1)),
    ],
)
def test_stages_follow_each_other(progress, expected):
    assert stage_and_fade(progress) == pytest.approx(expected)


@pytest.mark.parametrize("boundary", [1, 2, 3, 4])
def test_nothing_jumps_where_a_fade_begins_or_ends(boundary):
    z, x = np.random.default_rng(0).standard_normal((3, 5)), None
    outputs = []
    for progress in (boundary - 1e-9, boundary):
        gan = grown(progress)
        made = gan.generator.forward(z)
        x = reals(gan, 3) if x is None else x
        outputs.append((made, gan.discriminator.forward(x)))
    for before, after in zip(*outputs, strict=True):
        np.testing.assert_allclose(before, after, atol=1e-7)


@pytest.mark.parametrize(("progress", "block"), [(0, 4), (1.5, 2), (2, 2), (3.5, 1)])
def test_an_early_stage_makes_coarse_pictures_and_sees_only_means(progress, block):
    gan = grown(progress)
    made = gan.generator.forward(np.random.default_rng(0).standard_normal((2, 5)))
    tiles = made.reshape(2, 8 // block, block, 12 // block, block, 1)
    assert np.ptp(tiles, axis=(2, 4)).max() == 0
    assert block == 1 or np.ptp(made, axis=(1, 2)).min() > 0
    x = reals(gan, 3)
    means = x.reshape(3, 8 // block, block, 12 // block, block, 1).mean(axis=(2, 4))
    coarse = means.repeat(block, axis=1).repeat(block, axis=2)
    np.testing.assert_allclose(gan.discriminator.forward(x), gan.discriminator.forward(coarse), rtol=1e-9)


def test_what_rests_keeps_no_gradient_of_an_earlier_stage():
    gan = grown(1.5)
    gan.discriminator.forward(reals(gan))
    gan.discriminator.zero_grad()
    gan.discriminator.backward(np.ones((4, 1)))
    assert gan.discriminator.grads["edge0.0.weight"].any()
    gan.discriminator.grow(2)
    gan.discriminator.forward(reals(gan))
    gan.discriminator.zero_grad()
    gan.discriminator.backward(np.ones((4, 1)))
    assert not gan.discriminator.grads["edge0.0.weight"].any()
    assert gan.discriminator.grads["edge1.0.weight"].any()


def test_training_grows_and_a_loaded_state_is_of_its_stage():
    gan, other = (build_gan("progan", sample_shape=(8, 8, 1), grow_steps=2) for _ in range(2))
    stages = []
    for step in range(9):
        gan.train_step(reals(gan, seed=step))
        stages.append((gan.generator.stage, gan.discriminator.fade))
    assert stages == [(0, 1), (0, 1), (1, 0), (1, 0.5), (1, 1), (1, 1), (2, 0), (2, 0.5), (2, 1)]
    other.load_state(gan.state())
    z = gan.draw_z(3, np.random.default_rng(0))
    assert np.array_equal(gan.decode(z), other.decode(z))
