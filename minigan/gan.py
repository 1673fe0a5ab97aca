"""The game: two networks, their optimizers, and the four steps of training. No files, no printing."""

import copy
import json
import math

import numpy as np

from minigan import checkpoint, init, optim, penalties
from minigan.conditions import Conditions
from minigan.config import Config
from minigan.errors import InputError, RunError, brief
from minigan.kernels import memory, threads
from minigan.layers import one_hot, sigmoid
from minigan.losses import LOSSES, feature_matching
from minigan.models import Sizes, get_preset
from minigan.models.base import features
from minigan.optim import OPTIMIZERS
from minigan.told import how_told

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


class GAN:
    """Generator, discriminator, and the rules by which they learn.

    config: a Config. conditions: its Conditions. generator, discriminator: networks. averaged: the generator whose
    weights are the exponential moving average of the generator's, or the generator itself without averaging; samples
    come from it.
    rng: the Generator behind z, dropout and noise. step: how many training steps have been made.
    """

    def __init__(self, config, sample_shape=None, shares=None, dtype=np.float32):
        self.preset = preset = get_preset(config.preset)
        self.config, self.dtype = config, np.dtype(dtype)
        self.sample_shape = _checked_shape(preset.sample_shape if sample_shape is None else sample_shape)
        preset.check(self.sample_shape, config.latent_dim)
        if shares is None:
            shares = np.ones(preset.classes * config.clusters if config.condition == "labels" else config.clusters)
        self.conditions = Conditions(config, shares)
        self.told = how_told(config, self.conditions.count)
        *size, channels = preset.encode(np.zeros((2, *self.sample_shape), self.dtype)).shape[1:]
        seen_shape = (*size, channels + self.told.channels)
        sizes = Sizes(config.latent_dim, self.conditions.count, self.told.outputs, self.sample_shape, seen_shape)
        init_seed, noise_seed = np.random.SeedSequence(config.seed).spawn(2)
        self.rng = np.random.default_rng(noise_seed)
        self.loss = _make_loss(config)
        try:
            networks = preset.build(sizes, np.random.default_rng(init_seed), self.rng, self.dtype)
            self.generator, self.discriminator = networks
            self.averaged = copy.deepcopy(self.generator) if config.ema_decay else self.generator
            self.g_optimizer = _make_optimizer(config, self.generator, config.lr)
            self.d_optimizer = _make_optimizer(config, self.discriminator, config.d_lr or config.lr)
        except MemoryError:
            raise RunError(
                "networks of this size do not fit into memory; try a smaller latent_dim or image_size."
            ) from None
        _check_penalties(config, self.discriminator)
        self.step = 0
        self._grow()
        self._generated = None  # the fakes whose way through the generator is remembered

    # ---- training

    def train_step(self, real, conditions=None):
        """One training step on real samples (N, …) in [-1, 1], and the condition of each (N,) where there are any.

        1. draw z and let G make N fakes, of the same conditions as the real samples; 2. let D judge real and fake;
        3. move D; 4. every n_critic-th step, move G, judged by the D just moved, on the same fakes.
        Returns {"d_loss", "d_real", "d_fake", and when G moved "g_loss"}: losses, and D's mean output on real and fake,
        a probability for the losses that have one and the raw output for the others.
        """
        self._check_real(real)
        with threads.one_blas_thread:
            return self._train_step(real, conditions)

    def _train_step(self, real, conditions):
        self._grow()
        real = self.preset.encode(real, conditions)
        guide = self.preset.guide(real) if self.preset.guide else None
        fake = self.generate(self.draw_z(len(real), self.rng), conditions, guide)
        figures = self.d_step(real, fake, conditions)
        self.step += 1
        if self.step % self.config.n_critic == 0:
            figures |= self.g_step(fake, conditions, real)
        return figures

    def generate(self, z, conditions=None, guide=None):
        """G(z), or G(z, y) with the conditions y (N,), for z (N, Z); in training mode, remembered for g_step.

        guide: what the preset's own `guide` makes of real samples, where it has one.
        """
        self.conditions.check("generate", len(z), conditions)
        joined = self._join(z, conditions)
        self._generated = self.generator.forward(joined if guide is None else np.concatenate([joined, guide], axis=1))
        return self._generated

    def d_step(self, real, fake, conditions=None):
        """Move D once: down the gradient of its loss on (encoded) real (N, …) and fake (N, …). G is left as it is.

        conditions: of the real samples (N,), if any; the fake ones must have been generated with the same.
        """
        if len(real) != len(fake):
            raise InputError(
                f"d_step: {len(real)} real and {len(fake)} fake samples, expected the same number of both."
            )
        self.conditions.check("d_step", len(real), conditions)
        n = len(real)
        both = memory.empty((2 * n, *real.shape[1:]), self.dtype)
        both[:n], both[n:] = real, fake
        self._add_noise(both)
        twice = None if conditions is None else np.concatenate([conditions, conditions])
        outputs = self.discriminator.forward(self.told.see(both, twice), parts=2)
        logits = self.told.logits(outputs, twice)
        real_logits, fake_logits = logits[: len(logits) // 2], logits[len(logits) // 2 :]
        value, grad_real, grad_fake = self.loss.discriminator(real_logits, fake_logits)
        more, grad_outputs = self.told.backward(np.concatenate([grad_real, grad_fake]), outputs, twice)
        self.discriminator.zero_grad()
        self.discriminator.backward(grad_outputs, need_input_grad=False)
        value += more + self._penalise_gradient(both[:n], both[n:], conditions)
        self._move(self.discriminator, self.d_optimizer)
        if self.config.weight_clip:
            for param in self.discriminator.params.values():
                np.clip(param, -self.config.weight_clip, self.config.weight_clip, out=param)
        return {"d_loss": value, "d_real": self._judgement(real_logits), "d_fake": self._judgement(fake_logits)}

    def _penalise_gradient(self, real, fake, conditions):
        """Add the gradient of the penalties on ∇ₓD(x) to D's; returns their values' sum."""
        value = 0.0
        if self.config.gradient_penalty:
            between = penalties.interpolates(real, fake, self.rng)
            value += self._penalised(between, conditions, penalties.wgan_gp, self.config.gradient_penalty)
        if self.config.r1:
            value += self._penalised(real, conditions, penalties.r1, self.config.r1)
        return value

    def _penalised(self, x, conditions, penalty, strength):
        seen, weights = self.told.see(x, conditions), self.told.weights(len(x), conditions, self.dtype)

        def by_sample(g):  # what tells the condition is held constant
            value, moved = penalty(self.told.own(g), strength)
            return value, np.pad(moved, [(0, 0)] * (g.ndim - 1) + [(0, self.told.channels)])

        return penalties.gradient_penalty(self.discriminator, seen, by_sample, weights)

    def g_step(self, fake, conditions=None, real=None):
        """Move G once, by its loss on `fake`, the last output of `generate`, back through D. D's parameters stay.

        conditions: those that `fake` was generated with, if any. real: the (encoded) real samples of the step, which
        only feature matching looks at.
        """
        if fake is not self._generated:
            raise RunError("g_step: fake is not what generate returned last; call generate, then d_step and g_step.")
        self.conditions.check("g_step", len(fake), conditions)
        seen, self._generated = fake, None
        if self.config.instance_noise:
            seen = fake.copy()
            self._add_noise(seen)
        if self.config.feature_matching:
            value, grad_fake = self._match_features(seen, conditions, real)
        else:
            value, grad_fake = self.judge(seen, conditions)
        self.generator.zero_grad()
        self.generator.backward(grad_fake, need_input_grad=False)
        self._move(self.generator, self.g_optimizer)
        self._average()
        return {"g_loss": value}

    def judge(self, fake, conditions=None, training=True):
        """-> G's loss on `fake` (N, …), of these conditions if any, and its gradient by them, back through D; D stays.

        training: False for a D that judges each sample by itself, with its running statistics.
        """
        outputs = self.discriminator.forward(self.told.see(fake, conditions), training)
        value, grad_logits = self.loss.generator(self.told.logits(outputs, conditions))
        more, grad_outputs = self.told.backward(grad_logits, outputs, conditions)
        return value + more, self.told.own(self.discriminator.backward(grad_outputs, need_param_grads=False))

    def _match_features(self, fake, conditions, real):
        """-> λ ‖mean f(x) - mean f(G(z))‖² and its gradient by G(z), f being all of D but its last layer (Salimans et
        al. 2016, section 3.1)."""
        if real is None:
            raise InputError("feature_matching needs real samples in g_step.")
        strength, body = self.config.feature_matching, features(self.discriminator)
        target = body.forward(self.told.see(real, conditions)).mean(axis=0)
        value, grad = feature_matching(body.forward(self.told.see(fake, conditions)), target)
        return strength * value, self.told.own(body.backward(self.dtype.type(strength) * grad, need_param_grads=False))

    def _grow(self):
        """Tell networks that grow with training how far it has come."""
        for network in {id(n): n for n in (self.generator, self.discriminator, self.averaged)}.values():
            if hasattr(network, "grow"):
                network.grow(self.step / self.config.grow_steps)

    def _join(self, z, conditions):
        """What G takes: [z, e_y], or z alone without conditions."""
        if conditions is None:
            return z
        return np.concatenate([z, one_hot(conditions, self.conditions.count, self.dtype)], axis=1)

    def _move(self, network, optimizer):
        for penalty, strength in ((penalties.l1, self.config.l1), (penalties.l2, self.config.l2)):
            if strength:
                penalty(network, strength)
        if self.config.orthogonal and network is self.generator:
            penalties.orthogonal(network, self.config.orthogonal)
        if self.config.clip_norm:
            optim.clip_grad_norm(network, self.config.clip_norm)
        optimizer.step()

    def _average(self):
        """averaged ← averaged + (1 - d)(G - averaged), with d growing to ema_decay so that the start is forgotten."""
        if self.averaged is self.generator:
            return
        moves = self.g_optimizer.steps
        rate = 1 - min(self.config.ema_decay, moves / (moves + 9))
        optim.average(self.averaged, self.generator, rate)

    def _add_noise(self, x):
        if self.config.instance_noise:
            x += self.dtype.type(self.config.instance_noise) * self.rng.standard_normal(x.shape, dtype=self.dtype)

    def _judgement(self, logits):
        outputs = sigmoid(logits) if self.loss.logits_are_probabilities else logits
        return float(outputs.sum(dtype=np.float64)) / outputs.size

    def _check_real(self, real):
        if not isinstance(real, np.ndarray) or real.shape[1:] != self.sample_shape or real.dtype != self.dtype:
            got = f"{real.dtype} {real.shape}" if isinstance(real, np.ndarray) else f"a {type(real).__name__}"
            raise InputError(
                f"train_step: real is {got}, expected {self.dtype} (N, {', '.join(map(str, self.sample_shape))}) in "
                "[-1, 1]; datasets.to_float makes that of uint8 images."
            )

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
        samples = self.preset.pictures(self.make(z, conditions))
        return np.clip(samples, -1, 1) if samples.ndim == 4 else samples

    def make(self, z, conditions=None):
        """What G makes of z, which presets whose networks do not work on pictures turn into some: see Preset."""
        self.conditions.check("decode", len(z), conditions)
        if self.averaged is self.generator:
            self._generated = None
        z = self._join(z, conditions)
        chunks = np.split(z, range(SAMPLE_CHUNK, len(z), SAMPLE_CHUNK))
        return np.concatenate([self.averaged.forward(chunk, training=False) for chunk in chunks])

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
            raise InputError(
                f"the saved step, the optimizers' or the random numbers' state is wrong: {error}"
            ) from None
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
            f"sample_shape is {brief(shape)}, expected (H, W, C) with at most {pictures:,} numbers, or (D,) with at "
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
                f"{name} does not go with the preset {config.preset}, but with wgan-gp, mlp and listing: {brief(error)}"
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
    if config.optimizer == "adam":
        return OPTIMIZERS["adam"](network, lr, beta1=config.beta1)
    if config.optimizer == "momentum":
        return OPTIMIZERS["momentum"](network, lr, momentum=config.beta1)
    return OPTIMIZERS[config.optimizer](network, lr)
