"""Fully connected GANs: the kind of network of the first paper, and a small one for points in the plane."""

from minigan.layers import Flatten, Reshape, Sequential, Tanh
from minigan.models.base import Preset, flat_size
from minigan.models.blocks import Builder


def build_mlp(sizes, rng, noise_rng, dtype):
    """G Z→256→512→pixels, tanh; D pixels→512→256→1; leaky ReLU 0.2."""
    make = Builder(rng, dtype)
    layers = make.dense_layers(sizes.inputs, 256, 512, flat_size(sizes.sample_shape))
    generator = Sequential([*layers, Tanh(), Reshape(sizes.sample_shape)])
    layers = make.dense_layers(flat_size(sizes.seen_shape), 512, 256, sizes.outputs)
    return generator, Sequential([Flatten(), *layers])


def build_toy(sizes, rng, noise_rng, dtype):
    """G Z→128→128→2, linear at the end; D 2→128→128→1; leaky ReLU 0.2."""
    make = Builder(rng, dtype)
    layers = make.dense_layers(sizes.inputs, 128, 128, flat_size(sizes.sample_shape))
    generator = Sequential([*layers, Reshape(sizes.sample_shape)])
    layers = make.dense_layers(flat_size(sizes.seen_shape), 128, 128, sizes.outputs)
    return generator, Sequential([Flatten(), *layers])


MLP = Preset(
    name="mlp",
    summary="fully connected, the kind of network of the first GAN paper",
    source="Goodfellow et al. 2014",
    build=build_mlp,
    defaults={"lr": 2e-4, "beta1": 0.5, "epochs": 20},
    minutes=2,
    multiple=None,
)

TOY = Preset(
    name="toy",
    summary="points in the plane (datasets ring and grid), trained in seconds",
    source="the ring of Gaussians of Metz et al. 2017",
    build=build_toy,
    defaults={"dataset": "ring", "latent_dim": 2, "lr": 1e-3, "beta1": 0.5, "batch_size": 256, "epochs": 20},
    sample_shape=(2,),
    classes=8,
    minutes=0.3,
    multiple=None,
)
