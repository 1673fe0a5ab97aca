"""What a preset is: a pair of networks and the settings it is trained with."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from minigan.base.errors import InputError
from minigan.layers import Sequential


class Sizes(NamedTuple):
    """What a pair of networks must fit.

    The generator takes (N, inputs), [z, e_y] of latent_dim and `conditions` numbers, and gives samples (N,
    *sample_shape); the discriminator takes (N, *seen_shape), which has more channels where it is given the condition by
    some, and gives (N, outputs), or (N, J · outputs) where it judges J things at once.
    """

    latent_dim: int
    conditions: int
    outputs: int
    sample_shape: tuple[int, ...]
    seen_shape: tuple[int, ...]

    @property
    def inputs(self):
        return self.latent_dim + self.conditions


def as_it_is(samples, conditions=None):
    return samples


@dataclass(frozen=True)
class Preset:
    """One architecture under one name.

    build(sizes, rng, noise_rng, dtype) -> (generator, discriminator): rng draws the weights, noise_rng is kept by the
    layers that are random while training. defaults: the config fields that differ from the general defaults.
    sample_shape, classes: the shape of one sample of the data it is meant for, and how many classes there are.
    The networks may work on something else than pictures. to_discriminator: a batch of real samples, and the condition
    of each where there are any, to what D judges; to_samples: what G makes to samples like the data's; to_display: the
    same to pictures for people, which may show more. extra_input: what else G gets of real samples as D judges them
    while it is trained (N, P), or None; partner: the other pictures of pairs, as they would look among the first, or
    None. minutes: what a default run takes on two cores. multiple: what height and width of pictures must divide by,
    None for networks that take points too. least_latent: the fewest numbers z may have.
    """

    name: str
    summary: str
    source: str
    build: Callable
    to_discriminator: Callable = as_it_is
    to_samples: Callable = as_it_is
    to_display: Callable = as_it_is
    extra_input: Callable | None = None
    partner: Callable | None = None
    defaults: dict = field(default_factory=dict)
    sample_shape: tuple[int, ...] = (28, 28, 1)
    classes: int = 10
    minutes: float = 3.0
    multiple: tuple[int, int] | None = (4, 4)
    least_latent: int = 1

    def check(self, sample_shape, latent_dim):
        """InputError, with what can be used instead, unless the networks fit such samples and such a z."""
        if self.multiple is not None and len(sample_shape) != 3:
            raise InputError(
                f"preset {self.name}: samples of shape {tuple(sample_shape)} do not fit, expected pictures (H, W, C); "
                "for points in the plane use the preset toy."
            )
        if self.multiple is not None and any(n % m for n, m in zip(sample_shape, self.multiple, strict=False)):
            raise InputError(
                f"preset {self.name}: {sample_shape[0]} x {sample_shape[1]} pixels do not divide by "
                f"{max(self.multiple)}; the presets mlp and listing take any size."
            )
        if latent_dim < self.least_latent:
            raise InputError(
                f"preset {self.name}: latent_dim is {latent_dim}, expected at least {self.least_latent}, a number for "
                "each part of its generator."
            )


def quarter_size(sample_shape):
    """(H/4, W/4, C) for networks that halve and double twice; InputError where 4 does not divide the size."""
    if len(sample_shape) != 3:
        raise InputError(f"samples of shape {tuple(sample_shape)} do not fit, expected pictures (H, W, C).")
    h, w, c = sample_shape
    if h % 4 or w % 4:
        raise InputError(f"{h} x {w} pixels do not divide by 4; bring them to a size that does.")
    return h // 4, w // 4, c


def features(discriminator):
    """D without its last layer, or without that of each of its `heads`: a network of the same parameters."""
    if isinstance(discriminator, Sequential):
        return Sequential(discriminator.layers[:-1])
    body = copy.copy(discriminator)
    body.children = {name: features(part) if name in body.heads else part for name, part in body.children.items()}
    return body


def flat_size(sample_shape):
    """How many numbers one sample has."""
    return int(np.prod(sample_shape))
