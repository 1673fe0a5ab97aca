"""Checks of what comes in: numbers that must lie in a range, and the words for what came instead."""

import math
import numbers

import numpy as np

from minigan.base.errors import InputError

LIMITS = ("least", "most", "above", "below")  # the first two belong to the range


def check_range(name, value, limits, kind):
    """InputError unless the number is finite and within `limits`, a dict of any of LIMITS. kind: int or float."""
    low, high = limits.get("least", -math.inf), limits.get("most", math.inf)
    within = low <= value <= high and limits.get("above", -math.inf) < value < limits.get("below", math.inf)
    if not within:  # nor is NaN
        raise InputError(f"{name} is {value!r}, expected {expected(kind, limits)}.")


def number(name, value, kind=float, **limits):
    """`value` as Python's int or float; InputError unless it is such a number, and as check_range wants it.

    A whole number will do for a float; True and False are no numbers.
    """
    wanted = numbers.Integral if kind is int else numbers.Real
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise InputError(f"{name} is {value!r}, expected {expected(kind, limits)}.")
    check_range(name, value, limits, kind)
    return kind(value)


def expected(kind, limits):
    """Such as "a whole number from 1 to 9" or "a number of at least 0 and below 1"."""
    words = {int: "a whole number", float: "a number", str: "a name"}[kind]
    if "least" in limits and "most" in limits:
        return f"{words} from {limits['least']:,} to {limits['most']:,}"
    phrases = {"least": "of at least", "above": "above", "most": "at most", "below": "below"}
    said = [f"{phrase} {limits[key]:,}" for key, phrase in phrases.items() if key in limits]
    return " ".join([words, " and ".join(said)]).rstrip()


def describe(value):
    """An array's dtype and shape, or of what type the value is: "float32 (3, 4)", "a list"."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else f"a {type(value).__name__}"
