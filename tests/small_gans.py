"""Presets cut down to a few pixels, in float64, for the tests of the game, and the check of G's gradient in it."""

import copy

import numpy as np

from minigan.gan import build_gan
from minigan.layers import Dropout, EqualizedRate, SpectralNorm, power_iteration
from minigan.models import PRESETS

SEVERAL = [("cogan", 2), ("lapgan", 3)]  # whose D judges several things at once, and how many


def small(preset, dtype=np.float64, **overrides):
    """A preset's networks for few pixels, of unequal height and width; weights of a size at which all units work."""
    shape = (2,) if preset == "toy" else (8, 12, 1)
    if "condition" in PRESETS[preset].defaults:
        overrides["clusters"] = 2
    gan = build_gan(
        preset,
        seed=1,
        dtype=dtype,
        sample_shape=shape,
        **{"latent_dim": 3, "instance_noise": 0.0, "l2": 0.0, "orthogonal": 0.0, **overrides},
    )
    if preset == "progan":  # in the middle of its last fade
        gan.step = 7 * gan.config.grow_steps // 2
        gan._grow()
    rng = np.random.default_rng(2)
    for network in (gan.generator, gan.discriminator):
        for name, param in network.params.items():
            kind, noise = name.rsplit(".", 1)[-1], rng.standard_normal(param.shape).astype(dtype)
            fan_in = param.size // param.shape[-1]
            param[...] = noise / fan_in**0.5 if kind == "weight" else 0.2 * noise + (kind == "gamma")
        for layer in layers_of(network):
            if isinstance(layer, EqualizedRate):
                layer.params["weight"][...] = rng.standard_normal(layer.params["weight"].shape)
            if isinstance(layer, SpectralNorm):
                matrix = layer._matrix(layer.params["weight"])
                layer.buffers["u"][...], layer.buffers["v"][...] = power_iteration(matrix, layer.buffers["u"], 50)
    if gan.averaged is not gan.generator:
        gan.averaged = copy.deepcopy(gan.generator)
    return gan


class Still(SpectralNorm):
    """Without iterations: the same function in every pass."""

    def _effective(self, training):
        return super()._effective(False)


def certain(gan):
    """The same with every dropout at rate 0 and every spectral norm still, for comparisons of several passes."""
    for network in (gan.generator, gan.discriminator):
        for layer in layers_of(network):
            if isinstance(layer, Dropout):
                layer.rate = 0
            if isinstance(layer, SpectralNorm):
                layer.__class__ = Still
    return gan


def layers_of(network):
    """Every layer within a network, however deep."""
    inner = (
        getattr(network, "children", {}).values() if hasattr(network, "children") else getattr(network, "layers", ())
    )
    yield network
    for layer in inner:
        yield from layers_of(layer)


def reals(gan, n=4, seed=5):
    return np.tanh(np.random.default_rng(seed).standard_normal((n, *gan.sample_shape))).astype(gan.dtype)


def generate(gan, z, conditions=None):
    """gan.generate, with the extra input of real samples where the preset has one."""
    return gan.generate(z, conditions, extra_input(gan))


def extra_input(gan):
    return gan.preset.extra_input(encoded(gan)) if gan.preset.extra_input else None


def encoded(gan):
    """Real samples as D judges them."""
    return gan.preset.to_discriminator(reals(gan))


def some_conditions(gan, n=4, seed=5):
    """A condition for each of n samples, or None where the preset has none."""
    return gan.conditions.draw(n, np.random.default_rng(seed))


def train(gan, seed=5):
    return gan.train_step(reals(gan, seed=seed), some_conditions(gan, seed=seed))


def snapshot(*things):
    """Copies of every array of networks and optimizers."""
    arrays = {}
    for i, thing in enumerate(things):
        kinds = thing.memory if hasattr(thing, "memory") else {k: getattr(thing, k) for k in ("params", "buffers")}
        arrays |= {(i, kind, name): a.copy() for kind, d in kinds.items() for name, a in d.items()}
        arrays[i, "steps"] = np.array(getattr(thing, "steps", 0))
    return arrays


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def slope(f, move, scale, tolerance, h=1e-5):
    """The central difference along `move(step)`, or None near a kink of a (leaky) ReLU: there it depends on the step.

    Halving the step changes a smooth difference by about h², far less than the tolerance; a corner within reach of the
    longer step spoils this. What the analytic gradient says plays no part.
    """

    def central(step):
        move(step)
        above = f()
        move(-2 * step)
        below = f()
        move(step)
        return (above - below) / (2 * step)

    coarse, fine = central(h), central(h / 4)
    return None if abs(coarse - fine) > tolerance * scale else fine


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
