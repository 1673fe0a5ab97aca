"""Files that are written whole or not at all."""

import json
import os
import re
from contextlib import contextmanager, suppress
from pathlib import Path

from minigan.errors import RunError

LEFT_OVER = re.compile(r"\..+\.\d+\.part(\.\w+)?")  # the temporary names of `written_whole`


@contextmanager
def written_whole(path):
    """`with written_whole(path) as temporary:` — write to `temporary`, and it becomes `path` when the block succeeds.

    The old file stays until the new one is complete and on the disk; if anything fails the old one is untouched and
    nothing is left behind. The temporary name keeps the ending of `path`.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _settle(path.parent)


def _settle(folder):
    """Put the folder's list of names on the disk too, where the system can: else a power cut may bring the old file
    back."""
    if hasattr(os, "O_DIRECTORY"):
        with suppress(OSError):  # some file systems refuse; the new file itself is safe
            number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(number)
            finally:
                os.close(number)


def clear(folder):
    """Remove what `written_whole` left in `folder` where its process was killed in the middle."""
    for path in Path(folder).glob(".*.part*"):
        if LEFT_OVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Write a value as a JSON file, whole or not at all. RunError for NaN or infinity, of which JSON knows neither."""
    try:
        text = json.dumps(value, indent=2, allow_nan=False)
    except ValueError:
        raise RunError(f"a figure for {path} is not a finite number; nothing was written.") from None
    write_text(path, text + "\n")
