"""The cache of compiled kernels: it may be unwritable, shared by two processes at once, or older than the kernels."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "minigan"
SOURCE = """
import numpy as np
from minigan.kernels import pointwise
print(pointwise.leaky_relu_forward(np.array([-4.0, 3.0]), 0.25)[0].tolist())
"""
EXPECTED = "[-1.0, 3.0]"


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


def test_where_nothing_can_be_cached_it_still_computes(copied):
    (copied / "file").write_text("no folder")
    assert result(start(copied, copied / "file" / "cache", HOME=str(copied / "file"))) == EXPECTED


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
    (kernels / "part.py").write_text("from minigan.kernels.jit import kernel\n@kernel\ndef part(): return 7\n")
    assert result(start(copied, copied / "cache", source)) == "7"
