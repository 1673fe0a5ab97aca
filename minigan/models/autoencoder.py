"""An encoder and a decoder from the layers of dcgan: its discriminator and its generator, the other way round."""

from minigan.layers import Sequential
from minigan.models.base import Sizes
from minigan.models.dcgan import dcgan_discriminator, dcgan_generator


def encoder_and_decoder(sample_shape, latent_dim, codes, rng, dtype):
    """-> pictures (N, H, W, C) to (N, codes), and z (N, latent_dim) to what a likelihood takes, (N, H, W, C).

    The discriminator with `codes` outputs in the place of its logit, and the generator without its tanh. InputError for
    what is no picture, or has a side that 4 does not divide.
    """
    sizes = Sizes(latent_dim, 0, codes, tuple(sample_shape), tuple(sample_shape))
    encoder = dcgan_discriminator(sizes, rng, dtype)
    *layers, _ = dcgan_generator(sizes, rng, dtype).layers
    return encoder, Sequential(layers)
