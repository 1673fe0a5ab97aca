"""How weights start.

Each function returns an array of `shape` in `dtype`, drawn from the numpy.random.Generator `rng`. fan_in and fan_out
count the inputs that one output sees and the outputs that one input feeds: for a weight (…, inputs, outputs), the last
two axes times the kernel's positions.
"""

import math

import numpy as np

from minigan.base.errors import InputError


def check_rng(owner, rng):
    """`rng` if it is a numpy.random.Generator, else an InputError: the library has no hidden global seed."""
    if not isinstance(rng, np.random.Generator):
        raise InputError(
            f"{owner}: rng is {rng!r}, expected a numpy.random.Generator; pass rng=np.random.default_rng(0) or another "
            "seed."
        )
    return rng


def normal(shape, rng, dtype, std=0.02):
    """N(0, std²). DCGAN uses std 0.02 for every weight (Radford et al. 2016, section 3)."""
    return (std * rng.standard_normal(shape)).astype(dtype)


def glorot_uniform(shape, rng, dtype):
    """U(-a, a) with a = √(6 / (fan_in + fan_out)): keeps the variance of signals and gradients through tanh-like layers
    (Glorot and Bengio 2010, equation 16). The default of every layer."""
    positions = math.prod(shape[:-2])
    limit = math.sqrt(6 / (positions * (shape[-2] + shape[-1])))
    return rng.uniform(-limit, limit, shape).astype(dtype)
