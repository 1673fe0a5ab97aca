"""Checkpoints: one .npz of arrays and a JSON text, without pickle, written whole or not at all."""

import hashlib
import json
import zipfile
import zlib

import numpy as np

from minigan.errors import InputError
from minigan.files import written_whole

FORMAT = 1

# what damaged files make zipfile, zlib, NumPy and json raise; RuntimeError: a feature of zip that zipfile lacks
_UNREADABLE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError)


def save(path, arrays, about):
    """Write `arrays` (name -> array) and `about` (anything JSON holds) to `path`, replacing it only when complete.

    Raises InputError for an array of objects, which only pickle could hold.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise InputError(f"checkpoint: {name!r} is an object array, expected numbers or text.")
    entries = {**arrays, "about": np.array(json.dumps({"format": FORMAT, **about}))}
    sums = np.array(json.dumps({name: _sum(array) for name, array in entries.items()}))
    with written_whole(path) as temporary:
        np.savez(temporary, sums=sums, **entries)


def load(path):
    """-> arrays (name -> array), about. The checksum of every array is verified.

    Raises InputError for a file that is missing, damaged, no checkpoint, or of a newer format.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(str(arrays["about"]))
        version = about["format"]
        wrong = [] if version != FORMAT else _wrong(arrays)
        if wrong:
            raise ValueError(f"the checksum of {', '.join(wrong)} is wrong")
        del arrays["about"]
    except FileNotFoundError:
        raise InputError(f"there is no checkpoint {path}; name a run that training has saved.") from None
    except _UNREADABLE as error:
        raise InputError(
            f"{path} is damaged or no checkpoint of minigan ({error}); use another one or train again."
        ) from None
    if version != FORMAT:
        raise InputError(f"{path} has format {version}, this version reads {FORMAT}; use the minigan that wrote it.")
    return arrays, about


def _wrong(arrays):
    """The names of the entries that are missing or not what they were; takes "sums" out of `arrays`."""
    sums = json.loads(str(arrays.pop("sums")))
    return sorted(name for name in sums.keys() | arrays.keys() if sums.get(name) != _sum(arrays.get(name, "")))


def _sum(array):
    """The SHA-256 of an array's type, shape and content."""
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype.str} {array.shape} ".encode() + array.tobytes()).hexdigest()


def fill(arrays, saved):
    """Copy saved[key] into arrays[key], for each key of `arrays`. KeyError where one is missing, InputError where its
    shape or dtype differs."""
    for key, array in arrays.items():
        if saved[key].shape != array.shape or saved[key].dtype != array.dtype:
            raise InputError(f"{key} is {saved[key].dtype} {saved[key].shape}")
        array[...] = saved[key]
