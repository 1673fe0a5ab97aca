"""Wasserstein GANs: a critic that is kept smooth by clipping its weights or by a penalty on its gradient."""

from minigan.layers import LayerNorm
from minigan.models.base import Preset
from minigan.models.dcgan import build_dcgan, dcgan_discriminator, dcgan_generator


def build_wgan_gp(sizes, rng, noise_rng, dtype):
    """The dcgan networks, the critic with layer norm: with batch norm D(x) would depend on the other samples, and the
    penalty is on the gradient of each by itself (Gulrajani et al. 2017, section 4)."""
    return dcgan_generator(sizes, rng, dtype), dcgan_discriminator(sizes, rng, dtype, norm=LayerNorm)


WGAN = Preset(
    name="wgan",
    summary="a critic, not a classifier: Wasserstein loss, weights clipped to ±0.01, RMSprop, 5 critic steps",
    source="Arjovsky et al. 2017, algorithm 1",
    build=build_dcgan,
    defaults={
        "loss": "wasserstein",
        "optimizer": "rmsprop",
        "lr": 2e-4,
        "weight_clip": 0.01,
        "n_critic": 5,
        "epochs": 6,
    },
)

WGAN_GP = Preset(
    name="wgan-gp",
    summary="the critic's gradient pulled to length 1 (λ 10) instead of clipped weights; second derivatives by hand",
    source="Gulrajani et al. 2017, algorithm 1",
    build=build_wgan_gp,
    defaults={
        "loss": "wasserstein",
        "lr": 5e-4,
        "beta1": 0.0,
        "gradient_penalty": 10.0,
        "n_critic": 5,
        "ema_decay": 0.99,
        "epochs": 4,
    },
    minutes=3.5,
)
