"""One's own data, whole: a folder of pictures, arrays in a .npy or .npz file, or a table in a .csv file."""

import sys
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from minigan.base.errors import InputError, shorten
from minigan.datasets.arrays import BROKEN, read_arrays
from minigan.datasets.folder import load_folder, natural_size, stamp
from minigan.datasets.labels import numbered
from minigan.datasets.layouts import to_pictures
from minigan.datasets.table import read_table

FILES = (".npy", ".npz", ".csv")
TENTH = 10  # each tenth picture is kept for the test split, unless the file says which are
REMEDY = "save the pictures again with numpy.save or numpy.savez, as images (N, H, W, C) uint8 and labels (N,)"


class Own(NamedTuple):
    """images (N, H, W, C) uint8; labels (N,) int64 in 0..K-1, or None; names: of the K labels; test: which images are
    of the test split (N,) bool."""

    images: np.ndarray
    labels: np.ndarray | None
    names: list
    test: np.ndarray


def is_own(name):
    """Whether the name looks like a file or a folder of one's own, there or not."""
    return Path(name).suffix.lower() in FILES or len(Path(name).parts) > 1 or Path(name).is_dir()


def read(name, image_size=None):
    """-> Own. image_size: to which the pictures of a folder are brought, by itself `natural_size`, said on stderr.

    What had to be told from the numbers of a file is said there too. Raises InputError, one sentence.
    """
    path = Path(name)
    if path.is_dir():
        images, labels, names = _folder(path, image_size, stamp(path))
        return Own(images, labels, names, _tenths(len(images)))
    if not path.exists():
        raise InputError(
            f"there is no folder or file {path}, seen from {Path.cwd()}; put it back there, or name a folder with "
            "pictures, a .npy, .npz or .csv file, or a known data set."
        )
    try:
        return _file(path)
    except InputError as error:
        raise InputError(f"{path}: {shorten(error, 400)}; {REMEDY}.") from None
    except BROKEN as error:
        raise InputError(f"{path}: damaged or no {path.suffix} file ({shorten(error)}); {REMEDY}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except MemoryError:
        raise InputError(f"{path}: its pictures do not fit into memory; use fewer.") from None


@lru_cache(maxsize=1)  # training, its test split and its names are asked for one after another
def _folder(path, size, stamp):
    if size is None:
        size = natural_size(path)
        say(f"{path}: pictures are brought to {size} x {size}; --image-size N for another size")
    return load_folder(path, size)


def _file(path):
    if path.suffix.lower() not in FILES:
        raise InputError(f"expected a folder of pictures, or a file that ends in {', '.join(FILES)}")
    images, labels, last = (*read_table(path), None) if path.suffix.lower() == ".csv" else read_arrays(path)
    shape = images.shape
    images, told = to_pictures(images)
    labels, names = (None, []) if labels is None else numbered(labels, len(images))
    if told:
        n, h, w, c = images.shape
        say(f"{path}: {'×'.join(map(str, shape))} read as {n} pictures {h} x {w} x {c}: {', '.join(told)}")
    return Own(images, labels, names, _tenths(len(images)) if last is None else np.arange(-len(images), 0) >= -last)


def _tenths(count):
    return np.arange(1, count + 1) % TENTH == 0


@cache
def say(line):
    """Say a line on stderr, once in this process."""
    print(line, file=sys.stderr)
