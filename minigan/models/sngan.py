"""Spectral normalisation (Miyato et al. 2018): each layer of D divided by its largest singular value."""

from minigan.layers import Sequential, SpectralNorm
from minigan.models.base import Preset
from minigan.models.dcgan import dcgan_discriminator, dcgan_generator


def build_sngan(sizes, rng, noise_rng, dtype):
    """The dcgan networks, every layer of D with a weight spectrally normalised, no batch norm in D."""
    generator, discriminator = dcgan_generator(sizes, rng, dtype), dcgan_discriminator(sizes, rng, dtype, norm=None)
    layers = [SpectralNorm(layer, rng=rng) if layer.params else layer for layer in discriminator.layers]
    return generator, Sequential(layers)


SNGAN = Preset(
    name="sngan",
    summary="spectral norm in every layer of D, hinge loss",
    source="Miyato et al. 2018",
    build=build_sngan,
    defaults={"loss": "hinge", "lr": 5e-4, "d_lr": 1e-3, "beta1": 0.0, "ema_decay": 0.999, "epochs": 3},
    minutes=2.5,
)
