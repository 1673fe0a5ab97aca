"""A GAN: two networks, their optimizers, and how samples are drawn and all is kept. The game itself is in game.py."""

import copy
import json
import math
from functools import partial

import numpy as np

from minigan import init, penalties
from minigan.base import checkpoint
from minigan.base.errors import InputError, RunError, shorten
from minigan.gan.conditioning import Generator, discriminator_kind
from minigan.gan.conditions import Conditions
from minigan.gan.config import Config
from minigan.gan.game import Game
from minigan.losses import LOSSES
from minigan.models import Sizes, get_preset
from minigan.optim import OPTIMIZERS
from minigan.tools.inference import in_chunks

SMALLEST_TRUNCATION = 0.01  # drawing normal numbers until they are smaller takes ever longer
LARGEST_SAMPLE = {3: 1 << 22, 1: 1000}  # numbers in a picture, in a point
SAMPLE_CHUNK = 250  # samples per pass through G, so that memory does not grow with how many are asked for


def build_gan(preset, seed=0, dtype=np.float32, sample_shape=None, shares=None, **overrides):
    """A GAN ready to train.

    preset: a name from minigan.models.PRESETS. seed: of every random number. dtype: float32 to train, float64 to check.
    sample_shape: (H, W, C) of the data, if not the preset's. shares: how often each condition occurs, if not all the
    same, see Conditions. overrides: any other field of Config.
    Raises InputError for unknown names and values out of range.
    """
    return GAN(Config.for_preset(preset, seed=seed, **overrides), sample_shape, shares, dtype)


class GAN(Game):
    """Generator, discriminator, and the rules by which they learn.

    config: a Config. conditions: its Conditions. generator, discriminator: networks. averaged: the generator whose
    weights are the exponential moving average of the generator's, or the generator itself without averaging; samples
    come from it.
    rng: the Generator behind z, dropout and noise. step: how many training steps have been made.
    """

    def __init__(self, config, sample_shape=None, shares=None, dtype=np.float32, names=None):
        self.preset = preset = get_preset(config.preset)
        self.config, self.dtype = config, np.dtype(dtype)
        self.sample_shape = _checked_shape(preset.sample_shape if sample_shape is None else sample_shape)
        preset.check(self.sample_shape, config.latent_dim)
        if shares is None:
            shares = np.ones(preset.classes * config.clusters if config.condition == "labels" else config.clusters)
        self.conditions = Conditions(config, shares, names)
        count, kind = self.conditions.count, discriminator_kind(config, self.conditions.count)
        *size, channels = preset.to_discriminator(np.zeros((2, *self.sample_shape), self.dtype)).shape[1:]
        seen_shape = (*size, channels + kind.channels(count))
        sizes = Sizes(config.latent_dim, count, kind.outputs(count), self.sample_shape, seen_shape)
        init_seed, noise_seed = np.random.SeedSequence(config.seed).spawn(2)
        self.rng = np.random.default_rng(noise_seed)
        self.loss = _make_loss(config)
        try:
            networks = preset.build(sizes, np.random.default_rng(init_seed), self.rng, self.dtype)
            self.generator, self.discriminator = Generator(networks[0], count), kind(networks[1], count)
            self.averaged = copy.deepcopy(self.generator) if config.ema_decay else self.generator
            self.g_optimizer = _make_optimizer(config, self.generator, config.lr)
            self.d_optimizer = _make_optimizer(config, self.discriminator, config.d_lr or config.lr)
        except MemoryError:
            raise RunError(
                "networks of this size do not fit into memory; try a smaller latent_dim or image_size."
            ) from None
        _check_penalties(config, self.discriminator.network)
        self.step = 0
        self._grow()
        self._generated = None  # the fakes whose way through the generator is remembered

    # ---- sampling

    def draw_z(self, n, rng, truncation=None):
        """z ~ N(0, I), (n, Z); with a truncation τ, entries beyond ±τ are drawn again (Brock et al. 2019, section 3.1):
        fewer kinds of samples, better ones."""
        z = rng.standard_normal((n, self.config.latent_dim), dtype=self.dtype)
        if truncation is None:
            return z
        if not truncation >= SMALLEST_TRUNCATION:
            raise InputError(f"truncation is {truncation!r}, expected a number of at least {SMALLEST_TRUNCATION}.")
        while (outside := np.abs(z) > truncation).any():
            z[outside] = rng.standard_normal(outside.sum(), dtype=self.dtype)
        return z

    def sample(self, n, rng, labels=None, truncation=None):
        """n samples from the averaged generator, (n, H, W, C) in [-1, 1] or points (n, D); the same rng state gives the
        same samples.

        labels: what each is to show (n,), where the networks were trained with labels; otherwise all classes come as
        often as in the data. truncation: see draw_z.
        """
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputError(f"sample: n is {n!r}, expected a whole number of at least 1.")
        z = self.draw_z(int(n), init.check_rng("sample", rng), truncation)
        return self.decode(z, self.conditions.draw(int(n), rng, labels))

    def decode(self, z, conditions=None):
        """G(z) for given z (n, Z) and conditions (n,) if there are any, each picture by itself: the normalisations use
        their running statistics. Pictures are kept within [-1, 1]: not every G ends in a tanh."""
        samples = self.preset.to_samples(self.make(z, conditions))
        return np.clip(samples, -1, 1) if samples.ndim == 4 else samples

    def make(self, z, conditions=None):
        """What G makes of z, which presets whose networks do not work on pictures turn into some: see Preset."""
        self.conditions.check("decode", len(z), conditions)
        if self.averaged is self.generator:
            self._generated = None
        return in_chunks(partial(self.averaged.forward, training=False), z, conditions, size=SAMPLE_CHUNK)

    # ---- saving

    def state(self):
        """Everything that training changes, as a flat dict of arrays whose keys contain no spaces."""
        arrays = {"step": np.array(self.step), "rng": np.array(json.dumps(self.rng.bit_generator.state))}
        arrays |= {f"{player}.optimizer.steps": np.array(optimizer.steps) for player, optimizer in self._optimizers()}
        return arrays | {key: array.copy() for key, array in self._arrays()}

    def load_state(self, arrays):
        """Put back what `state` gave. Raises InputError, and changes nothing, where it does not fit."""
        try:
            step, rng_state = int(arrays["step"]), json.loads(str(arrays["rng"]))
            moves = [int(arrays[f"{player}.optimizer.steps"]) for player, _ in self._optimizers()]
            spare = type(self.rng.bit_generator)(0)  # a setter that fails half-way would leave ours damaged
            spare.state = rng_state
        except KeyError as error:
            raise InputError(f"the saved state has no {error}: it comes from another network.") from None
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise InputError(f"the saved step, optimizers' or random numbers' state is wrong: {error}") from None
        checkpoint.fill(dict(self._arrays()), arrays)
        self.step, self.rng.bit_generator.state = step, spare.state
        self._grow()
        for (_, optimizer), steps in zip(self._optimizers(), moves, strict=True):
            optimizer.steps = steps

    def _optimizers(self):
        return (("generator", self.g_optimizer), ("discriminator", self.d_optimizer))

    def _arrays(self):
        """(key, the very array) of all parameters, buffers and optimizer memories."""
        networks = {"generator": self.generator, "discriminator": self.discriminator}
        if self.averaged is not self.generator:
            networks["averaged"] = self.averaged
        for player, network in networks.items():
            for kind in ("params", "buffers"):
                for name, array in getattr(network, kind).items():
                    yield f"{player}.{kind}.{name}", array
        for player, optimizer in self._optimizers():
            for slot, memories in optimizer.memory.items():
                for name, array in memories.items():
                    yield f"{player}.optimizer.{slot}.{name}", array


def _checked_shape(shape):
    shape = tuple(shape)
    whole = all(isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in shape)
    if not whole or math.prod(shape) > LARGEST_SAMPLE.get(len(shape), 0):
        pictures, points = LARGEST_SAMPLE.values()
        raise InputError(
            f"sample_shape is {shorten(shape)}, expected (H, W, C) with at most {pictures:,} numbers, or (D,) with at "
            f"most {points:,}."
        )
    return shape


def _check_penalties(config, discriminator):
    """InputError where a penalty on D's gradient is asked for and D holds layers that have none."""
    for name in ("gradient_penalty", "r1"):
        try:
            if getattr(config, name):
                penalties.check_critic(discriminator)
        except InputError as error:
            raise InputError(
                f"{name} does not go with the preset {config.preset}, but with wgan-gp, mlp and listing: "
                f"{shorten(error)}"
            ) from None


def _make_loss(config):
    if config.label_smoothing and config.loss != "non_saturating":
        raise InputError(
            f"label_smoothing goes with the loss non_saturating, not with {config.loss}; set label_smoothing 0 or that "
            "loss."
        )
    if config.loss == "non_saturating":
        return LOSSES[config.loss](config.label_smoothing)
    return LOSSES[config.loss]()


def _make_optimizer(config, network, lr):
    decay = {"adam": {"beta1": config.beta1}, "momentum": {"momentum": config.beta1}}
    return OPTIMIZERS[config.optimizer](network, lr, **decay.get(config.optimizer, {}))
