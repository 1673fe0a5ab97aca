"""Is a student's result the expected one, and if it is not, in what way?"""

import numpy as np

from minigan.classroom.student import Wrong
from minigan.gradcheck.causes import factor_cause, pattern

TOLERANCE = 1e-10  # of the largest value in the array, beside what the library gives
SMALL = (
    "Right to five digits or more, but not to ten: is a small number added (in a logarithm, a root, a division), a "
    "value clipped, or something computed in float32?"
)
SINGLE = 1e-5  # a difference below this is what float32 makes


def compare(label, got, expected, batch, like=None, common_mistakes=list, tolerance=TOLERANCE):
    """Raise `Wrong` unless the `Value` got is the array or number `expected`, up to rounding.

    batch: the first argument, whose length is N. like: the array that a gradient belongs to. common_mistakes: a
    function that lists (wrong value, sentence) of those with this result. tolerance: of the largest value.
    """
    got = _numbers(label, got, np.shape(expected))
    expected = np.asarray(expected, dtype=np.float64)
    off, allowed = abs(got - expected), tolerance * max(abs(expected).max(initial=0), 1e-3)
    if (off <= allowed).all():
        return
    if not np.isfinite(got).all():
        first, known = int(np.flatnonzero(~np.isfinite(got))[0]), True
        cause = "It is not finite: an overflow in exp, a logarithm of 0, a division by 0, an unstable form?"
    else:
        first = int(off.argmax())
        cause, known = _cause(got, expected, off, allowed, like, batch, common_mistakes)
    index = [int(i) for i in np.unravel_index(first, got.shape)]
    raise Wrong(label, cause, known, index, float(got.flat[first]), float(expected.flat[first]))


def _numbers(label, got, shape):
    """The array (float64) of a `Value`, of that shape, or `Wrong`."""
    if got.type == "NoneType":
        raise Wrong(label, "It is None: is a return missing?")
    if got.kind == "c":
        raise Wrong(label, "It is complex: take a root that stays real (eigenvalues of a symmetric matrix).")
    if not got.kind or got.kind not in "fiub":
        raise Wrong(label, f"It is a {got.type}, expected {'an array' if shape else 'a number'} of float64.")
    if got.shape != shape:
        expected = f"{shape}" if shape else "() (one number: is the mean or the sum missing?)"
        turned = len(got.shape) > 1 and got.shape == shape[::-1]
        hint = " Is a transpose (.T) missing, or one too many?" if turned else ""
        raise Wrong(label, f"Its shape is {got.shape}, expected {expected}.{hint}", known=turned or not shape)
    if shape and got.dtype != "float64":
        raise Wrong(label, f"It is {got.dtype}, but all arguments are float64: keep their dtype.")
    return got.array


def _cause(got, expected, off, allowed, like, batch, common_mistakes):
    """(a sentence, whether it names a recognised mistake)"""
    for value, sentence in common_mistakes():
        if np.shape(value) == got.shape and (abs(got - value) <= 10 * allowed).all():
            return sentence, True
    wrong = off > allowed
    if off.max() < SINGLE * abs(expected).max(initial=0):
        return SMALL, True
    if not got.any() and got.ndim:
        return "It is zero everywhere: is it never written?", True
    if expected.size == 1:  # every number is some factor times it
        found = factor_cause(got.item() / expected.item(), len(batch)) if expected.any() else ""
        return found or "It is another number, in no way that is known here.", bool(found)
    if expected.any():
        like = expected if like is None else like
        found = pattern(got.reshape(-1), expected.reshape(-1), like, batch, True)
        if found:
            return found, True
    if not wrong.all():
        return f"Right in {(~wrong).sum()} of {wrong.size} entries: an index, a border, a branch?", False
    return "Wrong in every entry, in no way that is known here.", False
