"""A folder of one's own pictures as a data set."""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minigan.base import pictures
from minigan.base.errors import InputError, shorten
from minigan.datasets.labels import numbered

SIZES = (28, 32, 64)  # to which pictures are brought unless a size is asked for
# of a picture, since a file of a few kilobytes may hold more than there is memory for; a JPEG is decoded smaller
MOST_PIXELS = {"JPEG": 100_000_000, "MPO": 100_000_000}
MOST_OTHERS = 1 << 25
MOST_NAMED = 20  # skipped files that are named one by one


def natural_size(folder):
    """The size for the pictures in a folder: the largest of SIZES not above the median of their shorter sides, or the
    smallest. InputError where there is no picture."""
    shorter = []
    for path in _listed(Path(folder))[0]:
        try:
            with pictures.opened(path, _most) as image:
                shorter.append(min(image.size))
        except (InputError, OSError):
            continue
    if not shorter:
        raise _nothing(folder)
    return max((size for size in SIZES if size <= np.median(shorter)), default=SIZES[0])


def load_folder(folder, size):
    """-> images (N, size, size, C) uint8, labels (N,) int64 in 0..K-1 and the K sub-folders' names, or None, [].

    The pictures lie in the folder itself, or in sub-folders, each of which is a label: 0, 1, … in the order of their
    names. They come sorted by label and name. Each is cut to the square in its middle and resized; what is transparent
    becomes white. C is 1 where every picture is grey, else 3. A file that is no whole picture of pictures.FORMATS, or
    has too many pixels, is named on stderr and left out. Hidden files do not count.

    Raises InputError where no picture is left.
    """
    folder = Path(folder)
    paths, classes = _listed(folder)
    images, kept, skipped = np.empty((len(paths), size, size, 3), np.uint8), [], []
    show = sys.stderr.isatty() and len(paths) > 500
    for i, path in enumerate(tqdm(paths, desc="reading pictures", unit="", disable=not show, leave=False)):
        try:
            if classes and path.parent == folder:
                raise InputError("lies beside the sub-folders, which are the labels")
            images[len(kept)] = _read(path, size)
            kept.append(i)
        except (InputError, OSError) as error:
            skipped.append(f"skipped {path}: {shorten(error)}")
    for line in skipped[:MOST_NAMED]:
        print(line, file=sys.stderr)
    if len(skipped) > MOST_NAMED:
        print(f"skipped {len(skipped) - MOST_NAMED} more files", file=sys.stderr)
    if not kept:
        raise _nothing(folder)
    images = images[: len(kept)]
    if np.array_equal(images[..., 0], images[..., 1]) and np.array_equal(images[..., 0], images[..., 2]):
        images = images[..., :1].copy()
    if not classes:
        return images, None, []
    return images, *numbered(np.array([paths[i].relative_to(folder).parts[0] for i in kept]), len(kept))


def stamp(folder):
    """What changes with the content of a folder: its files, their times and sizes."""
    return tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in _listed(folder)[0])


def _nothing(folder):
    return InputError(
        f"there is no picture in {folder} that can be read, such as a PNG or a JPEG; name a folder with some."
    )


def _most(image):
    return MOST_PIXELS.get(image.format, MOST_OTHERS)


def _listed(folder):
    """The files in the order in which they count, and whether there are sub-folders."""

    def visible(path):
        return not any(part.startswith(".") for part in path.relative_to(folder).parts)

    inside = sorted(path for path in folder.rglob("*") if visible(path))
    return [path for path in inside if path.is_file()], any(path.is_dir() for path in inside)


def _read(path, size):
    """The picture in `path`: (size, size, 3) uint8."""
    from PIL import Image

    with pictures.opened(path, _most) as image:
        image.draft(None, (2 * size, 2 * size))  # a JPEG is decoded no larger than is of use
        image = pictures.plain(image)
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        square = image.convert("RGB").crop((left, top, left + side, top + side))  # nothing beside it plays a part
        return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))
