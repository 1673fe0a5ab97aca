"""Files that are written whole or not at all."""

import itertools
import json
import math
import os
import re
import stat
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from minigan.base.errors import InputError, RunError

NOT_FINITE = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}  # as strings, for JSON has no such numbers
LEFT_OVER = re.compile(r"\..+\.\d+\.part(\.\w+)?")  # the temporary names of `atomic_write`


@contextmanager
def atomic_write(path):
    """`with atomic_write(path) as temporary:` — write to `temporary`, and it becomes `path` when the block succeeds.

    The old file stays until the new one is complete and on the disk; if anything fails the old one is untouched and
    nothing is left behind. The temporary name keeps the ending of `path`.
    RunError where the old file may not be replaced, as on Windows while another program has it open.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem[:40]}.{os.getpid()}.part{path.suffix}")  # no longer than systems allow
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        try:
            os.replace(temporary, path)
        except PermissionError as error:
            raise RunError(
                f"{path} is open in another program or protected ({error.strerror}) and stays as it was; close it "
                "there, or choose another place with --out."
            ) from None
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
    """Remove what `atomic_write` left in `folder` where its process was killed in the middle."""
    for path in Path(folder).glob(".*.part*"):
        if LEFT_OVER.fullmatch(path.name):
            path.unlink(missing_ok=True)


def write_text(path, text):
    """Write a text file whole or not at all, in UTF-8 whatever the system's own encoding; of a name that is no text, as
    Linux has them, the odd bytes as \\udcff."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def private_folder(name):
    """The folder `name`-USER in the temporary directory, made if need be, of which nobody but this user can read or
    write anything. None where that cannot be had: it is somebody else's, open to others, or a link to elsewhere."""
    if not hasattr(os, "geteuid"):  # Windows, where everybody has a temporary directory of their own
        return None
    try:
        folder = Path(tempfile.gettempdir(), f"{name}-{os.geteuid()}")
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        about = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid() and not about.st_mode & 0o077
    return folder if private else None


def write_json(path, value):
    """Write a value as a JSON file, whole or not at all. A number that is not finite, such as the PSNR of an exact
    reconstruction, becomes the string "Infinity", "-Infinity" or "NaN"; `read_json` makes it a number again."""
    write_text(path, json.dumps(_each(value, _as_word), indent=2, allow_nan=False) + "\n")


def read_json(path):
    """What `write_json` wrote."""
    text = Path(path).read_text(encoding="utf-8")
    return _each(json.loads(text), lambda item: NOT_FINITE.get(item, item) if isinstance(item, str) else item)


def _each(value, change):
    """The value with change(item) in the place of each item in its dicts and lists."""
    if isinstance(value, dict):
        return {key: _each(item, change) for key, item in value.items()}
    return [_each(item, change) for item in value] if isinstance(value, list | tuple) else change(value)


def _as_word(item):
    if not isinstance(item, float) or math.isfinite(item):
        return item
    return "NaN" if math.isnan(item) else "Infinity" if item > 0 else "-Infinity"


# ---- the folder of what a command leaves


def check_free(folder):
    """InputError unless `folder` is not there, or a folder without files, for nothing in it shall be overwritten."""
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, expected a folder for the files; choose another --out.")
    if any(path.is_file() and not LEFT_OVER.fullmatch(path.name) for path in folder.rglob("*")):
        raise InputError(f"{folder} holds files, which could be overwritten; choose another --out or leave it out.")


def new_folder(folder, default):
    """Make the folder for what a command leaves: `folder`, or where that is None `default`, numbered if that is taken.

    -> its path. Raises InputError where `folder` holds files already.
    """
    if folder is not None:
        check_free(folder)
        Path(folder).mkdir(parents=True, exist_ok=True)
        return Path(folder)
    for number in itertools.count(1):
        made = Path(default if number == 1 else f"{default}-{number}")
        with suppress(FileExistsError):
            made.mkdir(parents=True)
            return made


def save_array(path, array):
    """Write a .npy file whole or not at all."""
    with atomic_write(path) as temporary:
        np.save(temporary, array)
