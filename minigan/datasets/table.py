"""Pictures in a .csv file, a row each, as Kaggle's: a header, the label, then the pixels of a square picture."""

import math
import warnings
from contextlib import suppress

import numpy as np

from minigan.base.errors import InputError, shorten

LABELS = ("label", "labels", "class", "target", "y")  # what the column of labels is called, in letters of any size
LONGEST = 1 << 22  # bytes of a row


def read_table(path):
    """-> images (N, D), whole numbers or floats, labels (N,) or None.

    With a header, the labels are the first or the last column where it has a name out of LABELS. Without one, or one
    of 0, 1, 2, …, they are the first where it is one more than the pixels of a square picture, grey or in colour.
    Raises InputError, a part of a sentence, that names the row that is wrong.
    """
    rows, labels = [], []
    with open(path, "rb") as file:
        names = [name.strip(' "') for name in file.readline(LONGEST).decode("utf-8-sig", "replace").strip().split(",")]
        place, line = next((end for end in (0, -1) if names[end].lower() in LABELS), None), 1
        if all(map(_is_number, names)):  # no header, or one that only counts
            place = 0 if not _square(len(names)) and _square(len(names) - 1) else None
            if names != [str(i) for i in range(len(names))]:
                file.seek(0)
                line = 0
        while row := file.readline(LONGEST):
            line += 1
            row = row.decode("utf-8-sig", "replace").strip()
            if not row:
                continue
            if place is not None:
                label, _, row = row.partition(",") if place == 0 else row.rpartition(",")[::-1]
                labels.append(label.strip(' "'))
            rows.append(_pixels(row, len(names) - (place is not None), line))
    if not rows:
        raise InputError("there is no row of pixels in it")
    images = np.stack(rows)
    if images.dtype == np.uint8:
        images = images.astype(np.int16)  # the type says nothing of the range: it is only small
    if place is None:
        return images, None
    return images, np.array(labels, np.float64 if all(map(_is_number, labels)) else None)


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _square(size):
    return any(size > 0 and size % c == 0 and math.isqrt(size // c) ** 2 == size // c for c in (1, 3))


def _pixels(text, count, line):
    """The numbers in a row (count,), uint8 where they fit."""
    row = None
    with warnings.catch_warnings(action="error"):  # of text that is no number
        for kind in (np.int64, np.float32):  # whole numbers are read ten times as fast
            with suppress(DeprecationWarning, ValueError):
                row = np.fromstring(text, kind, sep=",")
                break
    if row is None or len(row) != count:
        what = "something else than numbers" if row is None else f"{len(row)} pixels"
        raise InputError(f"row {line} holds {what}, expected {count} numbers: {shorten(text, 90)!r}")
    with np.errstate(invalid="ignore"):
        small = row.astype(np.uint8)
    return small if np.array_equal(small, row) else row
