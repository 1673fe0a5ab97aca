"""Plain or fast: whether the formulas compute by themselves, or the kernels beside them."""

import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar

try:
    import numba  # noqa: F401 - one that is installed may still be unfit for this NumPy
except ImportError as error:
    NUMBA_IS_HERE = False
    print(f"minigan: formulas run in plain NumPy, as right but slower: Numba is missing ({error}).", file=sys.stderr)
else:
    NUMBA_IS_HERE = True
ALWAYS_PLAIN = os.environ.get("MINIGAN_PLAIN", "0") not in ("", "0") or not NUMBA_IS_HERE

_plain = ContextVar("plain", default=ALWAYS_PLAIN)


def is_plain():
    """Whether formulas run in plain NumPy at this moment, in this thread."""
    return _plain.get()


@contextmanager
def plain():
    """`with minigan.plain():` runs everything inside on the formulas alone, in plain NumPy: to step through them, or to
    check the kernels against them. MINIGAN_PLAIN=1 in the environment does the same for a whole program, and so does
    a Python without Numba.

    It holds for the calling thread. What was computed outside may be led back inside, and the other way round.
    """
    before = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(before)
