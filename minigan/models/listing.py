"""The article's own program: a fully connected generator against a convolutional discriminator."""

from minigan.layers import Flatten, LeakyReLU, Reshape, Sequential, Tanh
from minigan.models.base import Preset, flat_size
from minigan.models.blocks import Builder


def build_listing(sizes, rng, noise_rng, dtype):
    """G Z→128→pixels, tanh; D three 5x5 stride-2 padding-2 convolutions 32, 64, 128, dense 1; leaky ReLU 0.2."""
    make = Builder(rng, dtype)
    layers = make.dense_layers(sizes.inputs, 128, flat_size(sizes.sample_shape))
    generator = Sequential([*layers, Tanh(), Reshape(sizes.sample_shape)])
    layers, inputs = [], sizes.seen_shape[-1]
    for outputs in (32, 64, 128):
        layers += [make.conv(inputs, outputs, kernel_size=5, stride=2), LeakyReLU(0.2)]
        inputs = outputs
    layers.append(Flatten())
    (features,) = Sequential(layers).output_shape(sizes.seen_shape)
    return generator, Sequential([*layers, make.dense(features, sizes.outputs)])


LISTING = Preset(
    name="listing",
    summary="the article's program with its bugs mended and nothing else; it collapses, see listing-fixed",
    source="the article's listing",
    build=build_listing,
    defaults={"lr": 1e-4, "beta1": 0.9, "batch_size": 100, "epochs": 2},
    minutes=1,
    multiple=(1, 1),
)

LISTING_FIXED = Preset(
    name="listing-fixed",
    summary="the listing rescued: faster G than D, β₁ 0.5, noise on D's input, L2, smoothed labels, averaged G",
    source="the article's listing and its section on training problems; Salimans et al. 2016",
    build=build_listing,
    defaults={
        "lr": 1e-3,
        "d_lr": 5e-4,
        "beta1": 0.5,
        "l2": 1e-4,
        "instance_noise": 0.2,
        "label_smoothing": 0.1,
        "ema_decay": 0.999,
        "epochs": 4,
    },
    minutes=2,
    multiple=(1, 1),
)
