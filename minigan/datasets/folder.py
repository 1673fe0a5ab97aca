"""A folder of one's own PNG and JPEG pictures as a data set."""

import sys
import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minigan.errors import InputError, brief

FORMATS = ("PNG", "JPEG")
# of a picture, since a file of a few kilobytes may hold more than there is memory for; a JPEG is decoded smaller
MOST_PIXELS = {"PNG": 1 << 25, "JPEG": 100_000_000}
MOST_NAMED = 20  # skipped files that are named one by one


def load_folder(folder, size):
    """-> images (N, size, size, C) uint8 and labels (N,) int64, or None where there are no sub-folders.

    The pictures lie in the folder itself, or in sub-folders, each of which is a label: 0, 1, … in the order of their
    names. They come sorted by label and name. Each is cut to the square in its middle and resized; what is transparent
    becomes white. C is 1 where every picture is grey, else 3. A file that is no whole PNG or JPEG, or has more than
    MOST_PIXELS of its format, is named on stderr and left out. Hidden files do not count.

    Raises InputError where no size is given or no picture is left.
    """
    folder = Path(folder)
    if size is None:
        raise InputError(
            f"{folder} is a folder of pictures, which are brought to one size: pass --image-size, such as 28 or 32."
        )
    paths, classes = _listed(folder)
    images, kept, skipped = np.empty((len(paths), size, size, 3), np.uint8), [], []
    show = sys.stderr.isatty() and len(paths) > 500
    for i, path in enumerate(tqdm(paths, desc="reading pictures", unit="", disable=not show, leave=False)):
        try:
            if classes and path.parent == folder:
                raise _Unreadable("lies beside the sub-folders, which are the labels")
            images[len(kept)] = _read(path, size)
            kept.append(i)
        except _Unreadable as error:
            skipped.append(f"skipped {path}: {error}")
    for line in skipped[:MOST_NAMED]:
        print(line, file=sys.stderr)
    if len(skipped) > MOST_NAMED:
        print(f"skipped {len(skipped) - MOST_NAMED} more files", file=sys.stderr)
    if not kept:
        raise InputError(f"there is no PNG or JPEG picture in {folder} that can be read; name a folder with some.")
    images = images[: len(kept)]
    if np.array_equal(images[..., 0], images[..., 1]) and np.array_equal(images[..., 0], images[..., 2]):
        images = images[..., :1].copy()
    if not classes:
        return images, None
    used = [paths[i].relative_to(folder).parts[0] for i in kept]
    return images, np.unique(used, return_inverse=True)[1].astype(np.int64)


class _Unreadable(Exception):
    """Why a file is skipped."""


def _listed(folder):
    """The files in the order in which they count, and whether there are sub-folders."""

    def visible(path):
        return not any(part.startswith(".") for part in path.relative_to(folder).parts)

    inside = sorted(path for path in folder.rglob("*") if visible(path))
    return [path for path in inside if path.is_file()], any(path.is_dir() for path in inside)


def _read(path, size):
    """The picture in `path`: (size, size, 3) uint8."""
    from PIL import Image, ImageOps

    try:
        # warnings: what is odd in a file that can be read; of too many pixels, where the limit is ours
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            most = MOST_PIXELS["PNG" if image.format == "PNG" else "JPEG"]  # a JPEG may be called MPO
            if image.width * image.height > most:
                raise _Unreadable(f"{image.width} x {image.height} pixels, expected at most {most:,}")
            image.draft(None, (2 * size, 2 * size))  # a JPEG is decoded no larger than is of use
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16 bits
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if "A" in image.mode or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            side = min(image.size)
            left, top = ((length - side) // 2 for length in image.size)
            square = image.convert("RGB").crop((left, top, left + side, top + side))  # nothing beside it plays a part
            return np.asarray(square.resize((size, size), Image.Resampling.BICUBIC))
    except Image.DecompressionBombError:
        raise _Unreadable("far too many pixels") from None
    except _Unreadable:
        raise
    except Exception as error:  # a decoder raises anything at all in a damaged file
        raise _Unreadable(f"no picture that can be read ({brief(error)})") from None
