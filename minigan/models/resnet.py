"""Residual networks: blocks that add what they learn to what came in (He et al. 2016; as a GAN, Gulrajani et al. 2017).

Where a block changes the channels, a 1x1 convolution on the shortcut fits them. It stands where the picture is small,
before upsampling and after pooling: either order gives the same numbers, one with a quarter of the work.
"""

from minigan.layers import (
    AveragePool2D,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Reshape,
    Residual,
    Sequential,
    Tanh,
    UpsampleNearest2D,
)
from minigan.models.base import Preset, quarter_size
from minigan.models.blocks import Builder
from minigan.models.classifier import FEATURES

G_WIDTHS = (64, 32, 16)  # channels at a quarter, half and all of the size
D_WIDTHS = (32, 48)  # channels at half and a quarter of the size


def build_resnet(sizes, rng, noise_rng, dtype):
    """G two blocks up; D a block down and one with the identity as its shortcut. Batch norm in G only."""
    h, w, channels = quarter_size(sizes.sample_shape)

    make = Builder(rng, dtype)

    def up(inputs, outputs):  # no biases: a batch norm follows, which subtracts them again
        main = [make.batch_norm(inputs), ReLU(), UpsampleNearest2D(2), make.conv(inputs, outputs, bias=False)]
        main += [make.batch_norm(outputs), ReLU(), make.conv(outputs, outputs, bias=False)]
        shortcut = [make.conv(inputs, outputs, 1, bias=False), UpsampleNearest2D(2)]
        return Residual(Sequential(main), Sequential(shortcut))

    def features(inputs, outputs):
        return [LeakyReLU(0.2), make.conv(inputs, outputs), LeakyReLU(0.2), make.conv(outputs, outputs)]

    wide, middle, narrow = G_WIDTHS
    start = [make.dense(sizes.inputs, h * w * wide), Reshape((h, w, wide))]
    picture = [make.batch_norm(narrow), ReLU(), make.conv(narrow, channels), Tanh()]
    generator = Sequential([*start, up(wide, middle), up(middle, narrow), *picture])

    narrow, wide = D_WIDTHS
    start = make.halve(sizes.seen_shape[-1], narrow)
    shortcut = Sequential([AveragePool2D(2), make.conv(narrow, wide, 1, bias=False)])
    down = Residual(Sequential([*features(narrow, wide), AveragePool2D(2)]), shortcut)
    mean = [LeakyReLU(0.2), AveragePool2D((h, w)), Flatten(), make.dense(wide, sizes.outputs)]
    return generator, Sequential([start, down, Residual(Sequential(features(wide, wide))), *mean])


def residual_body(sample_shape, rng, dtype):
    """A classifier's body of two residual blocks, pictures (N, H, W, C) to features (N, 128)."""
    h, w, channels = quarter_size(sample_shape)
    make = Builder(rng, dtype)

    def block(inputs, outputs):
        main = [*make.conv_norm_relu(inputs, outputs), *make.conv_norm_relu(outputs, outputs)[:-1]]
        shortcut = make.conv_norm_relu(inputs, outputs, 1)[:-1]
        return [Residual(Sequential(main), Sequential(shortcut)), ReLU()]

    layers = [*make.conv_norm_relu(channels, 32, kernel_size=5, stride=2), *block(32, 64), MaxPool2D(2)]
    return Sequential([*layers, *block(64, FEATURES), AveragePool2D((h, w)), Flatten()])


RESNET = Preset(
    name="resnet",
    summary="residual blocks in both networks: each adds to what came in",
    source="He et al. 2016; as a GAN, Gulrajani et al. 2017",
    build=build_resnet,
    defaults={"lr": 1e-3, "beta1": 0.5, "ema_decay": 0.999, "epochs": 2},
    minutes=4.5,
)
