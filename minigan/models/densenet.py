"""Densely connected networks (Huang et al. 2017): every layer of a block sees the outputs of all layers before it."""

from minigan.layers import AveragePool2D, Concatenation, Flatten, LeakyReLU, Sequential
from minigan.models.base import Preset, quarter_size
from minigan.models.blocks import Builder
from minigan.models.classifier import FEATURES
from minigan.models.dcgan import dcgan_generator

LAYERS = 3  # in a block


def dense_block(layer, inputs, growth):
    """-> LAYERS layers, each adding `growth` channels to what it sees, and how many there are then.

    layer(inputs, outputs) -> the list of layers that makes the new channels.
    """
    seen = range(inputs, inputs + LAYERS * growth, growth)
    return [Concatenation(Sequential(layer(channels, growth))) for channels in seen], inputs + LAYERS * growth


def build_densenet(sizes, rng, noise_rng, dtype):
    """G as in dcgan; D two dense blocks of 3x3 convolutions, of which the second has batch norm."""
    h, w, _ = quarter_size(sizes.sample_shape)
    make = Builder(rng, dtype)

    def plain(inputs, outputs):
        return [make.conv(inputs, outputs), LeakyReLU(0.2)]

    def normalised(inputs, outputs):
        return [make.conv(inputs, outputs, bias=False), make.batch_norm(outputs), LeakyReLU(0.2)]

    start = [make.halve(sizes.seen_shape[-1], 32), LeakyReLU(0.2)]
    first, features = dense_block(plain, 32, growth=24)
    transition = [make.conv(features, 48, 1), LeakyReLU(0.2), AveragePool2D(2)]
    second, features = dense_block(normalised, 48, growth=24)
    end = [AveragePool2D((h, w)), Flatten(), make.dense(features, sizes.outputs)]
    return dcgan_generator(sizes, rng, dtype), Sequential([*start, *first, *transition, *second, *end])


def dense_body(sample_shape, rng, dtype):
    """A classifier's body of two dense blocks, pictures (N, H, W, C) to features (N, 128)."""
    h, w, channels = quarter_size(sample_shape)
    conv = Builder(rng, dtype).conv_norm_relu
    first, features = dense_block(conv, 32, growth=32)
    layers = [*conv(channels, 32, kernel_size=5, stride=2), *first, *conv(features, 64, 1), AveragePool2D(2)]
    second, features = dense_block(conv, 64, growth=32)
    return Sequential([*layers, *second, *conv(features, FEATURES, 1), AveragePool2D((h, w)), Flatten()])


DENSENET = Preset(
    name="densenet",
    summary="the dcgan generator against dense blocks: each layer sees all layers before it",
    source="Huang et al. 2017",
    build=build_densenet,
    defaults={"lr": 1e-3, "beta1": 0.5, "ema_decay": 0.999, "epochs": 2},
    minutes=4.5,
)
