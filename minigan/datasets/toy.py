"""The two toy distributions on which mode collapse is shown: points in the plane, not images."""

import numpy as np

from minigan.datasets.checks import generator, known_name, positive_int

SIZES = {"train": 50_000, "test": 10_000}
SEEDS = {("ring", "train"): 80, ("ring", "test"): 81, ("grid", "train"): 250, ("grid", "test"): 251}
NAMES = ("ring", "grid")


def load_toy(name, split):
    """The same points of "ring" or "grid" at every call."""
    return sample_toy(name, SIZES[split], np.random.default_rng(SEEDS[name, split]))


def toy_modes(name):
    """Return `(centres, std)` of a toy distribution: centres (K, 2) float32, std the float deviation along each axis.

    "ring": K = 8 on a circle of radius 0.8, counter-clockwise from angle 0. "grid": K = 25, the 5×5 points with
    coordinates -0.8, -0.4, 0, 0.4, 0.8, where mode 5·i + j has the i-th x and the j-th y. Both have std 0.02.

    The shapes are those of Metz et al. 2017 ("Unrolled GANs", the ring: radius 2, std 0.02) and Srivastava et al. 2017
    ("VEEGAN", the grid: spacing 2, std 0.05), scaled into [-1, 1]. The clouds are 2.5 times (ring) and twice (grid) as
    wide as theirs would be at this scale, so that a plot shows a cloud and not a dot: numbers are not comparable.

    Raises InputError for an unknown name.
    """
    known_name(name, NAMES, "toy distribution")
    if name == "ring":
        angle = np.arange(8) * (2 * np.pi / 8)
        centres = 0.8 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    else:
        line = np.array([-0.8, -0.4, 0.0, 0.4, 0.8])
        centres = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(25, 2)
    return centres.astype(np.float32), 0.02


def sample_toy(name, n, rng):
    """Draw n independent points of a toy distribution, each mode being equally likely.

    rng: numpy.random.Generator. Returns points (n, 2) float32 and the index of each one's mode, labels (n,) int64.
    Raises InputError for an unknown name, for an n that is not an integer of at least 1 and for an rng of another type.
    """
    centres, std = toy_modes(name)
    n, rng = positive_int(n, "n"), generator(rng)
    labels = rng.integers(len(centres), size=n)
    return centres[labels] + np.float32(std) * rng.standard_normal((n, 2), dtype=np.float32), labels
