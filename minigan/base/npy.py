"""Read arrays in NumPy's own format (.npy) without pickle, and believe no claim before it is held against the size."""

import math
from tokenize import TokenError

import numpy as np

from minigan.base.errors import InputError

GZIP_MAGIC = b"\x1f\x8b"
DEFLATE_RATIO = 1032  # a match yields at most 258 bytes from 2 bits, so no honest file expands further
CHUNK = 1 << 20  # bytes of a read, of which a decompressing stream makes a second copy
LONGEST_HEADER = 300  # characters: the depth to which Python follows its brackets is bounded too
KINDS = "biufUS"  # truth values, numbers, text
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_array(file, size):
    """The array in a stream of `size` bytes, in its own shape and byte order; fresh and writable.

    InputError, a part of a sentence, for what is no array of numbers or text of exactly that size. What NumPy itself
    raises in damaged files is left to the caller: EOFError, SyntaxError, TypeError, ValueError and the like.
    """
    version = np.lib.format.read_magic(file)
    if version not in READERS:
        raise InputError(f"format {version} is not one of plain numbers")
    try:
        shape, fortran, dtype = READERS[version](file, max_header_size=LONGEST_HEADER)
    except (MemoryError, TokenError):  # Python's parser, of brackets within brackets, and of those never closed
        raise InputError("its header cannot be read") from None
    if dtype.hasobject or dtype.kind not in KINDS or not dtype.itemsize:
        raise InputError(f"it holds {dtype}, expected numbers, or text as labels")
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > size or not all(length >= 0 for length in shape):
        raise InputError(f"its header claims {'×'.join(map(str, shape))} values, {claimed} bytes, and there are {size}")
    array = np.empty(shape[::-1] if fortran else shape, dtype)
    got = fill(file, array)
    if got < claimed or file.read(1):
        raise InputError(f"it has {'less' if got < claimed else 'more'} than the {claimed} bytes its header claims")
    return array.T if fortran else array


def fill(stream, array):
    """Read bytes into a C-ordered array until it is full or the stream ends; -> how many came."""
    view, got = memoryview(array.reshape(-1).view(np.uint8)), 0
    while got < len(view) and (count := stream.readinto(view[got : got + CHUNK])):
        got += count
    return got
