"""The players' gradients through the whole game, against differences of the losses computed by hand."""

import copy

import numpy as np
import pytest
from small_gans import certain, extra_input, generate, reals, slope, small, some_conditions

from minigan.gan.conditioning import CONDITIONING
from minigan.losses import LOSSES
from minigan.models import PRESETS

every_preset = pytest.mark.parametrize("preset", PRESETS)
SEVERAL = [("cogan", 2), ("lapgan", 3)]  # whose D judges several things at once, and how many
conditional_on_several = [(preset, conditioning) for preset, _ in SEVERAL for conditioning in CONDITIONING]


def judged(gan, discriminator, x, conditions):
    """D's logits of x, given the conditions by gan.config.conditioning, and C's mean cross-entropy if D has a C."""
    if conditions is None:
        return discriminator.forward(x).reshape(-1, 1), 0.0
    conditioning, label = gan.config.conditioning, np.eye(gan.conditions.count)[conditions]
    if conditioning == "concatenation":
        channels = np.ones((*x.shape[:-1], 1)) * label.reshape(len(x), *[1] * (x.ndim - 2), -1)
        return discriminator.forward(np.concatenate([x, channels], axis=-1)).reshape(-1, 1), 0.0
    times = dict(SEVERAL).get(gan.config.preset, 1)
    outputs = discriminator.forward(x).reshape(times * len(x), -1)
    label = label.repeat(times, axis=0)
    if conditioning == "projection":
        return outputs[:, :1] + (outputs[:, 1:] * label).sum(axis=1, keepdims=True), 0.0
    probability = np.exp(outputs[:, 1:]) / np.exp(outputs[:, 1:]).sum(axis=1, keepdims=True)
    return outputs[:, :1], -np.log((probability * label).sum(axis=1)).mean()


def check_generator_gradient(gan, tolerance=1e-6, entries=6):
    """g_step's gradient of every parameter of G: `entries` entries each, and a random direction through all of them."""
    z, conditions = gan.draw_z(4, copy.deepcopy(gan.rng)), some_conditions(gan)
    params = gan.generator.params
    start = {name: param.copy() for name, param in params.items()}
    gan.g_step(generate(gan, gan.draw_z(4, gan.rng), conditions), conditions)
    grads = {name: grad.copy() for name, grad in gan.generator.grads.items()}
    stayed = [name for name in params if np.array_equal(params[name], start[name])]
    assert len(stayed) <= 0.12 * len(params), "all but what has yet to grow"
    assert not any(grads[name].any() for name in stayed)
    for name, param in params.items():
        param[...] = start[name]

    def objective():
        asked = z if conditions is None else np.concatenate([z, np.eye(gan.conditions.count)[conditions]], axis=1)
        asked = asked if extra_input(gan) is None else np.concatenate([asked, extra_input(gan)], axis=1)
        logits, entropy = judged(gan, gan.discriminator.network, gan.generator.network.forward(asked), conditions)
        return gan.loss.generator(logits)[0] + entropy

    rng, compared, skipped = np.random.default_rng(7), 0, 0
    overall = max(abs(grad).max() for grad in grads.values())
    assert overall > 1e-3
    for name, param in params.items():
        flat, grad = param.reshape(-1), grads[name].reshape(-1)
        # A bias right before a batch norm has no effect at all: its gradient is 0 but for rounding, on both sides.
        scale = max(abs(grad).max(), 1e-3 * overall)
        directions = [np.eye(1, flat.size, i)[0] for i in rng.choice(flat.size, min(entries, flat.size), replace=False)]
        directions.append(rng.choice([-1.0, 1.0], flat.size) / flat.size**0.5)
        for direction in directions:

            def move(step, flat=flat, direction=direction):
                flat += step * direction

            numeric = slope(objective, move, scale, tolerance / 2)
            if numeric is None:
                skipped += 1
                continue
            compared += 1
            assert abs(direction @ grad - numeric) <= tolerance * scale, (name, direction.argmax())
    assert skipped <= 0.2 * (skipped + compared), f"{skipped} near a kink, {compared} compared"


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
