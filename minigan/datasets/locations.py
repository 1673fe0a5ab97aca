"""Where the files of a known data set may lie, and where fetched ones go."""

import os
import tempfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
DATA_DIR = PACKAGE / "data"  # of an installed package
if not DATA_DIR.is_dir():  # of a clone
    DATA_DIR = PACKAGE.parent / "data"
SYSTEM = {"fashion-mnist": (Path("/usr/share/datasets/fashion-mnist"),)}  # of Debian's dataset-fashion-mnist


def cache(name):
    """The folder that fetched files go to: $MINIGAN_DATA/<name>, or ~/.cache/minigan/<name> without that variable (in
    the temporary directory for a user without a home)."""
    if root := os.environ.get("MINIGAN_DATA"):
        return Path(root) / name
    try:
        home = Path.home()
    except RuntimeError:
        home = Path(tempfile.gettempdir())
    return home / ".cache" / "minigan" / name


def folders(name):
    """Where to look for a data set's files, in this order: the project's data/, the cache, the system's own folder."""
    return [DATA_DIR / name, cache(name), *SYSTEM.get(name, ())]


def find(name, *candidates):
    """The first of these relative paths that is there in one of the folders, or None."""
    for folder in folders(name):
        for candidate in candidates:
            if (folder / candidate).exists():
                return folder / candidate
    return None
