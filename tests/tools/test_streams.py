"""Text on its way out: what is printed never fails for want of a sign, and files are UTF-8 on every system."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from training_runs import SMALL, begin, contents, resume

from minigan.base import files, streams
from minigan.classroom import solutions
from minigan.classroom.catalogue import find
from minigan.classroom.grading import grade_file
from minigan.gan.run import Run

ROOT = Path(streams.__file__).parents[2]
ALL = r"""
import sys
from minigan import __main__ as front
from minigan.audio import __main__ as audio
from minigan.tools import cli, seeds
def call(*words):
    try:
        front.main(list(words))
    except SystemExit as stop:
        print("status", stop.code)
for name in front.COMMANDS:
    call(name, "--help")
call()
call("\u00e9\u2192")
call("train", "--list")
call("train", "--preset", "\u00e9\u2192\u4e2d\udcff")
call("sample", "\u0393\u03ba\u03b1\u03bd")
with cli.progress_bar(1, "\u03c3 \u2192", quiet=False) as watch:
    watch(1, {"Fr\u00e9chet": 1.0})
print(seeds.table({"GAN": dict.fromkeys(audio.COLUMNS, 1.0)}, audio.COLUMNS))
"""


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1252"])
def test_every_help_a_list_a_table_and_errors_can_be_printed(tmp_path, encoding):
    """All in one process for each, because each costs the imports."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C", "PYTHONUTF8": "0"}
    environment |= {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", ALL], cwd=tmp_path, env=environment, capture_output=True)
    out, err = done.stdout.decode(encoding), done.stderr.decode(encoding)
    assert done.returncode == 0, err
    assert out.count("\nstatus 0") == out.count("usage: ") == 15  # each command's help; --list; the list of commands
    assert out.count("\nstatus 2") == 3
    assert "Traceback" not in err
    assert "\\" not in out  # all that the program says itself is readable
    lost = {"ascii": ("7->14->28", "Frechet", "e->"), "cp437": ("7->14->28", "Fréchet", "é->")}
    for word in lost.get(encoding, ("7->14->28", "Fréchet", "é->")):
        assert word in out + err
    assert "\\u4e2d\\udcff'" in err


def texts():
    """The texts of the library that are no docstrings, each with its place."""
    for path in sorted((ROOT / "minigan").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                yield f"{path.name}:{node.lineno}", node.value


def test_every_sign_that_the_library_uses_has_a_form_in_ascii():
    streams.settle()
    wrong = {place for place, text in texts() if b"\\" in re.sub(r"[\\\ufeff]", "", text).encode("ascii", "minigan")}
    assert not wrong, "add their signs to SIGNS of minigan/base/streams.py"
    assert "σ² ≥ ½·√x̂, Φ → naïve".encode("ascii", "minigan") == b"sigma2 >= 1/2*sqrtx, Phi -> naive"


def test_a_students_output_is_not_what_fails(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    text = f"{solutions.source('dense')}\nprint('∂ → 中')\n"
    verdict = grade_file(text.encode(), "dense.py", find("dense"))
    assert (verdict.status, verdict.printed) == ("passed", "∂ → 中\n")


def test_a_name_that_is_no_text_can_be_written(tmp_path):
    files.write_text(tmp_path / "a.csv", "Zoë \udcff\n")
    assert (tmp_path / "a.csv").read_bytes() == "Zoë \\udcff\n".encode()


@pytest.mark.usefixtures("quick")
def test_files_that_other_programs_gave_a_mark_are_read(tmp_path):
    """Excel and Notepad write one before UTF-8."""
    begin(tmp_path / "run", *SMALL, "--steps", "20")
    shutil.copytree(tmp_path / "run", tmp_path / "marked")
    for name in ("log.csv", "config.json"):
        path = tmp_path / "marked" / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert Run(tmp_path / "marked").read_log() == Run(tmp_path / "run").read_log()
    for name in ("run", "marked"):
        resume(tmp_path / name, "--steps", "30")
    assert contents(tmp_path / "marked")["log"] == contents(tmp_path / "run")["log"]
