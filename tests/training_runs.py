"""For the tests of runs: how they are begun, interrupted, resumed and compared."""

import csv
import io
import os
import signal
from contextlib import contextmanager

import pytest

from minigan import train
from minigan.base import checkpoint
from minigan.gan import GAN
from minigan.tools import plotting

# Everything that has a memory: batches that straddle two epochs (step 17), steps of D alone, noise, an averaged G; and
# conditions, which a resumed run works out anew.
TOY = ["--preset", "toy", "--batch-size", "3000", "--n-critic", "2", "--instance-noise", "0.1", "--ema-decay", "0.9"]
TOY += ["--condition", "labels", "--clusters", "2"]
EVERY = ["--checkpoint-every", "8", "--sample-every", "6"]
SMALL = ["--preset", "toy", "--batch-size", "16", "--sample-every", "100000"]


@contextmanager
def samples_for_pictures():
    """The numbers instead of pictures of them: they tell more and cost nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotting, "save_samples", lambda path, samples, *rest: path.write_bytes(samples.tobytes()))
        patch.setattr(plotting, "save_losses", lambda path, log: None)
        patch.setattr(plotting, "save_gif", lambda path, paths: path.write_text(" ".join(p.name for p in paths)))
        yield


def begin(out, *flags):
    return train.run(["--out", str(out), "--quiet", *flags])


def resume(out, *flags):
    return train.run(["--resume", str(out), "--quiet", *flags])


@contextmanager
def around_step(step, before=None, after=None):
    """Call before() or after(gan, metrics) in the middle of the loop, at the given step."""
    original = GAN.train_step

    def train_step(self, *batch):
        now = self.step + 1 == step
        if now and before:
            before()
        metrics = original(self, *batch)
        if now and after:
            after(self, metrics)
        return metrics

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GAN, "train_step", train_step)
        yield


def interrupt(number=signal.SIGINT):
    return lambda: os.kill(os.getpid(), number)


class PowerCut(Exception):
    pass


def cut_power():
    raise PowerCut


def log_rows(folder):
    text = (folder / "log.csv").read_text()
    assert text.endswith("\n")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert all(None not in row and None not in row.values() for row in rows)  # no half line, none too long
    return rows


def contents(folder):
    """All that a run leaves, but how long it took."""
    arrays, about = checkpoint.load(folder / "checkpoint.npz")
    about["progress"].pop("seconds")
    return {
        "arrays": {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in arrays.items()},
        "about": about,
        "log": [{name: value for name, value in row.items() if name != "seconds"} for row in log_rows(folder)],
        "files": {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file() and path.name not in ("checkpoint.npz", "log.csv", "losses.png")
        },
    }


def assert_same(got, expected, but=()):
    for part in [part for part in expected if part not in but]:
        if isinstance(expected[part], dict):
            assert got[part].keys() == expected[part].keys(), part
            assert [key for key in got[part] if got[part][key] != expected[part][key]] == [], part
        assert got[part] == expected[part], part
