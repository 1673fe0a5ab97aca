"""Signals, closed terminals, readers that have gone: training saves and ends, other commands end, without traceback."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm
from training_runs import EVERY, TOY, around_step, assert_same, begin, contents, resume

from minigan import sample, train
from minigan.base import checkpoint, files
from minigan.datasets import __main__ as datasets_command
from minigan.gan import trainer
from minigan.gan.run import load_gan
from minigan.tools import cli

ROOT = Path(train.__file__).parents[1]
FLAGS = [*TOY, *EVERY, "--steps", "25"]
UNENDING = ["--preset", "toy", "--batch-size", "16", "--steps", "1000000", "--checkpoint-every", "1000000"]
UNENDING += ["--sample-every", "100000", "--threads", "1"]

needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="the system has no SIGHUP")
pytestmark = pytest.mark.usefixtures("quick")


def send(*numbers):
    def now():
        for number in numbers:
            signal.raise_signal(number)

    return now


def to_command(command, run, *words):
    """-> exit status of a command run in this process."""
    with pytest.raises(SystemExit) as stop:
        cli.main(command, run, [str(word) for word in words])
    return stop.value.code or 0


def left_over(folder):
    return [path.name for path in folder.rglob(".*")]


# ---- signals


@needs_signals
@pytest.mark.parametrize(("names", "status"), [(["SIGTERM"], 143), (["SIGHUP"], 129), (["SIGHUP", "SIGHUP"], 129)])
def test_a_signal_saves_and_ends(tmp_path, never_stopped, capsys, names, status):
    run = tmp_path / "run"
    with around_step(9, before=send(*[getattr(signal, name) for name in names])):
        assert to_command("train", train.run, "--out", run, "--quiet", *FLAGS) == status
    assert "stopped and saved at step 9; resume with: " in capsys.readouterr().out
    assert load_gan(run)[0].step == 9
    assert resume(run) == 0
    assert_same(contents(run), never_stopped)


@needs_signals
def test_a_closed_terminal_does_not_end_what_nohup_began(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with around_step(9, before=send(signal.SIGHUP)):
            assert to_command("train", train.run, "--out", tmp_path / "run", "--quiet", *FLAGS) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_twice_ends_at_once_with_what_was_saved(tmp_path, never_stopped, capsys):
    run = tmp_path / "run"
    with around_step(12, before=send(signal.SIGINT, signal.SIGINT)):
        assert to_command("train", train.run, "--out", run, "--quiet", *FLAGS) == 130
    assert capsys.readouterr().err == "python -m minigan.train: interrupted; what was saved before is still there.\n"
    assert load_gan(run)[0].step == 8
    assert resume(run) == 0
    assert_same(contents(run), never_stopped)


def test_ctrl_c_while_a_checkpoint_is_written(tmp_path, never_stopped, monkeypatch, capsys):
    """Once: it is written to its end. Twice: the one before stays, and no half one."""
    run, real = tmp_path / "run", np.savez

    def savez(path, **arrays):
        if ".checkpoint" in Path(path).name and arrays["step"] == 16:
            Path(path).write_bytes(b"half")
            send(*numbers)()
        return real(path, **arrays)

    monkeypatch.setattr(np, "savez", savez)
    numbers = [signal.SIGINT, signal.SIGINT]
    assert to_command("train", train.run, "--out", run, "--quiet", *FLAGS) == 130
    assert load_gan(run)[0].step == 8
    assert left_over(run) == []
    numbers = [signal.SIGINT]
    assert to_command("train", train.run, "--resume", run, "--quiet") == 130
    assert load_gan(run)[0].step == 16
    assert resume(run) == 0
    assert_same(contents(run), never_stopped)


def test_ctrl_c_while_the_last_checkpoint_is_written_loses_nothing(tmp_path, never_stopped, monkeypatch):
    run, save, done = tmp_path / "run", checkpoint.save, []

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGTERM)
        save(*arguments)
        done.append(True)

    monkeypatch.setattr(checkpoint, "save", interrupted)
    assert to_command("train", train.run, "--out", run, "--quiet", *FLAGS, "--checkpoint-every", "100") == 0
    assert done
    assert_same(contents(run), never_stopped, but=["files", "about"])  # which tell how often it was saved


@needs_signals
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_other_commands_with_one_sentence_and_no_half_file(tmp_path, monkeypatch, capsys, name):
    number = getattr(signal, name)
    begin(tmp_path / "run", "--preset", "toy", "--steps", "1")
    original = files.os.fsync

    def fsync(*arguments):  # in the middle of writing the samples
        signal.raise_signal(number)
        original(*arguments)

    monkeypatch.setattr(files.os, "fsync", fsync)
    capsys.readouterr()
    words = [tmp_path / "run", "--n", "3", "--out", tmp_path / "x.npy"]
    assert to_command("sample", sample.run, *words) == 128 + number
    assert capsys.readouterr().err == "python -m minigan.sample: interrupted; what was saved before is still there.\n"
    assert not (tmp_path / "x.npy").exists()
    assert left_over(tmp_path) == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as it was


# ---- nobody reads


class Gone:
    """sys.stdout as a pipe whose reader has gone, or a full disk."""

    def __init__(self, place):
        if place == "pipe":
            reader, writer = os.pipe()
            os.close(reader)
            self.file = open(writer, "w")  # noqa: SIM115
        else:
            self.file = open(place, "w")  # noqa: SIM115

    def __enter__(self):
        return self.file

    def __exit__(self, *error):
        self.file.close()  # raises if what could not be written is still in it


@pytest.mark.parametrize(
    ("command", "run", "words"),
    [
        ("train", train.run, ["--list"]),
        ("train", train.run, ["--help"]),
        ("datasets", datasets_command.run, []),
    ],
)
@pytest.mark.parametrize("place", ["pipe", "/dev/full"])
def test_output_that_nobody_takes_is_no_traceback(monkeypatch, capsys, place, command, run, words):
    if place != "pipe" and not Path(place).exists():
        pytest.skip("the system has no /dev/full")
    with Gone(place) as gone, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", gone)
        assert to_command(command, run, *words) == (141 if place == "pipe" else 1)
    err = capsys.readouterr().err
    assert err == "" if place == "pipe" else re.fullmatch(rf"python -m minigan\.{command}: No space left.*\n", err)


def start(*words, **pipes):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, **pipes)


@pytest.mark.parametrize("words", [["-m", "minigan.datasets"], ["-m", "minigan", "--help"]])
def test_a_pipe_that_is_closed_at_once(words):
    with start(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 141


@needs_signals
def test_a_terminal_that_is_closed_before_the_signal_comes(monkeypatch):
    import pty

    terminal, slave = pty.openpty()

    def run(argv):
        os.close(terminal)
        print("nobody reads this", flush=True)

    with open(slave, "w") as gone, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", gone)
        assert to_command("datasets", run) == 129


@needs_signals
@pytest.mark.parametrize("number", [0, 143])
def test_a_pipe_that_is_closed_is_no_news_of_how_it_went(monkeypatch, number):
    """What it would have ended with is told; success that nobody could read of is none."""

    def run(argv):
        print("stopped and saved at step 9")
        return number

    with Gone("pipe") as gone, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", gone)
        assert to_command("train", run) == (number or 141)


@pytest.mark.skipif(not hasattr(signal, "SIGPIPE"), reason="the system has no SIGPIPE")
@pytest.mark.parametrize(("shown", "status", "step"), [(True, 141, 9), (False, 0, 25)])
def test_training_whose_progress_nobody_reads_any_more(tmp_path, never_stopped, monkeypatch, shown, status, step):
    """python -m minigan.train 2>&1 | head -1: it stops where it notices, and saves; at the latest when the bar ends."""
    run, (reader, writer) = tmp_path / "run", os.pipe()
    monkeypatch.setattr(trainer, "tqdm", lambda **how: tqdm(**{**how, "mininterval": 0 if shown else 1e9}))
    with open(writer, "w") as pipe, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", pipe)
        with around_step(9, before=lambda: os.close(reader)):
            assert to_command("train", train.run, "--out", run, *FLAGS) == status
        assert load_gan(run)[0].step == step
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, pipe.fileno())  # or closing it would raise what is left to be written
        os.close(null)
    if step < 25:
        assert resume(run) == 0
    assert_same(contents(run), never_stopped)


BROKEN_BAR = """
import sys, time
from tqdm import tqdm
tqdm.monitor_interval = 0.1
bar = tqdm(total=2, mininterval=0)
print("begun", flush=True)
sys.stdin.readline()
try:
    bar.update()
except BrokenPipeError:
    bar.disable = True
    time.sleep(1)
    sys.exit(3)
"""


def test_a_bar_that_nobody_reads_does_not_keep_the_program_from_ending():
    """tqdm's thread then waits for the bar's lock, and up to tqdm 4.68 the end of Python for that thread."""
    with start("-c", BROKEN_BAR, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"begun\n"
            process.stderr.close()
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.wait(timeout=30) == 3
        finally:
            process.kill()


@needs_signals
def test_training_whose_terminal_is_closed_saves_and_ends(tmp_path):
    import pty

    run = tmp_path / "run"
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "minigan.train", *UNENDING, "--out", str(run)])
    try:
        deadline = time.monotonic() + 120
        log = run / "log.csv"
        while not log.exists() or len(log.read_text().splitlines()) < 3:
            assert time.monotonic() < deadline
            os.set_blocking(terminal, False)
            try:
                os.read(terminal, 10_000)
            except BlockingIOError:
                time.sleep(0.02)
        os.close(terminal)  # the system sends SIGHUP, and every write fails from here on
        while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert os.waitstatus_to_exitcode(ended[1]) in (129, -signal.SIGHUP)  # the same to a shell
    finally:
        if not ended[0]:
            os.kill(pid, signal.SIGKILL)
    gan, arrays, _ = load_gan(run)
    assert gan.step >= 20
    assert int(arrays["batches.drawn"]) == 16 * gan.step
    assert left_over(run) == []
