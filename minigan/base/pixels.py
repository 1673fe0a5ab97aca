"""Pixels as files hold them, uint8, and as the networks take them, floats in [-1, 1]."""

import numpy as np

from minigan.base.errors import InputError


def to_float(images, dtype=np.float32):
    """Map uint8 pixels of any shape from 0..255 to [-1, 1] by x / 127.5 - 1, computed in `dtype`, a float type.

    Floats are taken to be in [-1, 1] already: they only get `dtype`, and the same array comes back if they have it.
    Raises InputError for other types of pixels or of `dtype`.
    """
    images, dtype = np.asarray(images), np.dtype(dtype)
    if dtype.kind != "f":
        raise InputError(f"to_float got dtype {dtype}, expected a float type; pass np.float32 or np.float64")
    if images.dtype.kind == "f":
        return images.astype(dtype, copy=False)
    if images.dtype != np.uint8:
        raise InputError(f"to_float got {images.dtype} images, expected uint8 or floats; convert them first")
    out = images.astype(dtype)
    out /= dtype.type(127.5)
    out -= dtype.type(1)
    return out


def to_uint8(images):
    """Map float pixels of any shape from [-1, 1] to uint8 0..255, rounding to the nearest and clipping what is outside.

    The inverse of `to_float`: to_uint8(to_float(x)) is x for all 256 values. uint8 comes back as it is.
    Raises InputError for NaN and for types other than uint8 and floats.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise InputError(f"to_uint8 got {images.dtype} images, expected floats in [-1, 1]; convert them first")
    if np.isnan(images).any():
        raise InputError("to_uint8 got NaN pixels, expected numbers in [-1, 1]; look for where the training diverged")
    # clipped first: casting a float beyond 255 to uint8 is undefined
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)
