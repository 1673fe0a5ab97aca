"""The game between G and D: the four steps of training (Goodfellow et al. 2014, algorithm 1)."""

import numpy as np

from minigan import optim, penalties
from minigan.base.errors import InputError, RunError
from minigan.kernels.parallel import memory, threads
from minigan.layers import sigmoid
from minigan.losses import feature_matching
from minigan.models.base import features


class Game:
    """The players' moves. Who they are, GAN says: generator, discriminator, averaged, loss, the two optimizers, config,
    preset, conditions, rng and step."""

    def train_step(self, real, conditions=None):
        """One training step on real samples (N, …) in [-1, 1], and the condition y of each (N,) where there are any.

        1. draw z and let G make N fakes, of the same conditions as the real samples; 2. let D judge real and fake;
        3. move D; 4. every n_critic-th step, move G, judged by the D just moved, on the same fakes.
        Returns {"d_loss", "d_real", "d_fake", and when G moved "g_loss"}: losses, and D's mean output on real and fake,
        a probability for the losses that have one and the raw output for the others.
        """
        self._check_real(real)
        with threads.one_blas_thread:
            self._grow()
            real = self.preset.to_discriminator(real, conditions)
            extra_input = self.preset.extra_input(real) if self.preset.extra_input else None
            fake = self.generate(self.draw_z(len(real), self.rng), conditions, extra_input)
            metrics = self.d_step(real, fake, conditions)
            self.step += 1
            if self.step % self.config.n_critic == 0:
                metrics |= self.g_step(fake, conditions, real)
        return metrics

    def generate(self, z, y=None, extra_input=None):
        """G(z, y) for z (N, Z) and conditions y (N,), if any; in training mode, remembered for g_step.

        extra_input: what the preset's own `extra_input` makes of real samples, where it has one.
        """
        self.conditions.check("generate", len(z), y)
        self._generated = self.generator.forward(z, y, extra_input=extra_input)
        return self._generated

    def d_step(self, real, fake, y=None):
        """Move D once: down the gradient of its loss on (encoded) real (N, …) and fake (N, …). G is left as it is.

        y: the conditions of the real samples (N,), if any; the fake ones must have been generated with the same.
        """
        self._check_samples(real, fake, y)
        D, x = self.discriminator, self._add_noise(self._joined(real, fake))
        D.zero_grad()
        logits = D.forward(x, None if y is None else np.concatenate([y, y]), num_splits=2)
        real_logits, fake_logits = np.split(logits, 2)
        loss, grad_real, grad_fake = self.loss.discriminator(real_logits, fake_logits)
        loss += D.auxiliary_loss()
        D.backward(np.concatenate([grad_real, grad_fake]), need_input_grad=False)
        loss += self._penalise_gradient(*np.split(x, 2), y)
        self._move(D, self.d_optimizer)
        return {"d_loss": loss, "d_real": self._mean_output(real_logits), "d_fake": self._mean_output(fake_logits)}

    def g_step(self, fake, y=None, real=None):
        """Move G once, by its loss on `fake`, the last output of `generate`, back through D. D's parameters stay.

        y: the conditions that `fake` was generated with, if any. real: the (encoded) real samples of the step, which
        only feature matching looks at.
        """
        self._check_generated(fake, y)
        G, x = self.generator, self._add_noise(fake)
        G.zero_grad()
        loss, grad_fake = self._match_features(x, y, real) if self.config.feature_matching else self.g_loss(x, y)
        G.backward(grad_fake, need_input_grad=False)
        self._move(G, self.g_optimizer)
        self._average()
        return {"g_loss": loss}

    def g_loss(self, fake, y=None, training=True):
        """-> G's loss on `fake` (N, …), of the conditions y if any, and its gradient by them, back through D; D stays.

        training: False for a D that judges each sample by itself, with its running statistics.
        """
        D = self.discriminator
        loss, grad_logits = self.loss.generator(D.forward(fake, y, training))
        loss += D.auxiliary_loss()
        return loss, D.backward(grad_logits, need_param_grads=False)

    # ---- what the moves call

    def _penalise_gradient(self, real, fake, y):
        """Add the gradient of the penalties on ∇ₓD(x) to D's; returns their values' sum."""
        value, config = 0.0, self.config
        if config.gradient_penalty:
            between = penalties.interpolates(real, fake, self.rng)
            value += self.discriminator.gradient_penalty(
                between, y, lambda g: penalties.wgan_gp(g, config.gradient_penalty)
            )
        if config.r1:
            value += self.discriminator.gradient_penalty(real, y, lambda g: penalties.r1(g, config.r1))
        return value

    def _match_features(self, fake, y, real):
        """-> λ ‖mean f(x) - mean f(G(z))‖² and its gradient by G(z), f being all of D but its last layer (Salimans et
        al. 2016, section 3.1)."""
        if real is None:
            raise InputError("feature_matching needs real samples in g_step.")
        D, strength, f = self.discriminator, self.config.feature_matching, features(self.discriminator.network)
        target = f.forward(D.see(real, y)).mean(axis=0)
        value, grad = feature_matching(f.forward(D.see(fake, y)), target)
        return strength * value, D.own(f.backward(self.dtype.type(strength) * grad, need_param_grads=False))

    def _move(self, network, optimizer):
        config = self.config
        for penalty, strength in ((penalties.l1, config.l1), (penalties.l2, config.l2)):
            if strength:
                penalty(network, strength)
        if config.orthogonal and network is self.generator:
            penalties.orthogonal(network, config.orthogonal)
        if config.clip_norm:
            optim.clip_grad_norm(network, config.clip_norm)
        optimizer.step()
        if config.weight_clip and network is self.discriminator:
            for param in network.params.values():
                np.clip(param, -config.weight_clip, config.weight_clip, out=param)

    def _average(self):
        """averaged ← averaged + (1 - d)(G - averaged), with d growing to ema_decay so that the start is forgotten."""
        if self.averaged is not self.generator:
            moves = self.g_optimizer.steps
            optim.average(self.averaged, self.generator, 1 - min(self.config.ema_decay, moves / (moves + 9)))

    def _joined(self, real, fake):
        both = memory.empty((2 * len(real), *real.shape[1:]), self.dtype)
        return np.concatenate([real, fake], out=both)

    def _add_noise(self, x):
        if not self.config.instance_noise:
            return x
        return x + self.dtype.type(self.config.instance_noise) * self.rng.standard_normal(x.shape, dtype=self.dtype)

    def _mean_output(self, logits):
        outputs = sigmoid(logits) if self.loss.logits_are_probabilities else logits
        return float(outputs.sum(dtype=np.float64)) / outputs.size

    def _grow(self):
        """Tell networks that grow with training how far it has come."""
        for network in {id(n): n for n in (self.generator, self.discriminator, self.averaged)}.values():
            if hasattr(network, "grow"):
                network.grow(self.step / self.config.grow_steps)

    def _check_real(self, real):
        if not isinstance(real, np.ndarray) or real.shape[1:] != self.sample_shape or real.dtype != self.dtype:
            got = f"{real.dtype} {real.shape}" if isinstance(real, np.ndarray) else f"a {type(real).__name__}"
            raise InputError(
                f"train_step: real is {got}, expected {self.dtype} (N, {', '.join(map(str, self.sample_shape))}) in "
                "[-1, 1]; datasets.to_float makes that of uint8 images."
            )

    def _check_samples(self, real, fake, y):
        if len(real) != len(fake):
            raise InputError(f"d_step: {len(real)} real and {len(fake)} fake samples, expected as many of both.")
        self.conditions.check("d_step", len(real), y)

    def _check_generated(self, fake, y):
        if fake is not self._generated:
            raise RunError("g_step: fake is not what generate returned last; call generate, then d_step and g_step.")
        self.conditions.check("g_step", len(fake), y)
        self._generated = None
