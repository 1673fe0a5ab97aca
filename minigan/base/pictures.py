"""Picture files as arrays."""

import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from minigan.base.errors import InputError, shorten
from minigan.base.files import atomic_write

# that are read: of the others of Pillow some call another program (EPS: Ghostscript), none is a picture from the web
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP")
MOST_PIXELS = 1 << 24  # of a picture that is read: a file of a few kilobytes may claim more than there is memory for
MODES = {1: "L", 3: "RGB"}
SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N")


@contextmanager
def opened(path, most=lambda image: MOST_PIXELS):
    """`with opened(path) as image:` the file's header read, as a Pillow image; of several pictures in it the first.

    Raises InputError, a part of a sentence, for what is no picture of one of FORMATS, or one of more pixels than
    most(image), also where that shows only inside the block.
    """
    from PIL import Image

    try:
        # warnings: what is odd in a file that can be read; of too many pixels, where the limit is ours
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > most(image):
                raise InputError(f"has {image.width} x {image.height} pixels, expected at most {most(image):,}")
            yield image
    except (InputError, FileNotFoundError):
        raise
    except Image.DecompressionBombError:
        raise InputError("has far too many pixels") from None
    except Exception as error:  # a decoder raises anything at all in a damaged file
        raise InputError(f"cannot be read as a picture ({shorten(error)})") from None


def plain(image):
    """The opened picture with 8 bits a number, turned as its camera noted, what is transparent shown on white."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in SIXTEEN_BITS:
        return Image.fromarray(((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InputError("holds numbers of 32 bits, expected a picture of 8 or 16; convert it first")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def read(path, channels):
    """The picture in `path` as (H, W, C) uint8, C 1 (grey) or 3 (red, green, blue), see `opened` and `plain`.

    InputError for what cannot be read.
    """
    try:
        with opened(path) as image:
            pixels = np.asarray(plain(image).convert(MODES[channels]))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}; name a picture, such as a PNG or a JPEG.") from None
    except InputError as error:
        raise InputError(f"{path} {error}; name a PNG or a JPEG.") from None
    return pixels.reshape(*pixels.shape[:2], channels)


def check_format(path):
    """InputError where the ending of `path` names no format that pictures can be written in."""
    from PIL import Image

    Image.init()
    if Image.EXTENSION.get(Path(path).suffix.lower()) not in Image.SAVE:
        raise InputError(f"{path} does not end like a picture; end it in .png, say.")


def write(path, picture):
    """Write a picture (H, W, C) uint8, C 1 or 3, whole or not at all, in the format that the ending of `path` names."""
    from PIL import Image

    check_format(path)
    with atomic_write(path) as temporary:
        Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture).save(temporary)
