"""Refusals that the modules of this folder share: a name nobody knows, a number or a generator that is none."""

import difflib
import operator

import numpy as np

from minigan.base.errors import InputError


def known_name(name, known, what, otherwise="pass one of these"):
    """InputError unless `name` is one of `known`; `otherwise` is what to do when none of them is close."""
    if name not in known:
        close = difflib.get_close_matches(str(name).lower(), known, n=1)
        hint = f'did you mean "{close[0]}"?' if close else otherwise
        raise InputError(f'unknown {what} "{name}", expected one of {", ".join(known)}; {hint}')


def positive_int(value, what):
    try:
        number = 0 if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{what} is {value!r}, expected an integer of at least 1; pass such a number")
    return number


def generator(rng):
    if not isinstance(rng, np.random.Generator):
        raise InputError(
            f"rng is {type(rng).__name__}, expected a numpy.random.Generator; pass np.random.default_rng(seed)"
        )
    return rng
