"""Pictures in a .npy or .npz file of NumPy. No pickle is opened, and no claim believed before it is held against the
size of the file."""

import os
import zipfile
import zlib

import numpy as np

from minigan.base.errors import InputError
from minigan.base.npy import DEFLATE_RATIO, read_array

# pictures, their labels, pictures for testing, theirs: the names under which they are looked for, the first that fits
LAYOUTS = (
    ("images", "labels", None, None),
    ("x_train", "y_train", "x_test", "y_test"),  # Keras
    ("X", "y", None, None),
    ("data", "target", None, None),  # scikit-learn
)
# what damaged files make zipfile, zlib and NumPy raise; RuntimeError: a feature of zip that zipfile lacks
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OverflowError, RuntimeError, SyntaxError, TypeError, ValueError)


def read_arrays(path):
    """-> images, labels or None, and how many at the end are for testing or None; the arrays as they are in the file.

    A .npy holds images; a .npz one of LAYOUTS, of which only the images have to be there. Raises InputError, a part of
    a sentence, for what is neither, and BROKEN or OSError for a damaged file.
    """
    if path.suffix.lower() == ".npy":
        with open(path, "rb") as file:
            return read_array(file, os.fstat(file.fileno()).st_size), None, None
    with zipfile.ZipFile(path) as archive:
        there = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
        layout = next((layout for layout in LAYOUTS if layout[0] in there), None)
        if layout is None:
            pairs = ", or ".join(" and ".join(f'"{name}"' for name in one if name) for one in LAYOUTS)
            raise InputError(f'there is no array "images" in it, expected {pairs}')
        size = path.stat().st_size
        images, labels, test, test_labels = (_entry(archive, name, size) if name in there else None for name in layout)
    if test is None:
        return images, labels, None
    if test.shape[1:] != images.shape[1:] or test.dtype != images.dtype:
        both = f"{layout[2]} is {test.dtype} {test.shape} and {layout[0]} {images.dtype} {images.shape}"
        raise InputError(f"{both}, expected pictures of one kind")
    if (labels is None) != (test_labels is None):
        raise InputError(f"of {layout[1]} and {layout[3]} there is only one, expected both or none")
    both = None if labels is None else np.concatenate([labels, test_labels])
    return np.concatenate([images, test]), both, len(test)


def _entry(archive, name, size):
    """The array of that name in an archive of `size` bytes."""
    entry = archive.getinfo(f"{name}.npy")
    ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: DEFLATE_RATIO}.get(entry.compress_type)
    if ratio is None:
        raise InputError(f"{name} is compressed in a way that NumPy does not use")
    if entry.file_size > ratio * min(entry.compress_size, size):
        raise InputError(f"{name} claims {entry.file_size} bytes, more than a file of this size can hold")
    with archive.open(entry) as file:
        return read_array(file, entry.file_size)
