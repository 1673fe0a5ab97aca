"""The networks of the semi-supervised GAN of Salimans et al. 2016, fully connected as the paper has them on MNIST."""

from minigan import init
from minigan.layers import Flatten, GaussianNoise, ReLU, Reshape, Sequential, Tanh
from minigan.models.base import flat_size
from minigan.models.blocks import Builder

LATENT = 100
HIDDEN = (1000, 500, 250, 250, 250)
PIXEL_NOISE, NOISE = 0.6, 0.5  # deviations: on pixels in [-1, 1], and on what the hidden layers give


def semi_discriminator(sample_shape, classes, rng, noise_rng, dtype):
    """Pictures (N, H, W, C) to logits (N, classes): dense layers with noise before each.

    Weights by He et al. 2015, which keeps what goes into each noise layer at the noise's scale.
    """
    layers, width = [Flatten(), GaussianNoise(PIXEL_NOISE, rng=noise_rng)], flat_size(sample_shape)
    make = Builder(rng, dtype)
    for units in HIDDEN:
        dense = make.dense(width, units)
        dense.params["weight"] = init.normal((width, units), rng, dtype, (2 / width) ** 0.5)
        layers += [dense, ReLU(), GaussianNoise(NOISE, rng=noise_rng)]
        width = units
    return Sequential([*layers, make.dense(width, classes)])


def semi_generator(sample_shape, rng, dtype):
    """z (N, 100) to pictures (N, H, W, C)."""
    make = Builder(rng, dtype)
    layers = [make.dense(LATENT, 500, bias=False), make.batch_norm(500), ReLU()]
    layers += [make.dense(500, 500, bias=False), make.batch_norm(500), ReLU()]
    return Sequential([*layers, make.dense(500, flat_size(sample_shape)), Tanh(), Reshape(sample_shape)])
