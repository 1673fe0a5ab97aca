"""Which layout an array of pictures has: order of the axes, channels, range of the values, told from the numbers.

What fits one reading only is read so; what fits two is refused, and both are named.
"""

import math

import numpy as np

from minigan.base.errors import InputError

CHANNELS = (1, 3, 4)
SLACK = 1e-4  # of the range, by which floats may lie outside it
ROUGHER = 1.5  # as rough as the right order of the channels a wrong one is at least
BLOCK = 1000  # pictures converted at a time
RANGES = {(0, 1): "0 to 1", (-1, 1): "-1 to 1", (0, 255): "0 to 255", (0, 65535): "0 to 65535 (16 bits)"}
NO_DOUBT = "save them as uint8 (N, H, W, C) in 0 to 255, or as a folder of PNG pictures"


def to_pictures(images):
    """-> images (N, H, W, C) uint8, C being 1 or 3, and what had to be told from the numbers (list of str).

    images: truth values, whole numbers or floats, (N, H, W), (N, H, W, C), (N, C, H, W), or flat, (N, H·W) and
    (N, H·W·3), of square pictures. Four channels are red, green, blue and opacity, put on white. Values lie in 0..255,
    0..1, -1..1 or 0..65535. Raises InputError, a part of a sentence, for what is none of these, or could be two.
    """
    if images.dtype.kind not in "biuf":
        raise InputError(f"images are {images.dtype}, expected numbers")
    told = []
    if 0 in images.shape or images.ndim not in (2, 3, 4):
        raise _no_pictures(images)
    if images.dtype.kind == "f":
        _check_finite(images)
    low, high = _range(images)
    if images.dtype != np.uint8 or high != 255:
        told.append(f"values from {RANGES[low, high]}")
    order, ordered = _ordered(images)
    if order:
        told.append(order)
    pictures = _scaled(ordered, low, high)
    if pictures.shape[3] == 4:
        pictures = _on_white(pictures)
        told.append("the fourth channel as opacity, on white")
    return np.ascontiguousarray(pictures), told


def _check_finite(images):
    bad = ~np.isfinite(images).reshape(len(images), -1).all(axis=1)
    if bad.any():
        raise InputError(
            f"{bad.sum()} of {len(images)} images hold NaN or infinity, the first of them is number {bad.argmax()} "
            "(counted from 0); leave them out or mend them"
        )


# ---- range of the values


def _range(images):
    """The (low, high) of RANGES in which the values lie."""
    least, most = float(images.min()), float(images.max())
    if images.dtype == np.uint8:
        return (0, 1) if most == 1 else (0, 255)
    if -1 - SLACK <= least < -SLACK and most <= 1 + SLACK:
        return -1, 1
    if least >= -SLACK:
        for low, high in ((-SLACK, 1 + SLACK), (128, 255 * (1 + SLACK)), (32768, 65535)):
            if low <= most <= high:
                return 0, int(high)
        if most < 65535:
            usual = 255 if most < 128 else 65535
            raise InputError(
                f"images go from {least:g} to {most:g}, which can be dark pictures in 0 to {usual}, or ones in 0 to "
                f"{most:g}; multiply them so that white is {usual}"
            )
    raise InputError(
        f"images go from {least:g} to {most:g}, expected 0 to 255, 0 to 1, -1 to 1, or 0 to 65535; shift and multiply "
        "them so that they do"
    )


def _scaled(images, low, high):
    if images.dtype == np.uint8 and high == 255:
        return images
    out = np.empty(images.shape, np.uint8)
    for first in range(0, len(images), BLOCK):
        some = images[first : first + BLOCK].astype(np.float64)
        out[first : first + BLOCK] = np.rint((np.clip(some, low, high) - low) * (255 / (high - low)))
    return out


# ---- order of the axes


def _ordered(images):
    """-> in which order the axes were taken, in words ("" for the plain one), and the images as (N, H, W, C)."""
    readings, plain = _readings(images)
    if not readings:
        raise _no_pictures(images)
    if len(readings) > 1:
        square = [name for name, reading in readings.items() if reading.shape[1] == reading.shape[2]]
        if len(square) == 1:
            readings = {square[0]: readings[square[0]]}
    if len(readings) > 1:
        rough = {name: _roughness(reading[:BLOCK]) for name, reading in readings.items()}
        best, other = sorted(rough, key=rough.get)  # there are never more
        if not rough[other] > ROUGHER * rough[best]:
            raise InputError(
                f"images have shape {images.shape}, which can be {best}, or {other}, and the numbers do not tell; "
                f"{NO_DOUBT}"
            )
        readings = {best: readings[best]}
    [(name, reading)] = readings.items()
    return ("" if name == plain else name), reading


def _readings(images):
    """name -> images as (N, H, W, C), for each order of the axes that is possible, and the name of the plain one."""
    if images.ndim == 3:
        n, h, w = images.shape
        whole = {f"{n} grey pictures of {h} x {w}": images[..., np.newaxis]}
        plain = next(iter(whole))
        if w in CHANNELS[1:] and h > w:
            whole[f"one picture of {n} x {h} with {w} channels"] = images[np.newaxis]
        return whole, plain
    if images.ndim == 4:
        readings = {}
        if images.shape[3] in CHANNELS:
            readings["channels last"] = images
        if images.shape[1] in CHANNELS and images[0].size > 1:  # of one pixel both orders are the same
            readings["channels first"] = images.transpose(0, 2, 3, 1)
        return readings, "channels last"
    (n, size), readings = images.shape, {}
    side = math.isqrt(size)
    if side * side == size:
        readings[f"grey pictures of {side} x {side}"] = images.reshape(n, side, side, 1)
    side = math.isqrt(size // 3)
    if 3 * side * side == size:
        name = f"colour pictures of {side} x {side}, channels "
        readings[name + "last"] = images.reshape(n, side, side, 3)
        readings[name + "first"] = images.reshape(n, 3, side, side).transpose(0, 2, 3, 1)
    return readings, None


def _roughness(images):
    """How far a value is from its neighbours': small for pictures, larger where their axes were taken for others."""
    x = images.astype(np.float32)
    steps = [np.abs(np.diff(x, axis=axis)).mean() for axis in (1, 2, 3) if x.shape[axis] > 1]
    return float(np.mean(steps)) if steps else 0.0


def _no_pictures(images):
    return InputError(
        f"images have shape {images.shape}, expected (N, H, W), (N, H, W, C) or (N, C, H, W) with 1, 3 or 4 channels, "
        "or flat rows of square pictures"
    )


def _on_white(images):
    """Red, green, blue and opacity as they look on white; InputError where the fourth channel may be something else."""
    opacity = images[..., 3:]
    opaque = opacity == 255
    if not opaque.any() or (opaque.mean() < 0.5 and not (opaque | (opacity == 0)).all()):
        raise InputError(
            "images have four channels, which can be red, green, blue and opacity, or four colours such as CMYK, and "
            f"the numbers do not tell; {NO_DOUBT}"
        )
    out = np.empty((*images.shape[:3], 3), np.uint8)
    for i, image in enumerate(images):
        colour, alpha = image[..., :3].astype(np.uint16), image[..., 3:].astype(np.uint16)
        out[i] = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    return out
