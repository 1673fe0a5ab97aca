"""WaveGAN (Donahue et al. 2019), small: dcgan laid flat, for sounds (N, 1, L, 1) as pictures of height 1."""

from minigan.layers import Conv2D, ConvTranspose2D, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Tanh
from minigan.models.base import Preset
from minigan.models.blocks import Builder, redraw_weights

QUARTER = {"kernel_size": (1, 16), "stride": (1, 4), "padding": (0, 6)}  # L -> L/4 along the row, each row by itself
WIDTHS = (32, 64, 128)


def build_wavegan(sizes, rng, noise_rng, dtype):
    """G Dense→h·w·128, then 1x16/4 transposed convolutions→64→32→C, batch norm and ReLU before each, tanh. D 1x16/4
    convolutions→32→64→128, leaky ReLU 0.2, batch norm after the second, dense→outputs. Where 4 divides the length less
    often than three times, there are fewer of both."""
    h, w, channels = sizes.sample_shape
    levels = next(count for count in (3, 2, 1) if w % 4**count == 0)
    w, widths, make, options = w // 4**levels, WIDTHS[:levels], Builder(rng, dtype), {"rng": rng, "dtype": dtype}
    layers = [make.dense(sizes.inputs, h * w * widths[-1]), Reshape((h, w, widths[-1]))]
    for inputs, outputs in zip(widths[::-1], [*widths[-2::-1], channels], strict=True):
        layers += [make.batch_norm(inputs), ReLU(), ConvTranspose2D(inputs, outputs, **QUARTER, **options)]
    generator = Sequential([*layers, Tanh()])
    layers, inputs = [], sizes.seen_shape[-1]
    for level, outputs in enumerate(widths):
        norm = [make.batch_norm(outputs)] if level == 1 else []
        layers += [Conv2D(inputs, outputs, **QUARTER, **options), *norm, LeakyReLU(0.2)]
        inputs = outputs
    discriminator = Sequential([*layers, Flatten(), make.dense(h * w * inputs, sizes.outputs)])
    return redraw_weights(generator, rng), redraw_weights(discriminator, rng)


# given the pitch alone, G made one sound only of each; given nothing, it made no tones in 600 steps
WAVEGAN = Preset(
    name="wavegan",
    summary="dcgan laid flat, for sounds, given the pitch and a cluster within it: what python -m minigan.audio trains",
    source="Donahue et al. 2019; conditional as digits is",
    build=build_wavegan,
    defaults={"lr": 1e-3, "beta1": 0.5, "ema_decay": 0.99, "epochs": 3, "condition": "labels", "clusters": 4},
    sample_shape=(1, 1024, 1),
    classes=25,
    multiple=(1, 4),
)
