"""Autoencoders: a plain one, a variational one, and the linear one that both have to beat.

Each encodes pictures as vectors z of Z numbers and decodes them, and draws: it decodes z drawn from a Gaussian, which
for the variational one is N(0, I), the prior it was trained with, and for the others is fitted to the codes of training
pictures. Pictures are (N, H, W, C) in [-1, 1].
"""

import time

import numpy as np

from minigan import datasets, optim
from minigan.autoencoders.variational import (
    LIKELIHOODS,
    kl_to_standard_normal,
    pictures_of,
    reparametrise_backward,
    reparametrise_forward,
)
from minigan.base.errors import InputError
from minigan.models.autoencoder import encoder_and_decoder
from minigan.tools import training_loop
from minigan.tools.inference import in_chunks

LR = 1e-3
BATCH_SIZE = 64
FITTED = 10_000  # training pictures from which a Gaussian, or principal components, are worked out


class Coder:
    """What all three share; each has its own `_encode` and `_decode`."""

    prior = None  # mean (Z,) and root (Z, Z) of z's Gaussian, None for N(0, I)

    def encode(self, images):
        """Pictures, uint8 or in [-1, 1] -> codes (N, Z)."""
        return in_chunks(lambda chunk: self._encode(datasets.to_float(chunk)), images)

    def decode(self, z):
        """z (N, Z) -> pictures in [-1, 1]."""
        return in_chunks(self._decode, z)

    def fit_prior(self, images):
        """Fit the Gaussian from which `sample` draws to the codes of these pictures."""
        codes = self.encode(images[:FITTED]).astype(np.float64)
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(codes, rowvar=False)))
        self.prior = codes.mean(axis=0), vectors * np.sqrt(np.maximum(values, 0))

    def sample(self, n, rng):
        """n pictures in [-1, 1]; the same rng state gives the same pictures."""
        z = rng.standard_normal((n, self.latent_dim))
        if self.prior is not None:
            mean, root = self.prior
            z = mean + z @ root.T
        return self.decode(z.astype(self.dtype))


class Autoencoder(Coder):
    """An encoder and a decoder that are trained together, as networks.

    variational: whether the encoder gives a Gaussian for z, and the loss its distance to the prior. likelihood: a name
    from LIKELIHOODS, of what is lost where pictures differ. seed: of the first weights.
    """

    def __init__(self, sample_shape, latent_dim, variational, likelihood, seed=0, dtype=np.float32):
        self.latent_dim, self.variational, self.dtype = latent_dim, variational, np.dtype(dtype)
        self.likelihood = LIKELIHOODS[likelihood]
        codes = 2 * latent_dim if variational else latent_dim
        rng = np.random.default_rng(seed)
        self.encoder, self.decoder = encoder_and_decoder(sample_shape, latent_dim, codes, rng, dtype)
        self.optimizers = [optim.Adam(network, LR) for network in (self.encoder, self.decoder)]

    def loss(self, x, noise=None):
        """What is minimised on pictures x (N, H, W, C), and its gradients, in the place of those of both networks.

        noise (N, Z): the ε of the variational one. -> its parts in nats a picture, name -> float; their sum is the
        loss: "reconstruction", and for the variational one "divergence", which make minus the bound of log p(x).
        """
        codes, metrics = self.encoder.forward(x), {}
        z, moved = reparametrise_forward(codes, noise) if self.variational else (codes, None)
        metrics["reconstruction"], grad = self.likelihood(self.decoder.forward(z), x)
        self.decoder.zero_grad()
        grad = self.decoder.backward(grad)
        if self.variational:
            metrics["divergence"], grad_divergence = kl_to_standard_normal(codes)
            grad = reparametrise_backward(grad, moved) + grad_divergence
        self.encoder.zero_grad()
        self.encoder.backward(grad, need_input_grad=False)
        return metrics

    def step(self, x, rng):
        """Move both networks once on pictures x in [-1, 1]; rng draws ε. -> as `loss`."""
        noise = rng.standard_normal((len(x), self.latent_dim), dtype=self.dtype) if self.variational else None
        metrics = self.loss(x, noise)
        for optimizer in self.optimizers:
            optimizer.step()
        return metrics

    def bound(self, images, rng):
        """The mean lower bound of log p(x) over pictures, in nats, of the variational one."""

        def terms(chunk):
            x = datasets.to_float(chunk)
            codes = self.encoder.forward(x, training=False)
            z, _ = reparametrise_forward(codes, rng.standard_normal((len(x), self.latent_dim), dtype=self.dtype))
            reconstruction, _ = self.likelihood(self.decoder.forward(z, training=False), x)
            return np.full(len(x), -reconstruction - kl_to_standard_normal(codes)[0])

        return float(in_chunks(terms, images).mean())

    def _encode(self, x):
        return self.encoder.forward(x, training=False)[:, : self.latent_dim]

    def _decode(self, z):
        return pictures_of(self.decoder.forward(z, training=False))


class PrincipalComponents(Coder):
    """The linear autoencoder of least squared error: projection on the Z directions of largest variance (Baldi and
    Hornik 1989). images: the training pictures, uint8."""

    dtype = np.dtype(np.float32)

    def __init__(self, images, latent_dim):
        self.latent_dim, self.shape = latent_dim, images.shape[1:]
        flat = datasets.to_float(images[:FITTED]).reshape(min(len(images), FITTED), -1)
        if latent_dim > flat.shape[1]:
            raise InputError(f"latent_dim is {latent_dim}, but a picture has only {flat.shape[1]} numbers.")
        self.mean = flat.mean(axis=0)
        centred = flat - self.mean
        _, vectors = np.linalg.eigh(centred.T @ centred)
        self.directions = np.ascontiguousarray(vectors[:, -latent_dim:])
        self.fit_prior(images)

    def _encode(self, x):
        return (x.reshape(len(x), -1) - self.mean) @ self.directions

    def _decode(self, z):
        return np.clip(self.mean + z @ self.directions.T, -1, 1).reshape(len(z), *self.shape)


def fit(autoencoder, images, rng, steps=None, seconds=None, watch=lambda step, metrics: None):
    """Train an Autoencoder on pictures (N, H, W, C) uint8, for so many steps or about so many seconds.

    Adam; the learning rate falls to 0 along a cosine. watch(step, metrics) is called after each step. With `steps` the
    same rng state gives the same weights. Fits the prior of a plain one. -> how many steps were made. Raises RunError
    where the loss is no longer finite.
    """
    order_rng, noise_rng = rng.spawn(2)
    batches = datasets.BatchIterator(len(images), BATCH_SIZE, order_rng)

    def step(t):
        return autoencoder.step(datasets.to_float(images[batches.next_indices()]), noise_rng)

    advice = f"{training_loop.ADVICE} or --likelihood"
    made = training_loop.fit(step, steps or _by_the_clock(seconds), autoencoder.optimizers, watch=watch, advice=advice)
    if not autoencoder.variational:
        autoencoder.fit_prior(images)
    return made


def _by_the_clock(seconds):
    started = time.perf_counter()
    while (share := (time.perf_counter() - started) / seconds) < 1:
        yield share
