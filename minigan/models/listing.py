"""The article's own program: a fully connected generator against a convolutional discriminator."""

from minigan.layers import BatchNorm, Conv2D, Dense, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Tanh
from minigan.models.base import Preset, flat_size, require_pictures


def build_listing(latent_dim, sample_shape, rng, noise_rng, dtype):
    """G Z→128→pixels, tanh; D three 5x5 stride-2 padding-2 convolutions 32, 64, 128, dense 1; leaky ReLU 0.2."""
    return _build(latent_dim, sample_shape, rng, dtype, [LeakyReLU(0.2)])


def build_listing_fixed(latent_dim, sample_shape, rng, noise_rng, dtype):
    """The same networks, but G's hidden layer is normalised over the batch and its activation is ReLU."""
    return _build(latent_dim, sample_shape, rng, dtype, [BatchNorm(128, dtype=dtype), ReLU()])


def _build(latent_dim, sample_shape, rng, dtype, hidden):
    require_pictures("listing", sample_shape)
    halve = {"kernel_size": 5, "stride": 2, "padding": 2, "rng": rng, "dtype": dtype}
    generator = Sequential(
        [
            Dense(latent_dim, 128, rng=rng, dtype=dtype),
            *hidden,
            Dense(128, flat_size(sample_shape), rng=rng, dtype=dtype),
            Tanh(),
            Reshape(sample_shape),
        ]
    )
    convolutions = [
        Conv2D(sample_shape[-1], 32, **halve),
        LeakyReLU(0.2),
        Conv2D(32, 64, **halve),
        LeakyReLU(0.2),
        Conv2D(64, 128, **halve),
        LeakyReLU(0.2),
        Flatten(),
    ]
    (features,) = Sequential(convolutions).output_shape(sample_shape)
    discriminator = Sequential([*convolutions, Dense(features, 1, rng=rng, dtype=dtype)])
    return generator, discriminator


LISTING = Preset(
    name="listing",
    summary="the article's program with its bugs mended and nothing else; it collapses, see listing-fixed",
    source="the article's listing",
    build=build_listing,
    defaults={"lr": 1e-4, "beta1": 0.9, "batch_size": 100, "epochs": 5},
)

LISTING_FIXED = Preset(
    name="listing-fixed",
    summary="the listing rescued by the article's own remedies",
    source="the article's listing; Salimans et al. 2016",
    build=build_listing_fixed,
    defaults={
        "lr": 1e-3,
        "d_lr": 2e-4,
        "beta1": 0.5,
        "label_smoothing": 0.1,
        "instance_noise": 0.1,
        "ema_decay": 0.999,
        "batch_size": 100,
        "epochs": 5,
    },
)
