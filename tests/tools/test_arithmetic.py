"""Sums of digits by their z: what is added up, how it is chosen, what is drawn, and what is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from minigan import datasets, sample, train
from minigan.base.errors import InputError
from minigan.gan import build_gan, latent_space, run
from minigan.metrics.judge import shipped_judge
from minigan.tools import cli


@pytest.fixture(scope="module")
def digits():
    """The first picture of each digit that the judge is sure of, (10, 28, 28, 1) in [-1, 1]."""
    images, labels = datasets.load("mnist", "test")
    _, probabilities = shipped_judge().predict(images[:500])
    sure = [np.flatnonzero((labels[:500] == d) & (probabilities[:, d] > 0.99))[0] for d in range(10)]
    return datasets.to_float(images[sure])


class Drawer:
    """A generator that draws the digit of z's largest entry: z (N, 10)."""

    config, sample_shape = SimpleNamespace(dataset="mnist"), (28, 28, 1)
    conditions = SimpleNamespace(count=0)

    def __init__(self, digits, never=()):
        self.digits, self.never = digits, list(never)

    def draw_z(self, n, rng):
        z = rng.standard_normal((n, 10), dtype=np.float32)
        z[:, self.never] = -9
        return z

    def decode(self, z):
        return self.digits[z.argmax(axis=1)]


@pytest.mark.parametrize(
    ("text", "terms"), [("7-1+2", [(1, 7), (-1, 1), (1, 2)]), (" 0 + 0 ", [(1, 0), (1, 0)]), ("3-9", [(1, 3), (-1, 9)])]
)
def test_terms(text, terms):
    assert latent_space.parse_terms(text) == terms


@pytest.mark.parametrize("text", ["", "7", "7-", "-7+1", "12+3", "7*2", "7 2", "7--2"])
def test_what_is_no_sum(text):
    with pytest.raises(InputError, match="expected digits with"):
        latent_space.parse_terms(text)


def test_the_mean_is_over_the_first_samples_that_show_the_digit(digits):
    codes = latent_space.mean_codes(Drawer(digits), {4, 6}, np.random.default_rng(3), shipped_judge())
    rng = np.random.default_rng(3)
    z = np.concatenate([Drawer(digits).draw_z(latent_space.DRAWN, rng) for _ in range(3)])
    for digit, code in codes.items():
        of_it = z[z.argmax(axis=1) == digit]
        np.testing.assert_allclose(code, of_it[: latent_space.EXAMPLES].mean(axis=0), rtol=1e-6)


def test_samples_that_the_judge_is_not_sure_of_are_left_out(digits):
    """A judge that sees 0, 1, 2, 3, 4, 0, … in a row of samples, and is sure of every second."""
    place = np.arange(latent_space.DRAWN)
    probabilities = np.eye(10)[place % 5] * np.where(place % 2, 0.99, 0.9)[:, None]
    judge = SimpleNamespace(predict=lambda images: (None, probabilities))
    code = latent_space.mean_codes(Drawer(digits), {3}, np.random.default_rng(3), judge)[3]
    z = Drawer(digits).draw_z(latent_space.DRAWN, np.random.default_rng(3))
    np.testing.assert_allclose(code, z[place % 10 == 3][: latent_space.EXAMPLES].mean(axis=0), rtol=1e-6)


def test_a_sum_of_digits_is_what_its_z_says(digits):
    """In z where each digit has an axis of its own, 7 - 7 + 2 is a 2, and so is what lies near it."""
    drawer = Drawer(digits)
    pictures, seen = latent_space.calculate(drawer, [(1, 7), (-1, 7), (1, 2)], np.random.default_rng(0))
    assert [digit for digit, _ in seen] == [7, 7, 2, 2, *[2] * latent_space.NEARBY]
    assert min(sure for _, sure in seen) > 0.99
    np.testing.assert_array_equal(pictures, digits[[digit for digit, _ in seen]])


def test_what_lies_around_is_near_and_not_the_same(digits, monkeypatch):
    drawer, decoded = Drawer(digits), []
    monkeypatch.setattr(drawer, "decode", lambda z: decoded.append(z) or Drawer.decode(drawer, z), raising=False)
    latent_space.calculate(drawer, [(1, 3), (-1, 5)], np.random.default_rng(0))
    first, second, total, *around = decoded[-1]
    np.testing.assert_allclose(total, first - second, rtol=1e-6)
    offsets = np.array(around) - total
    assert 0.9 * latent_space.NOISE < np.abs(offsets).max() <= latent_space.NOISE + 1e-6
    assert len(np.unique(offsets, axis=0)) == latent_space.NEARBY == 8


def test_refusals(digits, monkeypatch):
    monkeypatch.setattr(latent_space, "MOST_DRAWN", 1000)
    with pytest.raises(
        InputError, match="among 1000 samples of this generator the judge is sure of a 6 in 0, expected"
    ):
        latent_space.calculate(Drawer(digits, never=[6]), [(1, 1), (1, 6)], np.random.default_rng(0))
    for settings, expected in (
        ({"preset": "mlp", "condition": "labels"}, "z alone decides on, but this one is conditional on labels"),
        ({"preset": "digits-unconditional"}, "is conditional on clusters"),
        ({"preset": "mlp", "dataset": "fashion"}, "trained on fashion"),
        ({"preset": "mlp", "sample_shape": (8, 8, 1)}, r"with samples of \(8, 8, 1\)"),
    ):
        with pytest.raises(InputError, match=expected):
            latent_space.calculate(build_gan(**settings), [(1, 1), (1, 6)], np.random.default_rng(0))


def test_the_command(digits, tmp_path, monkeypatch, capsys):
    train.run(["--preset", "mlp", "--steps", "1", "--quiet", "--out", str(tmp_path / "run")])
    monkeypatch.setattr(run, "load_gan", lambda source: (Drawer(digits), None, None))
    capsys.readouterr()
    words = [str(tmp_path / "run"), "--arithmetic", "7-7+2"]
    assert sample.run(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line[:18] for line in said[:3]] == ["7: seen as 7, 100%", "- 7: seen as 7, 10", "+ 2: seen as 2, 10"]
    assert said[3] == "= (in the middle): seen as 2, 100%"
    assert said[4] == f"around it: {', '.join('2' * 8)}"
    with Image.open(tmp_path / "run" / "arithmetic.png") as picture:
        assert picture.width == 220 * 4
    sample.run([*words, "--out", str(tmp_path / "x.npy")])
    assert np.load(tmp_path / "x.npy").shape == (12, 28, 28, 1)
    for more in (["--interpolate"], ["--label", "3"], ["--truncation", "1"]):
        with pytest.raises(SystemExit) as stop:
            cli.main("sample", sample.run, [*words, *more])
        assert stop.value.code == 2
        assert f"{more[0]} goes with samples of drawn z, not with --arithmetic" in capsys.readouterr().err
