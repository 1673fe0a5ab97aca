"""The cache of compiled kernels: it may be unwritable, shared by two processes at once, or older than the kernels."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from minigan.base.files import private_folder

PACKAGE = Path(__file__).resolve().parents[2] / "minigan"
SOURCE = """
import numpy as np
from minigan.kernels import pointwise
print(pointwise.leaky_relu_forward(np.array([-4.0, 3.0]), 0.25)[0].tolist())
"""
EXPECTED = "[-1.0, 3.0]"

needs_users = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="the system gives every user a folder of their own")


def start(root, cache, source=SOURCE, **extra):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(root), "NUMBA_CACHE_DIR": str(cache), **extra}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", source], cwd=root, env=environment, **pipes)


def result(process):
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    return out.strip()


@pytest.fixture
def copied(tmp_path):
    """A copy of the package, without what has been compiled."""
    shutil.copytree(PACKAGE, tmp_path / "minigan", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def files(cache):
    return sorted(path.name for path in cache.rglob("*.nb?"))


# ---- an installation that cannot be written in, and no home


@pytest.fixture
def read_only(copied):
    """Files where the folders would be: that stops root too, who may write in every folder. -> environment."""
    (copied / "minigan" / "kernels" / "__pycache__").write_text("no folder")
    (copied / "file").write_text("no folder")
    (copied / "temporary").mkdir()
    places = {"HOME": "file", "XDG_CACHE_HOME": "file", "NUMBA_CACHE_DIR": "", "TMPDIR": "temporary"}
    return {name: str(copied / place) if place else "" for name, place in places.items()}


def starts(copied, environment, source=SOURCE):
    """-> what is said on stderr; the answer is right."""
    process = start(copied, **{"cache": "", "source": source, **environment})
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out.strip()) == (0, EXPECTED), error
    return error


@needs_users
def test_a_private_folder_keeps_what_was_compiled_and_is_named_once(copied, read_only):
    said = starts(copied, read_only)
    private = copied / "temporary" / f"minigan-numba-{os.geteuid()}"
    assert said == (
        f"minigan compiles its kernels into {private}, as no other place is writable; "
        "NUMBA_CACHE_DIR can name a better one.\n"
    )
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    compiled = files(private)
    assert compiled
    assert starts(copied, read_only) == ""
    assert files(private) == compiled, "nothing is compiled anew"


@needs_users
def test_without_a_trusted_folder_it_computes_all_the_same(copied, read_only):
    """Others may write there, so what lies there is not run. And no folder "~" is made for a user without a home."""
    private = copied / "temporary" / f"minigan-numba-{os.geteuid()}"
    private.mkdir()
    private.chmod(0o770)
    del read_only["HOME"], read_only["XDG_CACHE_HOME"]
    source = f"import os\nos.path.expanduser = lambda path: path\n{SOURCE}"
    said = starts(copied, {**read_only, "source": source})
    assert said == (
        "minigan compiles its kernels anew at every start (some 15 s); NUMBA_CACHE_DIR can name a better one.\n"
    )
    assert not list(private.iterdir())
    assert not (copied / "~").exists()


@needs_users
def test_only_a_folder_of_ones_own_is_private(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = private_folder("x")
    assert (folder.parent, stat.S_IMODE(folder.stat().st_mode)) == (tmp_path, 0o700)
    assert private_folder("x") == folder
    for mode in (0o750, 0o701, 0o777):
        folder.chmod(mode)
        assert private_folder("x") is None
    folder.chmod(0o700)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert private_folder("x") is None
    folder.unlink()
    folder.write_text("a file")
    assert private_folder("x") is None
    own = os.geteuid()
    (tmp_path / f"x-{own + 1}").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)  # somebody to whom this folder does not belong
    assert private_folder("x") is None
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    assert private_folder("x") is None


# ---- a cache


def test_two_processes_that_compile_at_once(copied):
    both = [start(copied, copied / "cache") for _ in range(2)]
    assert [result(process) for process in both] == [EXPECTED] * 2
    assert files(copied / "cache")
    assert result(start(copied, copied / "cache")) == EXPECTED


def test_an_edited_kernel_is_compiled_anew(copied):
    assert result(start(copied, copied / "cache")) == EXPECTED
    compiled = files(copied / "cache")
    assert result(start(copied, copied / "cache")) == EXPECTED
    assert files(copied / "cache") == compiled, "nothing was edited, so nothing is compiled"
    source = copied / "minigan" / "kernels" / "pointwise.py"
    old = "below = slope * x[i]"
    assert source.read_text().count(old) == 1
    source.write_text(source.read_text().replace(old, "below = 2 * slope * x[i]"))
    assert result(start(copied, copied / "cache")) == "[-2.0, 3.0]"


def test_an_edited_part_of_another_files_kernel_is_compiled_anew(copied):
    """Numba itself looks at the file of the kernel that is called, and would go on with the old part."""
    kernels = copied / "minigan" / "kernels"
    (kernels / "part.py").write_text("from minigan.kernels.jit import kernel\n@kernel\ndef part(): return 0\n")
    (kernels / "whole.py").write_text(
        "from minigan.kernels.jit import kernel\nfrom minigan.kernels.part import part\n"
        "@kernel\ndef whole(): return part()\n"
    )
    source = "from minigan.kernels.whole import whole\nprint(whole())"
    assert result(start(copied, copied / "cache", source)) == "0"
    # longer, for Python's own cache looks at the whole second and the size
    (kernels / "part.py").write_text("from minigan.kernels.jit import kernel\n@kernel\ndef part(): return 7  # now\n")
    assert result(start(copied, copied / "cache", source)) == "7"
