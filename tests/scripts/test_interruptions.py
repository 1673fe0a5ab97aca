"""Training killed at random moments goes on as if it had not been: interruptions.py with few kills, and with bugs."""

import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from minigan import datasets
from minigan.base import checkpoint
from minigan.gan.run import Run
from minigan.kernels.parallel import threads

if not hasattr(os, "fork"):
    pytest.skip("needs fork", allow_module_level=True)

import interruptions


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    with threads.threads(1):
        yield folder, *interruptions.prepare(folder)


def copy(prepared, tmp_path, *names):
    _, never, durations = prepared
    return tmp_path, {name: never[name] for name in names}, durations


def test_a_few_kills(prepared, tmp_path):
    place = copy(prepared, tmp_path, *interruptions.RUNS)
    assert interruptions.interrupt(*place, 5, np.random.default_rng(0)).startswith("5 kills in ")


def forget_the_order(patch):
    patch.setattr(datasets.BatchIterator, "restore", lambda self, state: None)


def save_too_rarely(patch):
    original = Run.save
    patch.setattr(Run, "save", lambda run, gan, *rest: gan.step % 3 or original(run, gan, *rest))


def write_in_place(patch):
    """The new checkpoint is copied over the old one, which a kill may meet half done."""

    @contextmanager
    def written(path):
        temporary = Path(path).with_name(f".checkpoint.{os.getpid()}.part.npz")
        yield temporary
        whole = temporary.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        time.sleep(0.03)
        path.write_bytes(whole)
        temporary.unlink()

    patch.setattr(checkpoint, "atomic_write", written)


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (forget_the_order, "arrays|about|log|files"),
        (save_too_rarely, "steps lost, with a checkpoint every 7"),
        (write_in_place, "is damaged or no checkpoint"),
    ],
)
def test_what_is_lost_is_noticed(prepared, tmp_path, monkeypatch, plant, expected):
    plant(monkeypatch)
    place = copy(prepared, tmp_path, "pictures")
    with pytest.raises(Exception, match=expected):
        interruptions.interrupt(*place, 40, np.random.default_rng(0))


def double_a_row(run):
    lines = (run / "log.csv").read_text().splitlines(keepends=True)
    (run / "log.csv").write_text("".join([*lines[:2], *lines[1:]]))


def lose_a_row(run):
    lines = (run / "log.csv").read_text().splitlines(keepends=True)
    (run / "log.csv").write_text("".join([*lines[:2], *lines[3:]]))


def halve(name):
    def damage(run):
        path = run / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return damage


def leave_something(run):
    (run / ".checkpoint.1.part.npz").touch()


@pytest.mark.parametrize(
    "damage",
    [
        double_a_row,
        lose_a_row,
        halve("samples/step_0000025.png"),
        halve("training.gif"),
        halve("losses.png"),
        leave_something,
    ],
)
def test_a_run_that_is_not_whole_is_noticed(prepared, tmp_path, damage):
    folder, never, _ = prepared
    run = shutil.copytree(folder / "never-pictures", tmp_path / "run")
    interruptions.check_complete(run, never["pictures"])
    assert interruptions.check_after_kill(run, 60, 56) == (60, 0)
    damage(run)
    with pytest.raises((AssertionError, OSError)):
        interruptions.check_complete(run, never["pictures"])
    if damage is not leave_something:
        with pytest.raises((AssertionError, OSError)):
            interruptions.check_after_kill(run, 60, 56)


def test_a_checkpoint_that_is_older_than_before_or_too_old_is_noticed(prepared):
    run = prepared[0] / "never-pictures"
    with pytest.raises(AssertionError, match="the checkpoint of step 61 became one of step 60"):
        interruptions.check_after_kill(run, 62, 61)
    assert interruptions.check_after_kill(run, 67, 56) == (60, 7)
    with pytest.raises(AssertionError, match="8 steps lost"):
        interruptions.check_after_kill(run, 68, 56)
