"""The files of a class, from folders and zips alike: read once, before anything of them runs, and written nowhere."""

import ast
import io
import json
import os
import re
import zipfile
from dataclasses import dataclass
from stat import S_ISLNK

from minigan.base.errors import shorten

CODE = (".py.txt", ".py", ".ipynb")  # .py.txt: what an editor makes of .py where Windows hides the ending
ARCHIVES = (".zip", ".rar", ".7z", ".tar", ".tgz", ".gz", ".bz2", ".xz")
LARGEST = 1 << 20  # bytes of code in a file
NOTEBOOK = 1 << 24  # bytes of a notebook with its pictures
ZIP = 1 << 29  # bytes that the code in a zip may unpack to
INNER_ZIP = 1 << 25  # the same of a zip within a zip
DEEPEST = 30  # folders within folders


@dataclass
class File:
    """parts: the names of the folders and zips that it is in, and its own; "" as the last stands for a folder itself.
    source: its code, None where it holds none. problem: why it cannot be read, where it cannot."""

    parts: tuple[str, ...]
    source: bytes | None = None
    problem: str = ""


class Unreadable(Exception):
    """Why a file cannot be read, in some words."""


def on_disk(folder, parts=()):
    """Yield every `File` below a folder, in the order of names. Links are followed at the top only, where they are the
    teacher's. OSError where the top itself cannot be listed."""
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if not parts:
            raise
        yield File((*parts, ""), problem=f"cannot be opened: {error.strerror}")
        return
    for entry in found:
        here = (*parts, entry.name)
        folder = entry.is_dir(follow_symlinks=False) or (not parts and os.path.isdir(entry.path))
        if _hidden(entry.name, folder):
            continue
        if folder:
            yield File((*here, ""), problem="lies in too many folders" if len(here) > DEEPEST else "")
            if len(here) <= DEEPEST:
                yield from on_disk(entry.path, here)
        elif not entry.is_file(follow_symlinks=False):
            yield File(here, problem="is a link" if entry.is_symlink() else "is no regular file")
        else:
            yield from one_file(entry.path, here)


def one_file(path, parts):
    """Yield the `File` at a path, or those within it if it is a zip."""
    try:
        with open(path, "rb") as file:
            yield from _read(parts, file, os.fstat(file.fileno()).st_size, ZIP)
    except OSError as error:
        yield File(parts, problem=f"cannot be read: {error.strerror}")


def _hidden(name, folder):
    """What no student means to hand in: the system's own, and the tests that came with the exercises."""
    return name.startswith((".", "_") if folder else ".") or name == "test_exercises.py"


def _read(parts, file, size, room):
    """room: bytes that a zip may unpack to, 0 where none may be here."""
    name = parts[-1].lower()
    try:
        if name.endswith(".zip"):
            if not room:
                raise Unreadable("is a zip in a zip in a zip: unpack it")
            yield from _unzip(parts, file, room)
        elif name.endswith(ARCHIVES):
            raise Unreadable("is an archive, but no zip: unpack it")
        elif name.endswith(CODE):
            yield File(parts, _code(name, file, size))
        else:
            yield File(parts)
    except Unreadable as why:
        yield File(parts, problem=str(why))


def _code(name, file, size):
    notebook = name.endswith(".ipynb")
    if size <= (NOTEBOOK if notebook else LARGEST):
        data = file.read(size)
        source = notebook_source(data) if notebook else data
        if len(source) <= LARGEST:
            return source
    raise Unreadable(f"is too large, with {size} bytes")


def _unzip(parts, file, room):
    """Yield what a zip holds. What is unpacked stays in memory, so that no name in it can lead anywhere; the sizes are
    those that the zip states, beyond which zipfile reads nothing."""
    try:
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except Exception as error:  # a damaged zip fails in whichever way
        raise Unreadable(f"is no zip that can be read: {shorten(error)}") from None
    inner = INNER_ZIP if room == ZIP else 0
    for member in members:
        names = [name for name in member.filename.replace("\\", "/").rstrip("/").split("/") if name != "."] or [""]
        here = (*parts, *names)
        hidden = _hidden(names[-1], member.is_dir()) or any(_hidden(name, True) for name in names[:-1])
        if ".." in names or "" in names or len(here) > DEEPEST:
            yield File(here, problem="has a name that leads elsewhere")
        elif member.is_dir() and not hidden:
            yield File((*here, ""))
        elif not hidden:
            try:
                files = list(_member(archive, member, here, room, inner))
            except Exception as error:  # as above, and a password
                files = [File(here, problem=f"cannot be unpacked: {shorten(error)}")]
            room -= sum(len(file.source or b"") for file in files)
            yield from files


def _member(archive, member, parts, room, inner):
    if not parts[-1].lower().endswith((*CODE, ".zip")):
        yield from _read(parts, None, 0, 0)
        return
    if S_ISLNK(member.external_attr >> 16):
        raise Unreadable("it is a link")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack in steps of any size
        raise Unreadable("it is packed in an unusual way")
    inside = parts[-1].lower().endswith(".zip")
    if room < 0 or (inside and member.file_size > INNER_ZIP):
        raise Unreadable("there is more in the zip than anyone writes")
    with archive.open(member) as file:
        if inside and inner:
            file = io.BytesIO(file.read())  # or to look about in it would unpack it again and again
        yield from _read(parts, file, member.file_size, inner)


def notebook_source(data):
    """The code cells of a notebook as one Python source, magics and shell commands turned into `pass`."""
    try:
        notebook = json.loads(data.decode("utf-8-sig"))
        sheets = notebook.get("worksheets") or [notebook]  # before version 4 of the format
        cells = [cell for sheet in sheets for cell in sheet["cells"] if cell["cell_type"] == "code"]
        texts = [cell["source"] if "source" in cell else cell["input"] for cell in cells]
        texts = [text if isinstance(text, str) else "".join(text) for text in texts]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unreadable("is no notebook that can be read") from None
    return "\n\n".join(map(_without_magics, texts)).encode("utf-8", "replace")


def _without_magics(text):
    if text.lstrip().startswith("%%"):
        magic, _, text = text.lstrip().partition("\n")
        if not re.match(r"%%(time|timeit|capture|prun|writefile|file)\b", magic):
            return ""  # another language
    try:
        ast.parse(text)  # a line may well begin with % within a longer expression
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        magic = r"^([ \t]*)(%\w|!|\?|\w+ *= *[%!]|[\w.]+\?+ *$).*"
        text = re.sub(magic, r"\1pass", text, flags=re.MULTILINE)
    return text
