"""Networks that enhance pictures: residual blocks with instance norm, and a discriminator of (input, output) pairs.

Both are fully convolutional: what was trained on small pictures takes pictures of other sizes.
"""

from minigan.layers import LeakyReLU, ReLU, Residual, Sequential, UpsampleNearest2D
from minigan.models.blocks import Builder

WIDTH = 32  # channels
BLOCKS = 4


def enhancer(channels, factor, rng, dtype):
    """Pictures (N, H, W, C) to pictures (N, factor·H, factor·W, C), factor 1, 2 or 4.

    What the layers give is added to the input, each pixel repeated: they learn only what is missing (Johnson et al.
    2016; Zhang et al. 2017). The work is done where the picture is small. For factor 1, H and W must be even.
    """
    make = Builder(rng, dtype)
    start = make.halve(channels, WIDTH) if factor == 1 else make.conv(channels, WIDTH)
    layers = [start, ReLU(), *(residual_block(WIDTH, rng, dtype) for _ in range(BLOCKS))]
    for _ in range({1: 1, 2: 1, 4: 2}[factor]):
        layers += [make.double(WIDTH, WIDTH), ReLU()]
    last = make.conv(WIDTH, channels)
    last.params["weight"] *= 0.1  # it starts near the repeated input
    return Residual(Sequential([*layers, last]), UpsampleNearest2D(factor))


def residual_block(width, rng, dtype):
    """3x3 convolution, IN, ReLU, 3x3, IN, and what came in added (Johnson et al. 2016)."""
    make = Builder(rng, dtype)
    main = [make.conv(width, width), make.instance_norm(width), ReLU()]
    return Residual(Sequential([*main, make.conv(width, width), make.instance_norm(width)]))


def pair_discriminator(channels, rng, dtype):
    """[input, output] (N, H, W, C), C those of both, to a logit for each patch, (N, H/4, W/4, 1) (Isola et al. 2017,
    section 3.2.2).

    A logit sees 18 x 18 pixels.
    """
    make = Builder(rng, dtype)
    layers = [make.halve(channels, WIDTH), LeakyReLU(0.2)]
    layers += [make.halve(WIDTH, 2 * WIDTH), make.instance_norm(2 * WIDTH), LeakyReLU(0.2)]
    return Sequential([*layers, make.conv(2 * WIDTH, 1)])
