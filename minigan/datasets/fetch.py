"""Download a file: checked against its published checksum, continued where an earlier attempt broke off."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request

from tqdm import tqdm

from minigan.base.errors import RunError

TIMEOUT = 30  # seconds without a byte
CHUNK = 1 << 16


def fetch(download, folder, quiet=False):
    """Put `download` into `folder`, whole or not at all; returns its path.

    What has come lies in <file>.part, and the next call asks the server for the rest of it. Only what has the published
    size and md5 gets the file's name. Raises RunError, saying in a few words why there is no file.
    """
    path = folder / download.file
    part = path.with_name(path.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not part.exists() or part.stat().st_size < download.size:
            _receive(download, part, quiet)
        got = part.stat().st_size
        if got < download.size and not _is_page(part):
            raise RunError(f"broke off after {got} of {download.size} bytes, which are kept")
        digest = _md5(part) if got == download.size else None
        if digest != download.md5:
            page = "the server sent a web page instead" if _is_page(part) else f"its md5 is {digest}"
            part.unlink()
            raise RunError(f"{page}, expected {download.size} bytes of md5 {download.md5}")
        os.replace(part, path)
    except urllib.error.HTTPError as error:
        raise RunError(f"the server answered {error.code} {error.reason}") from None
    except (OSError, http.client.HTTPException) as error:  # a URLError is an OSError, and so is a full disk
        reason = getattr(error, "reason", error)
        raise RunError(getattr(reason, "strerror", None) or str(reason) or type(reason).__name__) from None
    return path


def _receive(download, part, quiet):
    """Append to `part` what the server has of the file beyond it, or all of it where the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(download.address, headers={"User-Agent": "minigan"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if answer.status == 206 and not goes_on:
            part.unlink()
            raise RunError("the server sent another part of the file than asked for; the next attempt begins anew")
        have = have if goes_on else 0
        length = answer.headers.get("Content-Length", "")
        if length.isdigit() and have + int(length) != download.size:  # before it replaces a part that is good
            raise RunError(f"the server sends {have + int(length)} bytes, expected {download.size}: not this file")
        bar = tqdm(
            total=download.size, initial=have, desc=download.file, unit="B", unit_scale=True, disable=quiet, leave=False
        )
        with open(part, "ab" if goes_on else "wb") as file, bar:
            # one byte more than there should be is enough to see that it is another file
            while chunk := answer.read(min(CHUNK, download.size + 1 - have)):
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
            file.flush()
            os.fsync(file.fileno())


def _is_page(path):
    with open(path, "rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")


def _md5(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
