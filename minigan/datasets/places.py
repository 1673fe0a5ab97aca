"""Where the files of a known data set may lie, and where fetched ones go."""

import os
from pathlib import Path

DATA_DIR = Path(__file__).resolve().parents[2] / "data"
SYSTEM = {"fashion-mnist": (Path("/usr/share/datasets/fashion-mnist"),)}  # of Debian's dataset-fashion-mnist


def cache(name):
    """The folder that fetched files go to: $MINIGAN_DATA/<name>, or ~/.cache/minigan/<name> without that variable."""
    root = os.environ.get("MINIGAN_DATA")
    return (Path(root) if root else Path.home() / ".cache" / "minigan") / name


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
