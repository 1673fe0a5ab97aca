"""Checkpoints: one .npz of arrays and a JSON text, without pickle, written whole or not at all.

Beside the arrays there are "about", whose "format" says how the file is to be read, and "sums", the SHA-256 of each of
the others.
"""

import hashlib
import json
import os
import zipfile

import numpy as np

from minigan.base.errors import InputError, shorten
from minigan.base.files import atomic_write
from minigan.base.npy import read_array

FORMAT = 1

# what damaged files make zipfile, NumPy and json raise; RuntimeError: a feature of zip that zipfile lacks
_UNREADABLE = (zipfile.BadZipFile, OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError)


def save(path, arrays, about):
    """Write `arrays` (name -> array) and `about` (anything JSON holds) to `path`, replacing it only when complete.

    Raises InputError for an array of objects, which only pickle could hold.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise InputError(f"checkpoint: {name!r} is an object array, expected numbers or text.")
    entries = {**arrays, "about": np.array(json.dumps({"format": FORMAT, **about}))}
    sums = np.array(json.dumps({name: _sum(array) for name, array in entries.items()}))
    with atomic_write(path) as temporary:
        np.savez(temporary, sums=sums, **entries)


def load(path):
    """-> arrays (name -> array), about. The checksum of every array is verified.

    Raises InputError for a file that is missing, no checkpoint, of a newer format, or damaged, naming what is wrong.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, os.path.getsize(path))
            about = _about(path, entries)
            arrays = {name: read() for name, read in entries.items()}
        wrong = _wrong(arrays)
        if wrong:
            raise ValueError(f"the checksum of {', '.join(wrong)} is wrong")
    except FileNotFoundError:
        raise InputError(f"there is no checkpoint {path}; name a run that training has saved.") from None
    except InputError:
        raise
    except _UNREADABLE as error:
        raise InputError(
            f"{path} is damaged or no checkpoint of minigan ({shorten(error)}); use another one or train again."
        ) from None
    del arrays["about"]
    return arrays, about


def _entries(archive, size):
    """name -> function that reads the array, for an archive of `size` bytes; ValueError where it claims more."""
    infos = archive.infolist()
    if sum(info.file_size for info in infos) > size or any(info.compress_type for info in infos):
        raise ValueError("its arrays are larger than the file, or compressed, which minigan does not do")
    entries = {info.filename.removesuffix(".npy"): lambda info=info: _read(archive, info) for info in infos}
    if len(entries) < len(infos):
        raise ValueError("it has two arrays of one name")
    return entries


def _read(archive, info):
    """One array, no larger than its entry in the archive. ValueError, naming it, where it cannot be read."""
    try:
        with archive.open(info) as file:
            return read_array(file, info.file_size)
    except (*_UNREADABLE, MemoryError) as error:
        name = shorten(info.filename.removesuffix(".npy"), 100)
        raise ValueError(f"the array {name!r} cannot be read: {shorten(error)}") from None


def _about(path, entries):
    """The notes, read before all else, for a newer format may differ in everything but them."""
    if "about" not in entries:
        raise InputError(f"{path} is no checkpoint of minigan: it has no notes named 'about'; name one that it saved.")
    about = json.loads(str(entries["about"]()))
    version = about.get("format") if isinstance(about, dict) else None
    if type(version) is not int or version < 1:
        raise InputError(f"{path} is no checkpoint of minigan: its notes name no format; name one that it saved.")
    if version > FORMAT:
        raise InputError(
            f"{path} has format {version}, newer than {FORMAT}, the last that this version reads; use the minigan that "
            "wrote it."
        )
    return about


def _wrong(arrays):
    """The names of the entries that are missing or not what they were; takes "sums" out of `arrays`."""
    if "sums" not in arrays:
        return ["every array (there is no 'sums')"]
    sums = json.loads(str(arrays.pop("sums")))
    return sorted(name for name in sums.keys() | arrays.keys() if sums.get(name) != _sum(arrays.get(name, "")))


def _sum(array):
    """The SHA-256 of an array's type, shape and content."""
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()).hexdigest()


def fill(arrays, saved):
    """Copy saved[key] into arrays[key], for each key of `arrays`.

    Raises InputError, and changes nothing, where one is missing or its shape or dtype differs.
    """
    for key, array in arrays.items():
        if key not in saved:
            raise InputError(f"the saved state has no {key!r}: it comes from another network.")
        if saved[key].shape != array.shape or saved[key].dtype != array.dtype:
            raise InputError(
                f"the saved {key!r} is {saved[key].dtype} {saved[key].shape}, expected {array.dtype} {array.shape}: it "
                "comes from another network."
            )
    for key, array in arrays.items():
        array[...] = saved[key]
