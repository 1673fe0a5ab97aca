"""Processes of our own that another one starts."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds the package


def environment(**extra):
    """The environment of a child process that finds this very package, wherever it is started, and writes UTF-8."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8:backslashreplace", **extra}
