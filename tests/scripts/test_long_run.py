"""The watch over a long training, in seconds: a healthy one passes, a leak is found, noise does not pass for health."""

import sys
from pathlib import Path

import numpy as np
import pytest

if not Path("/proc/self/statm").exists():
    pytest.skip("needs Linux's /proc", allow_module_level=True)

import long_run

FLAGS = ["--preset", "toy", "--steps", "1000000000", "--quiet", "--threads", "1", "--sample-every", "1000000"]
LEAK = """
import os, sys
import numpy as np
from minigan import train
from minigan.tools import cli
from minigan.gan import GAN

original, kept = GAN.train_step, []

def train_step(gan, *batch):
    kept.append(np.ones(20_000))
    if gan.step % 20 == 0:
        kept.append(open(os.devnull))
    return original(gan, *batch)

GAN.train_step = train_step
cli.main("train", train.run, sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("start", "expected"), [(["-m", "minigan.train"], "constant"), (["-c", LEAK], "grows")], ids=["healthy", "leak"]
)
def test_a_leak_of_memory_and_files_is_found(tmp_path, start, expected):
    run = tmp_path / "run"
    observed = long_run.watch([sys.executable, *start, *FLAGS, "--out", str(run)], run, 4)
    trends, verdicts = long_run.judge(observed)
    assert (verdicts["memory"], verdicts["files"]) == (expected, expected), long_run.table(trends, verdicts)
    long_run.draw(tmp_path / "x.png", observed, trends, verdicts)
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


def test_a_training_that_ends_is_no_long_run(tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "minigan.train", *FLAGS, "--lr", "-1", "--out", str(run)]
    with pytest.raises(RuntimeError, match=r"(?s)ended by itself, with status 2:.*lr is -1\.0, expected"):
        long_run.watch(command, run, 60)


def verdict(growth, noise, tolerance=0.02, level=100.0, seed=0):
    """On 6,000 samples of a level that grows by so much after the warm-up, in per cent."""
    rng = np.random.default_rng(seed)
    times = np.linspace(0, 1800, 6000)
    values = level + growth * (times - 360) / 1440
    values[times < 360] -= 50 * (1 - times[times < 360] / 360)  # the warm-up, steep
    values += noise * np.repeat(rng.standard_normal(300), 20)  # which wanders: 20 samples share their noise
    values[rng.random(6000) < 0.02] *= 5  # pictures and checkpoints
    return long_run.trend(times, values).verdict(tolerance)


def test_what_stays_what_grows_and_what_cannot_be_told():
    for seed in range(20):
        assert verdict(0, 0.5, seed=seed) == "constant"
        assert verdict(-10, 0.5, seed=seed) == "constant"  # shrinking is no harm
        assert verdict(10, 0.5, seed=seed) == "grows"
        assert verdict(4, 0.5, seed=seed) == "grows"
        assert verdict(0, 100, seed=seed) != "constant"


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        times = np.linspace(0, 100, 1200)
        found = long_run.trend(times, 50 + 0.1 * times + np.repeat(rng.standard_normal(60), 20))
        held += abs(found.growth - 0.1 * (found.times[-1] - found.times[0])) <= found.margin
    assert 0.92 <= held / 400 <= 0.98


def test_too_few_observations_are_refused():
    with pytest.raises(ValueError, match="too few"):
        long_run.trend(np.arange(20), np.ones(20))
