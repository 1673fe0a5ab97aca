"""Pictures in a .npy or .npz file of NumPy as a data set. No pickle is opened, and no claim believed before it is
held against the size of the file."""

import math
import os
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np

from minigan.errors import InputError, brief

_RATIO = 1032  # deflate yields at most 258 bytes from 2 bits
_CHUNK = 1 << 20
_SLACK = 1e-4  # by which floats may lie outside their range
_MOST_LABELS = 10_000
_REMEDY = "save the pictures again with numpy.save or numpy.savez"
# what damaged files make zipfile, zlib and NumPy raise; RuntimeError: a feature of zip that zipfile lacks
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OverflowError, RuntimeError, SyntaxError, TypeError, ValueError)
_LONGEST_HEADER = 1000  # characters


def load_arrays(path):
    """-> images (N, H, W, C) uint8, labels (N,) int64 or None, from a .npy of images or a .npz of "images", "labels".

    images: uint8, or floats; (N, H, W), or (N, H, W, C) with C 1 or 3. Floats lie in [-1, 1] if any of them is
    negative, else in [0, 1]; other ranges are refused. labels: whole numbers (N,), from 0.
    Raises InputError, one sentence, for anything else.
    """
    path = Path(path)
    try:
        arrays = _archive(path) if path.suffix == ".npz" else {"images": _single(path)}
    except InputError as error:
        raise InputError(f"{path}: {brief(error)}; {_REMEDY}.") from None
    except _BROKEN as error:
        raise InputError(f"{path}: damaged or no {path.suffix} file ({brief(error)}); {_REMEDY}.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except MemoryError:
        raise InputError(f"{path}: its pictures do not fit into memory; use fewer.") from None
    if "images" not in arrays:
        raise InputError(
            f'{path}: there is no array "images" in it, expected "images" and perhaps "labels"; {_REMEDY}.'
        )
    images = _pictures(path, arrays["images"])
    return images, _labels(path, arrays["labels"], len(images)) if "labels" in arrays else None


def _pictures(path, images):
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        raise InputError(
            f"{path}: images have shape {images.shape}, expected (N, H, W) or (N, H, W, C), C being 1 or 3; put the "
            "channels last."
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise InputError(f"{path}: images are {images.dtype}, expected uint8 or floats; convert them first.")
    least, most = float(images.min()), float(images.max())
    if not (least >= -1 - _SLACK and most <= 1 + _SLACK):  # NaN fails here too
        raise InputError(
            f"{path}: images go from {least:g} to {most:g}, expected floats in [-1, 1] or [0, 1]; for 0 to 255 save "
            "them as uint8."
        )
    floor = -1 if least < 0 else 0
    return np.rint((np.clip(images, floor, 1) - floor) * (255 / (1 - floor))).astype(np.uint8)


def _labels(path, labels, count):
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise InputError(f"{path}: labels are {labels.dtype} {labels.shape}, expected whole numbers ({count},).")
    if labels.min() < 0 or labels.max() >= _MOST_LABELS:
        raise InputError(
            f"{path}: labels go from {labels.min()} to {labels.max()}, expected 0 to at most {_MOST_LABELS - 1}."
        )
    return labels.astype(np.int64)


def _single(path):
    with open(path, "rb") as file:
        return _array(file, os.fstat(file.fileno()).st_size)


def _archive(path):
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        size = path.stat().st_size
        for name in ("images", "labels"):
            if f"{name}.npy" not in archive.namelist():
                continue
            entry = archive.getinfo(f"{name}.npy")
            ratio = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: _RATIO}.get(entry.compress_type)
            if ratio is None:
                raise InputError(f"{name} is compressed in a way that NumPy does not use")
            if entry.file_size > ratio * min(entry.compress_size, size):
                raise InputError(f"{name} claims {entry.file_size} bytes, more than a file of this size can hold")
            with archive.open(entry) as file:
                arrays[name] = _array(file, entry.file_size)
    return arrays


def _array(file, size):
    """The array in a stream of `size` bytes in NumPy's own format."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise InputError(f"format {version} is not one of plain numbers")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read_header(file, max_header_size=_LONGEST_HEADER)
    except (MemoryError, TokenError):  # Python's parser, of brackets within brackets, and of those never closed
        raise InputError("its header cannot be read") from None
    if dtype.hasobject or dtype.kind not in "uif":
        raise InputError(f"it holds {dtype}, expected uint8 or floats, and whole numbers as labels")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > size or not all(length >= 0 for length in shape):
        raise InputError(f"its header claims {'×'.join(map(str, shape))} values, {claimed} bytes, and there are {size}")
    array = np.empty(shape[::-1] if fortran else shape, dtype)
    view, got = memoryview(array.reshape(-1).view(np.uint8)), 0
    while got < claimed and (count := file.readinto(view[got : got + _CHUNK])):
        got += count
    if got < claimed or file.read(1):
        raise InputError(f"it has {'less' if got < claimed else 'more'} than the {claimed} bytes its header claims")
    return (array.T if fortran else array).astype(dtype.newbyteorder("="), copy=False)
