"""Residual networks: blocks that add what they learn to what came in (He et al. 2016; as a GAN, Gulrajani et al. 2017).

Where a block changes the channels, a 1x1 convolution on the shortcut fits them. It stands where the picture is small,
before upsampling and after pooling: either order gives the same numbers, one with a quarter of the work.
"""

from minigan.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Reshape,
    Sequential,
    Tanh,
    UpsampleNearest2D,
)
from minigan.layers.residual import Residual
from minigan.models.base import Preset, quarter_size
from minigan.models.classifier import FEATURES

G_WIDTHS = (64, 32, 16)  # channels at a quarter, half and all of the size
D_WIDTHS = (32, 48)  # channels at half and a quarter of the size


def build_resnet(sizes, rng, noise_rng, dtype):
    """G Dense→h·w·64, two blocks up →32→16, BN, ReLU, 3x3 convolution→pixels, tanh; D 4x4/2 convolution→32, a block
    down →48, one with the identity as its shortcut, mean over the pixels, dense→outputs; leaky ReLU 0.2. Batch norm in
    G only."""
    h, w, channels = quarter_size(sizes.sample_shape)

    def conv(inputs, outputs, kernel_size=3, bias=True):
        return Conv2D(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=bias, rng=rng, dtype=dtype)

    def norm(features):
        return [BatchNorm(features, dtype=dtype), ReLU()]

    def up(inputs, outputs):  # no biases: a batch norm follows, which subtracts them again
        main = [*norm(inputs), UpsampleNearest2D(2), conv(inputs, outputs, bias=False)]
        main += [*norm(outputs), conv(outputs, outputs, bias=False)]
        return Residual(Sequential(main), Sequential([conv(inputs, outputs, 1, bias=False), UpsampleNearest2D(2)]))

    def features(inputs, outputs):
        return [LeakyReLU(0.2), conv(inputs, outputs), LeakyReLU(0.2), conv(outputs, outputs)]

    wide, middle, narrow = G_WIDTHS
    start = [Dense(sizes.inputs, h * w * wide, rng=rng, dtype=dtype), Reshape((h, w, wide))]
    picture = [*norm(narrow), conv(narrow, channels), Tanh()]
    generator = Sequential([*start, up(wide, middle), up(middle, narrow), *picture])

    narrow, wide = D_WIDTHS
    start = Conv2D(sizes.seen_shape[-1], narrow, 4, stride=2, padding=1, rng=rng, dtype=dtype)
    shortcut = Sequential([AveragePool2D(2), conv(narrow, wide, 1, bias=False)])
    down = Residual(Sequential([*features(narrow, wide), AveragePool2D(2)]), shortcut)
    mean = [LeakyReLU(0.2), AveragePool2D((h, w)), Flatten(), Dense(wide, sizes.outputs, rng=rng, dtype=dtype)]
    return generator, Sequential([start, down, Residual(Sequential(features(wide, wide))), *mean])


def residual_body(sample_shape, rng, dtype):
    """A classifier's body, pictures (N, H, W, C) to features (N, 128): a 5x5 convolution of stride 2 →32, a residual
    block →64, max pooling, another →128, mean over the pixels; batch norm and ReLU after each convolution."""
    h, w, channels = quarter_size(sample_shape)

    def conv(inputs, outputs, kernel_size=3, stride=1):
        padding = kernel_size // 2
        convolution = Conv2D(inputs, outputs, kernel_size, stride, padding, bias=False, rng=rng, dtype=dtype)
        return [convolution, BatchNorm(outputs, dtype=dtype)]

    def block(inputs, outputs):
        main = [*conv(inputs, outputs), ReLU(), *conv(outputs, outputs)]
        return [Residual(Sequential(main), Sequential(conv(inputs, outputs, 1))), ReLU()]

    stem = [*conv(channels, 32, kernel_size=5, stride=2), ReLU()]
    blocks = [*block(32, 64), MaxPool2D(2), *block(64, FEATURES)]
    return Sequential([*stem, *blocks, AveragePool2D((h, w)), Flatten()])


RESNET = Preset(
    name="resnet",
    summary="residual blocks in both networks: each adds to what came in",
    source="He et al. 2016; as a GAN, Gulrajani et al. 2017",
    build=build_resnet,
    defaults={"lr": 1e-3, "beta1": 0.5, "ema_decay": 0.999, "epochs": 2},
    minutes=4.5,
)
