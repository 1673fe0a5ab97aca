"""What README.md says runs, and the documents link to what is there."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from minigan.__main__ import COMMANDS
from minigan.kernels.parallel import threads
from minigan.models import PRESETS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [
    ROOT / name
    for name in (
        "README.md",
        "data/README.md",
        "data/RESULTS.md",
        "tests/README.md",
        "notebooks/README.md",
        ".github/CONTRIBUTING.md",
    )
]


def test_it_is_short():
    assert len(README.splitlines()) <= 150


def without_errors(lines):
    """Another processor rounds otherwise."""
    return [re.sub(r"\d\.\de-1\d", "small", line.strip()) for line in lines]


def test_its_python_runs_and_prints_what_stands_there(monkeypatch, tmp_path):
    """One after the other in one scope, as somebody would type them."""
    monkeypatch.chdir(tmp_path)
    blocks, scope, printed = re.findall(r"```python\n(.*?)```", README, re.DOTALL), {}, []
    with threads.threads(1):
        for block in blocks:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block, "README.md", "exec"), scope)
            printed.append([line.rstrip() for line in out.getvalue().splitlines() if line.strip()])
    assert len(blocks) == 3
    assert set(without_errors(printed[0])) <= set(without_errors(README.splitlines())), "of the gradient check"
    assert scope["fake"].shape == (128, 2)
    assert (tmp_path / "runs" / "points" / "checkpoint.npz").is_file()
    assert printed[2][-1].startswith("(16, 2) {'d_loss': ")


def test_each_command_and_each_preset_has_its_row():
    table = {name: README[README.index(f"\n## {name}") :].split("\n## ")[1] for name in ("Commands", "Presets")}
    rows = {name: re.findall(r"^\| `(\w[\w-]*)", text, re.MULTILINE) for name, text in table.items()}
    assert sorted(rows["Commands"]) == sorted(COMMANDS)
    assert sorted(rows["Presets"]) == sorted(PRESETS)


def anchors(path):
    """The headings of a document as GitHub links to them."""
    titles = re.findall(r"^#+ (.*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        if not link.startswith("https://"):
            file, _, anchor = link.partition("#")
            target = path.parent / file if file else path
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_are_there(path):
    """Those with a folder before them; NAME, RUN and … stand for something else."""
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r"(?<![\w/.~$-])((?:minigan|tests|notebooks|data)/[\w/.*-]*\w)", text):
        if "NAME" not in name and "*" not in name:
            assert (ROOT / name).exists(), name
