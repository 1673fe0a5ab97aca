"""One decorator for every kernel, so that all of them are compiled, cached and callable without Numba's JIT alike."""

from numba import njit


def kernel(function):
    """Compile `function` on its first call, keep the machine code on disk, and release the GIL while it runs.

    A kernel takes `start, stop` first and writes only what belongs to those rows; `threads.run` splits the rows.
    A division by zero gives inf or nan as NumPy's does, instead of an exception.
    Where no cache directory is writable the code is compiled anew in each process instead of failing.
    With NUMBA_DISABLE_JIT=1 the plain Python function is returned and computes the same numbers, slowly.
    """
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # Numba: "no locator available", neither the package nor the user's cache is writable
        return njit(nogil=True, error_model="numpy")(function)


def inlined_kernel(function):
    """`kernel` for a part of kernels: no caller in Python, and its code becomes part of the caller's."""
    return njit(forceinline=True, error_model="numpy")(function)
