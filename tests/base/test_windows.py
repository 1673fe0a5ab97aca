"""What is different on Windows, tried with stand-ins: the suite was never run there."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from image_to_image_calls import refused
from tqdm import tqdm
from training_runs import SMALL, around_step, begin

from minigan import sample, train
from minigan.base import files
from minigan.base.errors import InputError, RunError
from minigan.gan import trainer
from minigan.gan.run import load_gan
from minigan.gradcheck.__main__ import _split
from minigan.tools import cli

pytestmark = pytest.mark.usefixtures("quick")

# modules and names that Python has not there, taken away before minigan looks for them
WITHOUT = """
import os, signal, sys, threading
import matplotlib.pyplot, numba, numpy, subprocess, tempfile, tqdm
sys.modules["fcntl"] = sys.modules["resource"] = None
for name in ("SIGHUP", "SIGPIPE", "SIGKILL"):
    delattr(signal, name)
for name in ("geteuid", "getuid", "killpg", "sched_getaffinity", "O_DIRECTORY"):
    if hasattr(os, name):
        delattr(os, name)
from minigan import sample, train
from minigan.tools import cli
from minigan.gan import GAN
original = GAN.train_step
def train_step(self, *batch):
    if self.step == 2:
        signal.raise_signal(signal.SIGINT)
    return original(self, *batch)
GAN.train_step = train_step
for command, run, words in (
    ("train", train.run, "--preset toy --steps 9 --quiet --out run"),
    ("train", train.run, "--resume run --quiet"),
    ("sample", sample.run, "run --out x.npy"),
):
    try:
        cli.main(command, run, words.split())
    except SystemExit as stop:
        print("status", stop.code)
print(cli.NO_READER, cli.NO_TERMINAL)
"""


def test_without_the_modules_and_signals_that_windows_lacks(tmp_path):
    """A process of its own, for names are looked for at import."""
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    command = [sys.executable, "-c", WITHOUT]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("status")] == [
        f"status {128 + signal.SIGINT}",
        "status 0",
        "status 0",
    ]
    assert done.stdout.endswith("\n1 1\n")
    assert (tmp_path / "x.npy").exists()


def locked(source, target):
    raise PermissionError(errno.EACCES, "The process cannot access the file", str(source), 32, str(target))


def test_a_file_that_is_open_elsewhere_stays_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "grades.csv").write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "replace", locked)
    with pytest.raises(RunError, match=r"grades\.csv is open in another program .* stays as it was; close it"):
        files.write_text(tmp_path / "grades.csv", "new")
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("grades.csv", "old")]


def test_a_command_says_so_in_one_sentence(tmp_path, monkeypatch, capsys):
    begin(tmp_path / "run", *SMALL, "--steps", "1")
    monkeypatch.setattr(os, "replace", locked)
    err = refused(capsys, sample, tmp_path / "run", "--out", tmp_path / "x.npy", status=1)
    assert "x.npy is open in another program" in err
    assert not list(tmp_path.glob("*x.*"))


@pytest.mark.parametrize("name", ["CON", "nul", r"C:\runs\Aux", "runs/com1.png", "LPT9 .tar.gz"])
def test_names_of_devices_are_refused_before_any_work(monkeypatch, capsys, name):
    monkeypatch.setattr(cli, "WINDOWS", True)
    with pytest.raises(SystemExit) as stop:
        sample.parse(["run", "--out", name])
    assert stop.value.code == 2
    assert "in which Windows sees a device" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["console", r"C:\runs\contra", "runs/com10.png", "null", "x.con"])
def test_names_that_only_look_like_devices_are_taken(monkeypatch, name):
    monkeypatch.setattr(cli, "WINDOWS", True)
    assert sample.parse(["run", "--out", name]).out == name


def test_a_reader_that_has_gone_there(monkeypatch, capsys):
    def run(argv):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(cli, "WINDOWS", True)
    with pytest.raises(SystemExit) as stop:
        cli.main("sample", run, [])
    assert (stop.value.code, *capsys.readouterr()) == (cli.NO_READER, "", "")


class ClosedPipe(io.StringIO):
    """As one is there, once its reader has gone."""

    gone = False

    def write(self, text):
        if self.gone:
            raise OSError(errno.EINVAL, "Invalid argument")
        return super().write(text)


def test_progress_that_nobody_reads_there_ends_training_and_saves(tmp_path, monkeypatch):
    pipe = ClosedPipe()
    monkeypatch.setattr(trainer, "tqdm", lambda **how: tqdm(**{**how, "mininterval": 0}))
    monkeypatch.setattr(sys, "stderr", pipe)
    with around_step(2, before=lambda: setattr(pipe, "gone", True)), pytest.raises(SystemExit):
        cli.main("train", train.run, ["--out", str(tmp_path / "run"), *SMALL, "--steps", "9"])
    assert load_gan(tmp_path / "run")[0].step == 2


def test_the_colon_of_a_drive_is_no_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^C:\\hw\\dense\.py: there is no such file"):
        _split(r"C:\hw\dense.py")
    Path(r"C:\hw\dense.py").write_text("", encoding="utf-8")  # here that is the name of a file
    assert _split(r"C:\hw\dense.py") == (Path(r"C:\hw\dense.py"), "")
    assert _split(r"C:\hw\dense.py:Dense") == (Path(r"C:\hw\dense.py"), "Dense")


def test_a_name_as_long_as_the_system_takes_can_be_written_whole(tmp_path):
    """The temporary name must not be longer than that, however long the name is and whatever its letters are."""
    for name in ("x" * 245 + ".txt", "ж" * 120 + ".txt"):
        files.write_text(tmp_path / name, "text")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        (tmp_path / name).unlink()
