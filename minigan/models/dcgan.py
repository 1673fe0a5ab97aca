"""DCGAN (Radford, Metz and Chintala 2016) in the size of 28 x 28 digits, and the recipes for good digits."""

from minigan.layers import BatchNorm, Dropout, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Tanh
from minigan.models.base import Preset, quarter_size
from minigan.models.blocks import Builder, redraw_weights


def dcgan_generator(sizes, rng, dtype):
    """Dense→h·w·128, BN, ReLU, 4x4/2 transposed→64, BN, ReLU, the same→pixels, tanh; weights N(0, 0.02²)."""
    h, w, channels = quarter_size(sizes.sample_shape)
    make = Builder(rng, dtype)
    layers = [
        make.dense(sizes.inputs, h * w * 128),
        Reshape((h, w, 128)),
        make.batch_norm(128),
        ReLU(),
        make.double(128, 64),
        make.batch_norm(64),
        ReLU(),
        make.double(64, channels),
        Tanh(),
    ]
    return redraw_weights(Sequential(layers), rng)


def dcgan_discriminator(sizes, rng, dtype, norm=BatchNorm, activation=lambda: [LeakyReLU(0.2)]):
    """4x4/2 convolutions→64→128 and dense→outputs, leaky ReLU 0.2, a norm (or None) after the second convolution only;
    weights N(0, 0.02²). activation: makes the layers in the place of each leaky ReLU."""
    h, w, _ = quarter_size(sizes.sample_shape)
    make = Builder(rng, dtype)
    layers = [
        make.halve(sizes.seen_shape[-1], 64),
        *activation(),
        make.halve(64, 128),
        *([] if norm is None else [norm(128, dtype=dtype)]),
        *activation(),
        Flatten(),
        make.dense(h * w * 128, sizes.outputs),
    ]
    return redraw_weights(Sequential(layers), rng)


def build_dcgan(sizes, rng, noise_rng, dtype):
    return dcgan_generator(sizes, rng, dtype), dcgan_discriminator(sizes, rng, dtype)


def build_digits(sizes, rng, noise_rng, dtype):
    """The dcgan networks, with dropout in D: without it G keeps closer to the pictures that are there."""

    def activation():
        return [LeakyReLU(0.2), Dropout(0.25, rng=noise_rng)]

    return dcgan_generator(sizes, rng, dtype), dcgan_discriminator(sizes, rng, dtype, activation=activation)


DCGAN = Preset(
    name="dcgan",
    summary="convolutional, batch norm, weights N(0, 0.02²): a reference network for speed",
    source="Radford et al. 2016",
    build=build_dcgan,
    defaults={"lr": 2e-4, "beta1": 0.5, "epochs": 3},
    minutes=2.5,
)

FAST = {"lr": 1.5e-3, "beta1": 0.5, "batch_size": 128, "ema_decay": 0.999, "epochs": 3}

DIGITS = Preset(
    name="digits",
    summary="the dcgan networks conditional on the digit, faster, averaged G, dropout in D: what train does unasked",
    source="Radford et al. 2016; projection of Miyato and Koyama 2018; averaging as in Karras et al. 2018",
    build=build_digits,
    defaults={**FAST, "condition": "labels", "clusters": 10},
)

DIGITS_UNCONDITIONAL = Preset(
    name="digits-unconditional",
    summary="the dcgan networks without labels: conditional on the one of 100 k-means clusters that a picture lies in",
    source="as digits; clusters in the place of labels as in Sage et al. 2018",
    build=build_dcgan,
    defaults={**FAST, "condition": "clusters", "clusters": 100},
    minutes=2.5,
)
