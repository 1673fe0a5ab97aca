"""DCGAN (Radford, Metz and Chintala 2016), in the size of 28 x 28 digits."""

from minigan.layers import (
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Tanh,
)
from minigan.models.base import Preset, quarter_size, redraw_weights


def build_dcgan(inputs, outputs, sample_shape, rng, noise_rng, dtype):
    """G dense→7·7·128, BN, ReLU, 4x4/2 transposed→64, BN, ReLU, the same→pixels, tanh; D its mirror with leaky ReLU 0.2
    and batch norm in its second convolution only; weights N(0, 0.02²)."""
    h, w, channels = quarter_size("dcgan", sample_shape)
    halve = {"kernel_size": 4, "stride": 2, "padding": 1, "rng": rng, "dtype": dtype}
    generator = Sequential(
        [
            Dense(inputs, h * w * 128, rng=rng, dtype=dtype),
            Reshape((h, w, 128)),
            BatchNorm(128, dtype=dtype),
            ReLU(),
            ConvTranspose2D(128, 64, **halve),
            BatchNorm(64, dtype=dtype),
            ReLU(),
            ConvTranspose2D(64, channels, **halve),
            Tanh(),
        ]
    )
    discriminator = Sequential(
        [
            Conv2D(channels, 64, **halve),
            LeakyReLU(0.2),
            Conv2D(64, 128, **halve),
            BatchNorm(128, dtype=dtype),
            LeakyReLU(0.2),
            Flatten(),
            Dense(h * w * 128, outputs, rng=rng, dtype=dtype),
        ]
    )
    for network in (generator, discriminator):
        redraw_weights(network, rng)
    return generator, discriminator


DCGAN = Preset(
    name="dcgan",
    summary="convolutional, batch norm, weights N(0, 0.02²): a reference network for speed",
    source="Radford et al. 2016",
    build=build_dcgan,
    defaults={"lr": 2e-4, "beta1": 0.5, "epochs": 3},
)

FAST = {"lr": 1e-3, "beta1": 0.5, "ema_decay": 0.999, "epochs": 3}

DIGITS = Preset(
    name="digits",
    summary="the dcgan networks told the digit, faster, with an averaged generator: what train does unasked",
    source="Radford et al. 2016; projection of Miyato and Koyama 2018; averaging as in Karras et al. 2018",
    build=build_dcgan,
    defaults={**FAST, "condition": "labels", "clusters": 10},
)

DIGITS_UNCONDITIONAL = Preset(
    name="digits-unconditional",
    summary="the same without labels: told which of 100 clusters, found by k-means, a picture lies in",
    source="as digits; clusters in the place of labels as in Sage et al. 2018",
    build=build_dcgan,
    defaults={**FAST, "condition": "clusters", "clusters": 100},
)
