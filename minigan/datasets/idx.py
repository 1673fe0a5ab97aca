"""Read IDX files, the format of MNIST, and refuse anything that is not exactly one.

The format (LeCun, Cortes and Burges, "The MNIST database", section FILE FORMATS): two zero bytes, one byte for the type
of a value, one for the number of dimensions, each dimension's size as a big-endian uint32, then the values in C order,
big-endian. A file may be gzip-compressed; that is recognised by its content, since browsers unpack files on the way and
keep the name.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from minigan.base.errors import InputError
from minigan.base.npy import DEFLATE_RATIO, GZIP_MAGIC, fill

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

MAX_DIMS = 32  # what every supported NumPy can hold


def read_idx(path, remedy="fetch the file again"):
    """Return the array that an IDX file (plain or gzip) holds, in its own shape and in native byte order.

    path: str or os.PathLike; remedy: what the error for a damaged file tells the reader to do.
    The dtype is uint8, int8, int16, int32, float32 or float64, as the file says; the array is fresh and writable.

    Raises InputError, one sentence, if the file is missing or unreadable, or is not exactly one IDX array: a web page,
    a wrong header, missing or extra bytes, damaged gzip. Memory is taken only after the size that the header claims
    has been held against the size of the file, and no more is decompressed than the claim and one byte.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected an IDX file; name the file inside it")
    # a pipe would block in open, and has no size to hold the claim against
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a pipe or a device, expected an IDX file; save its data to a file")
    try:
        with open(path, "rb") as file:
            compressed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            size = os.fstat(file.fileno()).st_size
            if not compressed:
                return _read_stream(file, size)
            with gzip.GzipFile(fileobj=file) as stream:
                return _read_stream(stream, size * DEFLATE_RATIO)
    except InputError as error:
        raise InputError(f"{path}: {error}; {remedy}") from None
    # BadGzipFile is an OSError, so the damage has to be caught before the failures of the file system
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: truncated or damaged gzip ({error}), expected a whole file; {remedy}") from None
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file, expected an IDX file; check the path or {remedy}") from None
    except PermissionError:
        raise InputError(f"{path}: no permission to read it; make it readable for your user") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from None
    except MemoryError:
        raise InputError(f"{path}: its array does not fit into memory; close other programs or use less data") from None


def idx_header(array):
    """Return the bytes that stand before the values of `array` (one of the dtypes in TYPES) in its IDX file."""
    code = {np.dtype(name).newbyteorder("="): code for code, name in TYPES.items()}[array.dtype.newbyteorder("=")]
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)


def _read_stream(stream, capacity):
    """Return the array in `stream`, which can yield at most `capacity` bytes. InputError is a part of a sentence."""
    magic = stream.read(4)
    if not magic:
        raise InputError("empty, expected an IDX file")
    if (magic + stream.read(60)).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<"):
        raise InputError("this looks like a web page, not data: the download failed")
    stream.seek(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or not 1 <= magic[3] <= MAX_DIMS:
        raise InputError(
            f"not an IDX file: it starts with the bytes {magic.hex(' ')}, expected 00 00, then a type code out of "
            f"{' '.join(f'{code:02x}' for code in TYPES)}, then 01 to {MAX_DIMS:02x} dimensions"
        )
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise InputError(f"truncated: it ends inside the header, expected {magic[3]} sizes")
    shape = struct.unpack(f">{magic[3]}I", sizes)
    if 0 in shape:
        raise InputError(f"the header claims the sizes {_times(shape)}, expected at least 1 in each dimension")
    dtype = np.dtype(TYPES[magic[2]])
    claimed = math.prod(shape) * dtype.itemsize
    room = capacity - 4 - len(sizes)
    if claimed > room:
        raise InputError(
            f"truncated or damaged: the header claims {_times(shape)} values, {claimed} bytes, expected at most {room} "
            "in a file of this size"
        )
    array = np.empty(shape, dtype)
    got = fill(stream, array)
    if got < claimed:
        raise InputError(f"truncated: {got} bytes of values, expected {claimed} for the sizes {_times(shape)}")
    # this read also makes GzipFile reach the end and compare its checksum
    if stream.read(1):
        raise InputError(
            f"extra bytes after the values, expected the end after {claimed} for the sizes {_times(shape)}"
        )
    return array.astype(dtype.newbyteorder("="), copy=False)


def _times(shape):
    return "×".join(map(str, shape))
