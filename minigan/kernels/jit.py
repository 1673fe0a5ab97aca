"""One decorator for every kernel, so that all of them are compiled, cached and callable without Numba's JIT alike."""

import os
import sys
from functools import cache
from pathlib import Path

import numpy as np

from minigan.base.files import private_folder
from minigan.base.mode import NUMBA_IS_HERE

if NUMBA_IS_HERE:
    from numba import config, njit

COMPILED = NUMBA_IS_HERE and not config.DISABLE_JIT

# Numba compiles a kernel anew when its own file has changed; but kernels call each other across files.
_SOURCES = [(p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(Path(__file__).parent.rglob("*.py"))]
_OPTIONS = {"nogil": True, "error_model": "numpy"}

if os.path.expanduser("~") == "~":  # nobody's home: Numba would make a folder "~" wherever it is started
    os.environ.setdefault("XDG_CACHE_HOME", os.devnull)


def kernel(function):
    """Compile `function` on its first call, keep the machine code on disk, and release the GIL while it runs.

    A kernel takes `start, stop` first and writes only what belongs to those rows; `threads.run` splits the rows.
    A division by zero gives inf or nan as NumPy's does, instead of an exception.
    Where Numba can write in none of its own places the code is kept in a private folder in the temporary directory, and
    where there is none either it is compiled anew in each process instead of failing.
    With NUMBA_DISABLE_JIT=1, or without Numba, it is the plain Python function, which computes the same, slowly.
    """
    if not COMPILED:
        return function
    compiled = _compile(function)
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = _SOURCES
    return compiled


def _compile(function):
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # Numba: "no locator available", neither the package nor the user's cache is writable
        before, config.CACHE_DIR = config.CACHE_DIR, _temporary_cache()
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        return njit(**_OPTIONS)(function)
    finally:
        config.CACHE_DIR = before


@cache
def _temporary_cache():
    """The private folder as Numba's setting, "" for none; while it is empty, or none, a line says so."""
    folder = private_folder("minigan-numba")
    if folder is None or not any(folder.iterdir()):
        where = "anew at every start (some 15 s)" if folder is None else f"into {folder}, as no other place is writable"
        print(f"minigan compiles its kernels {where}; NUMBA_CACHE_DIR can name a better one.", file=sys.stderr)
    return str(folder or "")


def inlined_kernel(function):
    """`kernel` for a part of kernels: no caller in Python, and its code becomes part of the caller's."""
    return njit(forceinline=True, error_model="numpy")(function) if COMPILED else function


def unsigned(*sizes):
    """Sizes for kernels: an index made of them cannot be negative, and only then the compiler uses vectors."""
    return map(np.uintp, sizes)
