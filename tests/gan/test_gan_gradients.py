"""The players' gradients through the whole game, against differences of the losses computed by hand."""

import copy

import numpy as np
import pytest
from small_gans import (
    SEVERAL,
    certain,
    check_generator_gradient,
    generate,
    judged,
    reals,
    slope,
    small,
    some_conditions,
)

from minigan.gan.conditioning import CONDITIONING
from minigan.losses import LOSSES
from minigan.models import PRESETS

every_preset = pytest.mark.parametrize("preset", PRESETS)
conditional_on_several = [(preset, conditioning) for preset, _ in SEVERAL for conditioning in CONDITIONING]


@every_preset
def test_generator_gradient_through_the_discriminator(preset):
    check_generator_gradient(certain(small(preset)))


@pytest.mark.parametrize(("preset", "conditioning"), conditional_on_several)
def test_generator_gradient_through_several_judgements_of_a_condition(preset, conditioning):
    check_generator_gradient(certain(small(preset, condition="labels", conditioning=conditioning)))


@pytest.mark.parametrize("loss", LOSSES)
def test_generator_gradient_of_every_loss(loss):
    check_generator_gradient(small("toy", loss=loss))


def test_a_wrong_generator_gradient_is_seen():
    """The comparison above can fail: with D's way back off by a thousandth."""
    gan = small("mlp")
    backward = gan.discriminator.backward
    gan.discriminator.backward = lambda g, **options: 1.001 * backward(g, **options)
    with pytest.raises(AssertionError):
        check_generator_gradient(gan)


@pytest.mark.parametrize(
    ("preset", "conditioning"),
    [(name, None) for name in PRESETS if "condition" in PRESETS[name].defaults] + conditional_on_several,
)
def test_discriminator_gradient_with_conditions(preset, conditioning):
    """Along random directions of each of D's parameters, against differences of the loss computed by hand."""
    gan = certain(small(preset, **({"condition": "labels", "conditioning": conditioning} if conditioning else {})))
    twin, conditions = copy.deepcopy(gan.discriminator), some_conditions(gan)
    real, fake = gan.preset.to_discriminator(reals(gan), conditions), generate(gan, gan.draw_z(4, gan.rng), conditions)
    metrics = gan.d_step(real, fake, conditions)

    def objective():
        (real_logits, real_entropy), (fake_logits, fake_entropy) = (
            judged(gan, twin.network, x, conditions) for x in (real, fake)
        )
        return gan.loss.discriminator(real_logits, fake_logits)[0] + (real_entropy + fake_entropy) / 2

    assert metrics["d_loss"] == pytest.approx(objective(), rel=1e-12)
    overall, compared = max(abs(grad).max() for grad in gan.discriminator.grads.values()), 0
    for name, param in twin.params.items():
        grad = gan.discriminator.grads[name]
        for direction in np.random.default_rng(8).standard_normal((4, *param.shape)):
            direction /= np.linalg.norm(direction)

            def move(step, param=param, direction=direction):
                param += step * direction

            numeric = slope(objective, move, overall, 1e-7)
            if numeric is not None:
                compared += 1
                assert abs((grad * direction).sum() - numeric) <= 1e-6 * overall, name
    assert compared > 3 * len(twin.params)
