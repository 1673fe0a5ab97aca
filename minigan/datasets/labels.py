"""Labels of one's own data, however they are written, as 0..K-1 and the K names they had."""

import numpy as np

from minigan.base.errors import InputError, shorten

MOST = 10_000  # different labels: more are no classes


def numbered(labels, count):
    """-> labels (count,) int64 in 0..K-1 and their K names (list of str), both in sorted order of what occurs.

    labels: whole numbers or whole floats, truth values or text, (count,) or (count, 1); or one-hot rows (count, K),
    whose names are the columns' numbers. Raises InputError, a part of a sentence, for anything else.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and labels.dtype.kind not in "US" and _one_hot(labels):
        labels = labels.argmax(axis=1)
    if labels.shape != (count,):
        raise InputError(
            f"labels are {labels.dtype} {labels.shape}, expected one for each of {count} pictures, ({count},), or "
            f"one-hot rows ({count}, K)"
        )
    if labels.dtype.kind == "f":
        whole = (labels == np.floor(labels)) & (np.abs(labels) < 2**53)
        if not whole.all():
            raise InputError(f"labels hold {labels[~whole][0]:g}, expected whole numbers or names")
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "S":
        labels = np.array([label.decode(errors="replace") for label in labels.tolist()])
    found, indices = np.unique(labels, return_inverse=True)
    if len(found) > MOST:
        raise InputError(f"labels take {len(found)} different values, expected at most {MOST}: the classes")
    return indices.reshape(-1).astype(np.int64), [_shown(value) for value in found.tolist()]


def names_of(classes, names=None):
    """The names of that many classes (list of str), "0", "1", … unless given; InputError for others than so many."""
    if names is None:
        return [str(label) for label in range(classes)]
    if not isinstance(names, list) or len(names) != classes or not all(isinstance(name, str) for name in names):
        raise InputError(f"the names of the classes are {shorten(names)}, expected {classes} of them.")
    return names


def _one_hot(rows):
    return bool((((rows == 0) | (rows == 1)).all(axis=1) & ((rows == 1).sum(axis=1) == 1)).all())


def _shown(value):
    """A name as a terminal and a file of text can take it: one short line of characters that can be printed."""
    return "".join(c if c.isprintable() else "?" for c in shorten(value, 80))
