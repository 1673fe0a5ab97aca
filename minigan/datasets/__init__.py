"""The data that a GAN learns from, and the order in which it sees it.

Images are uint8 `(N, H, W, C)` as files hold them; `to_float` and `to_uint8` go to the networks' [-1, 1] and back.
"ring" and "grid" are the two toy distributions on which mode collapse is shown: 2-D points, not images. Random numbers
come from a generator that is passed in, or for the toy sets from fixed seeds. No argument is mutated.
"""

import os
from pathlib import Path

from minigan.datasets import toy
from minigan.datasets.arrays import load_arrays
from minigan.datasets.batches import BatchIterator
from minigan.datasets.checks import known_name
from minigan.datasets.cifar import CIFAR10
from minigan.datasets.folder import load_folder
from minigan.datasets.mnist import FASHION, MNIST
from minigan.datasets.pixels import to_float, to_uint8
from minigan.datasets.places import DATA_DIR
from minigan.datasets.toy import sample_toy, toy_modes
from minigan.errors import InputError

__all__ = [
    "DATA_DIR",
    "KNOWN",
    "SPLITS",
    "BatchIterator",
    "load",
    "names",
    "sample_toy",
    "to_float",
    "to_uint8",
    "toy_modes",
]

SPLITS = ("train", "test")
KNOWN = {known.name: known for known in (MNIST, FASHION, CIFAR10)}
TENTH = 10  # of one's own pictures each tenth is kept for the test split
ARRAYS = (".npy", ".npz")


def names():
    """Return the list of names that `load` knows."""
    return [*KNOWN, *toy.NAMES]


def load(name_or_path, split="train", image_size=None):
    """Return `(images, labels)` of a dataset, the same ones at every call, in fresh arrays.

    "mnist", "fashion-mnist", "cifar10": images (N, H, W, C) uint8 in 0..255 and labels (N,) in 0..9. MNIST comes with
    the project; the others are found on disk (see places.py) or fetched. Checksums are verified at every load.

    A folder of PNG and JPEG pictures, brought to `image_size` x `image_size`, with sub-folders as labels; or a .npy or
    .npz file: see folder.py and arrays.py. Every tenth picture, in their order, is of the test split and the others of
    the train split. labels is None where there are none.

    "ring", "grid": not images but points (N, 2) float32, mostly in [-1, 1], see `toy_modes`; the label is the index of
    the mode; N is 50,000 and 10,000, drawn from a fixed seed for each name and split.

    Labels are int64, wide enough to compute with. Raises InputError for an unknown name or split, for a missing or
    damaged file and for a size that is asked for where pictures have their own; RunError where fetching fails.
    """
    name = os.fspath(name_or_path) if isinstance(name_or_path, Path) else str(name_or_path)
    own = name not in names() and (Path(name).suffix in ARRAYS or Path(name).is_dir())
    if not own and len(Path(name).parts) > 1:
        raise InputError(
            f"there is no folder {name}; name one with pictures, a .npy or .npz file, or a known data set."
        )
    if not own:
        known_name(name, names(), "dataset", "pass one of these, a folder of pictures, or a .npy or .npz file")
    known_name(split, SPLITS, "split")
    if image_size is not None and not (own and Path(name).is_dir()):
        raise InputError(f"image_size goes with a folder of pictures; {name} has a size of its own, so leave it out.")
    if own:
        return _part(name, split, load_folder(name, image_size) if Path(name).is_dir() else load_arrays(name))
    return KNOWN[name].load(split) if name in KNOWN else toy.load_toy(name, split)


def _part(name, split, data):
    """The pictures of the split, out of all."""
    images, labels = data
    if split == "test" and len(images) < TENTH:
        raise InputError(f"{name} holds {len(images)} pictures, too few for a test split; expected at least {TENTH}.")
    tenth = range(TENTH - 1, len(images), TENTH)
    if split == "test":
        return images[tenth], None if labels is None else labels[tenth]
    rest = [i for i in range(len(images)) if (i + 1) % TENTH]
    return images[rest], None if labels is None else labels[rest]
