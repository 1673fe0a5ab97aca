"""Textured, coloured backgrounds, drawn by rule, and pictures put on them: a domain where plain classifiers break."""

import math

import numpy as np

from minigan.base.pixels import to_uint8
from minigan.tools.inference import in_chunks

CLOUD_WAVES, CLOUD_FREQUENCY = 6, 2.0  # plane waves that add up to a cloud; the deviation of how often each repeats
STRIPES = (2.0, 6.0)  # across a picture
BRIGHTEST, CONTRAST = 0.8, 0.3  # of white: of a background's first colour; the most between its two
BLOCK = 1000  # pictures drawn at a time, so that the floats stay few


def textures(n, h, w, rng):
    """n backgrounds (n, h, w, 3) uint8, each one's colours between two random ones that are not far apart.

    A third each: clouds (noise without high frequencies, other for each colour), gradients from side to side, and
    stripes. Which one, where, how wide and in what direction, is drawn from rng.
    """
    kinds = rng.integers(0, 3, n)
    share = np.empty((n, h, w, 3), np.float32)  # of the second colour
    for kind, draw in enumerate((_clouds, _gradients, _stripes)):
        members = np.flatnonzero(kinds == kind)
        share[members] = draw(len(members), h, w, rng)
    first = rng.uniform(0, BRIGHTEST, (n, 1, 1, 3)).astype(np.float32)
    second = np.clip(first + rng.uniform(-CONTRAST, CONTRAST, first.shape).astype(np.float32), 0, 1)
    return to_uint8(2 * (first + share * (second - first)) - 1)


def on_textures(images, rng):
    """Pictures (N, H, W, C) uint8, C 1 or 3, on a background each, as |background - picture|: (N, H, W, 3) uint8.

    So MNIST-M blends digits with patches of photographs (Ganin et al. 2016, section 5.2.4): strokes turn the colours
    behind them round, and are now darker and now lighter than what is around them.
    """

    def blended(block):
        return np.abs(textures(*block.shape[:3], rng) - block.astype(np.int16)).astype(np.uint8)

    return in_chunks(blended, images, size=BLOCK)


def _clouds(n, h, w, rng):
    return np.clip(0.5 + sum(_waves(n, h, w, rng) for _ in range(CLOUD_WAVES)) / CLOUD_WAVES, 0, 1)


def _waves(n, h, w, rng):
    """cos 2π(f·p + φ) at every place p of pictures one long and wide, f ~ N(0, CLOUD_FREQUENCY²): (n, h, w, 3)."""
    down, across, phase = rng.standard_normal((3, n, 1, 1, 3), dtype=np.float32)
    y, x = _places(h, w)
    return np.cos(np.float32(2 * math.pi) * (np.float32(CLOUD_FREQUENCY) * (down * y + across * x) + phase))


def _gradients(n, h, w, rng):
    """0 at one end of a random direction, 1 at the other: (n, h, w, 1)."""
    along = _along(n, h, w, rng)
    least, most = along.min(axis=(1, 2), keepdims=True), along.max(axis=(1, 2), keepdims=True)
    return (along - least) / (most - least)


def _stripes(n, h, w, rng):
    count, phase = rng.uniform(*STRIPES, (n, 1, 1, 1)), rng.uniform(0, 1, (n, 1, 1, 1))
    return 0.5 + 0.5 * np.cos(2 * math.pi * (count * _along(n, h, w, rng) + phase))


def _along(n, h, w, rng):
    """How far each place lies in a direction drawn for each picture: (n, h, w, 1)."""
    angle = rng.uniform(0, 2 * math.pi, (n, 1, 1, 1))
    y, x = _places(h, w)
    return np.sin(angle) * y + np.cos(angle) * x


def _places(h, w):
    """The rows (h, 1, 1) and columns (w, 1) of pictures that are one long and wide."""
    return np.arange(h, dtype=np.float32)[:, None, None] / h, np.arange(w, dtype=np.float32)[:, None] / w
