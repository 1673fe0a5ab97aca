"""The data that a GAN learns from, and the order in which it sees it.

Images are uint8 `(N, H, W, C)` as files hold them; `to_float` and `to_uint8` go to the networks' [-1, 1] and back.
"ring" and "grid" are the two toy distributions on which mode collapse is shown: 2-D points, not images. Random numbers
come from a generator that is passed in, or for the toy sets from fixed seeds. No argument is mutated.
"""

import os
from pathlib import Path

from minigan.base.errors import InputError
from minigan.base.pixels import to_float, to_uint8
from minigan.datasets import own, toy
from minigan.datasets.batches import BatchIterator
from minigan.datasets.checks import known_name
from minigan.datasets.cifar import CIFAR10
from minigan.datasets.folder import natural_size
from minigan.datasets.locations import DATA_DIR
from minigan.datasets.mnist import FASHION, MNIST
from minigan.datasets.toy import sample_toy, toy_modes

__all__ = [
    "DATA_DIR",
    "KNOWN",
    "SPLITS",
    "BatchIterator",
    "class_names",
    "is_folder",
    "is_own",
    "load",
    "located",
    "names",
    "natural_size",
    "sample_toy",
    "to_float",
    "to_uint8",
    "toy_modes",
]

SPLITS = ("train", "test")
KNOWN = {known.name: known for known in (MNIST, FASHION, CIFAR10)}


def names():
    """Return the list of names that `load` knows."""
    return [*KNOWN, *toy.NAMES]


def load(name_or_path, split="train", image_size=None):
    """Return `(images, labels)` of a dataset, the same ones at every call, in fresh arrays.

    "mnist", "fashion-mnist", "cifar10": images (N, H, W, C) uint8 in 0..255 and labels (N,) in 0..9. MNIST comes with
    the project; the others are found on disk (see locations.py) or fetched. Checksums are verified at every load.

    A folder of pictures, brought to `image_size` x `image_size`, with sub-folders as labels; or a .npy, .npz or .csv
    file: see folder.py, layouts.py, labels.py, arrays.py and table.py. Every tenth picture, in their order, is of the
    test split and the others of the train split, unless the file itself has two. labels is None where there are none,
    else 0..K-1 in the sorted order of `class_names`.

    "ring", "grid": not images but points (N, 2) float32, mostly in [-1, 1], see `toy_modes`; the label is the index of
    the mode; N is 50,000 and 10,000, drawn from a fixed seed for each name and split.

    Labels are int64, wide enough to compute with. Raises InputError for an unknown name or split, for a missing or
    damaged file and for a size that is asked for where pictures have their own; RunError where fetching fails.
    """
    name = _checked(name_or_path, image_size)
    known_name(split, SPLITS, "split")
    if name in KNOWN:
        return KNOWN[name].load(split)
    if name in toy.NAMES:
        return toy.load_toy(name, split)
    data = own.read(name, image_size)
    part = data.test if split == "test" else ~data.test
    if not part.any():
        raise InputError(
            f"{name} holds {len(part)} pictures, too few for a {split} split; expected at least {own.TENTH}."
        )
    return data.images[part], None if data.labels is None else data.labels[part]


def class_names(name_or_path, image_size=None):
    """Return the names of the labels 0..K-1 of the whole data set, both splits, as a list of K str; [] without labels.

    Of a folder these are its sub-folders. Raises InputError as `load` does.
    """
    name = _checked(name_or_path, image_size)
    if is_own(name):
        return own.read(name, image_size).names
    return [str(label) for label in range(len(toy_modes(name)[0]) if name in toy.NAMES else KNOWN[name].classes)]


def is_own(name_or_path):
    """Whether this names a folder or a file of one's own, there or not, and no known data set."""
    return str(name_or_path) not in names() and own.is_own(str(name_or_path))


def is_folder(name_or_path):
    """Whether this names a folder of one's own that is there."""
    return is_own(name_or_path) and Path(name_or_path).is_dir()


def located(name_or_path):
    """The name as it holds in any folder: that of a known data set, or the absolute path of one's own."""
    return os.path.abspath(name_or_path) if is_own(name_or_path) else str(name_or_path)


def _checked(name_or_path, image_size):
    """The name; InputError unless it is one of a data set to which this size may be given."""
    name = str(name_or_path)
    if not is_own(name):
        ways = "pass one of these, or the path of a folder of pictures or of a .npy, .npz or .csv file"
        known_name(name, names(), "dataset", f"{ways} (there is no folder {name} in {Path.cwd()})")
    may_be_folder = is_folder(name) or (is_own(name) and Path(name).suffix.lower() not in own.FILES)
    if image_size is not None and not may_be_folder:
        raise InputError(f"image_size goes with a folder of pictures; {name} has a size of its own, so leave it out.")
    return name
