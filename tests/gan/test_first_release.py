"""Files of the first release load for ever: a run of the preset toy as it wrote it, and the classifier in data/.

The checkpoint in first_release/ was written by version 0.1.0, format 1, after four steps; so that it packs small, its
weights and the optimizers' memories had been replaced by patterns before it was saved: see `pattern`.
"""

import gzip
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from minigan import sample, train
from minigan.gan.run import load_gan
from minigan.kernels.parallel import threads
from minigan.metrics import judge

RELEASED = Path(__file__).with_name("first_release")
RNG_STATE = 3419826370252647692354946244921502841


def pattern(place, key, shape):
    numbers = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    if ".optimizer." in key:
        return ((1 + (numbers + place) % 5) / 4096).astype(np.float32)
    return (((7 * numbers + place) % 13 - 6) / 64).astype(np.float32)


@pytest.fixture
def run(tmp_path):
    shutil.copytree(RELEASED, tmp_path / "run")
    packed = tmp_path / "run" / "checkpoint.npz.gz"
    (tmp_path / "run" / "checkpoint.npz").write_bytes(gzip.decompress(packed.read_bytes()))
    with threads.threads(1):
        yield tmp_path / "run"


def test_everything_that_was_saved_comes_back(run):
    gan, arrays, progress = load_gan(run)
    for place, (key, array) in enumerate(gan._arrays()):
        np.testing.assert_array_equal(array, pattern(place, key, array.shape), key)
    assert (gan.step, gan.g_optimizer.steps, gan.d_optimizer.steps) == (4, 4, 4)
    assert (gan.config.preset, gan.config.batch_size, gan.config.ema_decay) == ("toy", 25000, 0.9)
    assert (int(arrays["batches.n"]), int(arrays["batches.drawn"])) == (50000, 100000)
    assert progress == {"seconds": 4.734827129999758, "mean_d_fake": 0.500335922337954, "variety": None}
    assert gan.rng.bit_generator.state["state"]["state"] == RNG_STATE


def test_the_run_is_resumed_and_drawn_from(run):
    assert train.run(["--resume", str(run), "--steps", "6", "--quiet"]) == 0
    assert load_gan(run)[0].step == 6
    assert [line.split(",")[0] for line in (run / "log.csv").read_text().splitlines()] == ["step", "4", "6"]
    assert sample.run([str(run), "--n", "5", "--out", str(run / "x.npy")]) == 0
    assert np.load(run / "x.npy").shape == (5, 2)


def test_the_classifier_that_every_figure_names_is_as_it_was():
    content = judge.SHIPPED.read_bytes()
    assert hashlib.md5(content).hexdigest() == "c3cf89143e246fd29529361b88eeddb2"
    assert judge.shipped_judge().name == "63adc5c396ed"
