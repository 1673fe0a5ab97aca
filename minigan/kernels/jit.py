"""One decorator for every kernel, so that all of them are compiled, cached and callable without Numba's JIT alike."""

from pathlib import Path

from minigan.base.mode import NUMBA_IS_HERE

if NUMBA_IS_HERE:
    from numba import config, njit

COMPILED = NUMBA_IS_HERE and not config.DISABLE_JIT

# Numba compiles a kernel anew when its own file has changed; but kernels call each other across files.
_SOURCES = [(p.name, p.stat().st_mtime_ns, p.stat().st_size) for p in sorted(Path(__file__).parent.glob("*.py"))]


def kernel(function):
    """Compile `function` on its first call, keep the machine code on disk, and release the GIL while it runs.

    A kernel takes `start, stop` first and writes only what belongs to those rows; `threads.run` splits the rows.
    A division by zero gives inf or nan as NumPy's does, instead of an exception.
    Where no cache directory is writable the code is compiled anew in each process instead of failing.
    With NUMBA_DISABLE_JIT=1, or without Numba, it is the plain Python function, which computes the same, slowly.
    """
    if not COMPILED:
        return function
    try:
        compiled = njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # Numba: "no locator available", neither the package nor the user's cache is writable
        return njit(nogil=True, error_model="numpy")(function)
    cache_file = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = _SOURCES
    return compiled


def inlined_kernel(function):
    """`kernel` for a part of kernels: no caller in Python, and its code becomes part of the caller's."""
    return njit(forceinline=True, error_model="numpy")(function) if COMPILED else function
