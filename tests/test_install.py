"""What `pip install .` makes of the project: its packages, their data, the packages it needs, and its one command."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import minigan
from minigan import __main__ as front
from minigan import datasets
from minigan.base.errors import InputError

ROOT = Path(minigan.__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]
TOOLS = {"pytest", "jupyter", "ruff"}  # of the class, the notebooks and the checks
DATA = "minigan.data"


def test_only_what_the_library_runs_on_is_installed_with_it():
    """requirements.txt is the whole set-up; the two name the same versions."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    tools = [line for line in wanted if re.match(r"[\w-]+", line)[0] in TOOLS]
    assert len(tools) == len(TOOLS)
    assert sorted(PROJECT["project"]["dependencies"]) == sorted(set(wanted) - set(tools))


def test_every_package_is_installed():
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "minigan").rglob("*.py")}
    assert sorted(SETUPTOOLS["packages"]) == sorted({*folders, DATA})


def test_the_digits_and_the_judge_are_installed_too(tmp_path):
    """The package as it lies once installed, its data inside, without the clone."""
    assert SETUPTOOLS["package-dir"] == {DATA: "data"}
    (tmp_path / "site" / "minigan").mkdir(parents=True)
    for path in (ROOT / "minigan").iterdir():
        (tmp_path / "site" / "minigan" / path.name).symlink_to(path)
    places = tmp_path / "site" / "minigan" / "datasets"
    places.unlink()
    places.mkdir()
    for path in (ROOT / "minigan" / "datasets").glob("*.py"):
        (places / path.name).write_bytes(path.read_bytes())  # a link would lead back to the clone
    for pattern in SETUPTOOLS["package-data"][DATA]:
        for path in (ROOT / "data").glob(pattern):
            target = tmp_path / "site" / "minigan" / "data" / path.relative_to(ROOT / "data")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(path)
    (tmp_path / "empty").mkdir()
    code = "from minigan import datasets as d; from minigan.metrics import judge as classifier; "
    code += "print(d.__file__, d.DATA_DIR, len(d.load('mnist')[0]),"
    code += " len(d.load('mnist', 'test')[0]), classifier.SHIPPED.exists())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "empty", env=environment, capture_output=True, encoding="utf-8"
    )
    inside = tmp_path / "site" / "minigan"
    assert done.stdout == f"{inside / 'datasets' / '__init__.py'} {inside / 'data'} 60000 10000 True\n", done.stderr


def test_a_missing_file_of_an_installed_package(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.locations, "PACKAGE", tmp_path)
    monkeypatch.setattr(datasets.locations, "DATA_DIR", tmp_path / "data")
    with pytest.raises(InputError, match="install minigan again"):
        datasets.load("mnist")


def test_the_command(monkeypatch, capsys):
    """`minigan` is `python -m minigan`: called without arguments, it takes those of the process."""
    module, _, name = PROJECT["project"]["scripts"]["minigan"].partition(":")
    assert getattr(sys.modules[module], name) is front.main
    monkeypatch.setattr(sys, "argv", ["minigan", "datasets", "ring", "--quiet"])
    with pytest.raises(SystemExit) as stop:
        front.main()
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("ring train: 50000 samples")


def test_a_user_without_a_home(tmp_path, monkeypatch, capsys):
    """Neither HOME nor an entry among the users, as in a container with another user's number."""
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("MINIGAN_DATA", raising=False)
    monkeypatch.setattr(datasets.locations.tempfile, "tempdir", str(tmp_path))
    assert datasets.locations.cache("cifar10") == tmp_path / ".cache" / "minigan" / "cifar10"
    with pytest.raises(SystemExit):
        front.main(["datasets"])
    assert f"into {tmp_path}" in capsys.readouterr().out
