"""All pairs of presets, data, ways of conditioning and settings of the game, see combinations.py; and the command."""

import functools
import re

import combinations
import numpy as np
import pytest
from combinations import AXES, CLASSES, covering, every_pair, fault, pairs, play, samples_of, settings_of
from PIL import Image

from minigan import sample, train
from minigan.gan import GAN
from minigan.gan.run import Run
from minigan.kernels.parallel import threads
from minigan.models import PRESETS
from minigan.tools import cli

rows = functools.cache(covering)
plain = {"preset": "mlp", "data": "grey 28", "conditioning": "no condition"}
every_preset = pytest.mark.parametrize("preset", PRESETS)


@pytest.fixture(autouse=True)
def one_thread():
    with threads.threads(1):
        yield


def test_every_pair_is_in_a_game_or_refused():
    possible, refused = every_pair()
    met = set().union(*map(pairs, rows()))
    assert {frozenset(choices.items()) for choices in possible} <= met
    assert not {frozenset(choices.items()) for choices in refused} & met
    assert all(row.keys() == AXES.keys() for row in rows())


# 160 games of a few steps with networks of full size, 20 s: combinations are what nobody tries by hand
@every_preset
def test_what_goes_together_trains_and_samples(preset):
    faults = [(fault(row), row) for row in rows() if row["preset"] == preset]
    assert faults
    assert [found for found in faults if found[0]] == []


@functools.cache
def trains(items):
    return play(dict(items), settings_of(dict(items))) is None


@every_preset
def test_a_refusal_names_what_was_asked_for_and_what_can_be_used_instead(preset):
    """No preset but the one asked for is named, unless it does with the same other choices."""
    refused = [{**plain, **choices} for choices in every_pair()[1]]
    for choices in [choices for choices in refused if choices["preset"] == preset]:
        assert fault(choices) is None
        sentence = play(choices, settings_of(choices))
        others = set(re.findall(r"[\w-]+", sentence)) & PRESETS.keys() - {preset}
        assert others or re.search(r"; use --|; set |expected at least", sentence), sentence
        for other in others:
            assert trains(tuple({**choices, "preset": other}.items())), (sentence, other)


def test_a_fault_is_seen(monkeypatch):
    assert fault({**plain, "loss": "hinge", "label_smoothing": 0.1}) is None
    monkeypatch.setattr(combinations, "reasons", lambda choices, settings: ["what nobody says"])
    assert fault(plain) == "was trained, expected 'what nobody says'"
    assert fault({**plain, "data": "points", "preset": "wgan"}).startswith("refused: 'preset wgan: samples of shape")
    monkeypatch.undo()
    monkeypatch.setattr(GAN, "make", lambda self, z, conditions: np.full((len(z), 28, 28, 1), np.nan, np.float32))
    assert "samples are not finite" in fault(plain)
    monkeypatch.setattr(GAN, "g_step", lambda self, *rest: {})
    assert "it stayed" in fault(plain)


# ---- the command


def own(data, path):
    images, labels = samples_of(data)
    np.savez(path, images=np.concatenate([images] * 2), labels=np.concatenate([labels] * 2))
    return ["--dataset", str(path)]


def ended(capsys, *argv):
    """-> the exit status of `train`, and what it says on stderr."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main("train", train.run, [*argv, "--batch-size", "4", "--quiet"])
    return stop.value.code or 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "flags"),
    [
        ("16 x 24", "--preset cogan --condition labels"),
        ("16 x 24", "--preset lapgan --condition clusters --clusters 2 --conditioning concatenation"),
        ("16 x 24", "--preset wavegan --clusters 1 --conditioning auxiliary"),
        ("one pixel", "--preset mlp --condition labels --r1 1"),
        ("30 x 30", "--preset listing --gradient-penalty 10"),
    ],
)
def test_the_command_trains_what_goes_together(data, flags, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert ended(capsys, *own(data, "few.npz"), *flags.split(), "--steps", "3", "--out", "run") == (0, "")
    assert sample.run(["run", "--n", str(CLASSES), "--out", "drawn.npy"]) == 0
    drawn = np.load("drawn.npy")
    assert drawn.shape == (CLASSES, *samples_of(data)[0].shape[1:])
    assert abs(drawn).max() <= 1
    with Image.open(Run("run").sample_path(3)) as picture:
        assert min(picture.size) > 1


@pytest.mark.parametrize(
    ("data", "flags", "sentence"),
    [
        ("30 x 30", "--preset wgan", "preset wgan: 30 x 30 pixels do not divide by 4; the presets mlp and listing "),
        (None, "--preset lapgan --dataset ring", "preset lapgan: samples of shape (2,) do not fit, expected pictures"),
        ("16 x 24", "--preset densenet --r1 1", "r1 does not go with the preset densenet, but with wgan-gp, mlp and "),
        ("16 x 24", "--preset lapgan --latent-dim 2", "preset lapgan: latent_dim is 2, expected at least 3"),
        (
            "16 x 24",
            "--preset listing-fixed --loss hinge",
            "label_smoothing goes with the loss non_saturating, not with ",
        ),
    ],
)
def test_the_command_refuses_the_rest_before_anything_is_written(data, flags, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    status, said = ended(capsys, *(own(data, "few.npz") if data else []), *flags.split(), "--steps", "3")
    assert (status, said.count("\n")) == (2, 1)
    assert said.startswith(f"python -m minigan.train: {sentence}")
    assert not (tmp_path / "runs").exists()


def test_feature_matching_says_where_g_follows_no_condition(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = [*own("16 x 24", "few.npz"), "--preset", "cogan", "--condition", "labels", "--steps", "1"]
    matching = [*flags, "--feature-matching", "1"]
    assert ended(capsys, *matching, "--conditioning", "concatenation") == (0, "")
    status, said = ended(capsys, *matching)
    assert (status, said.count("\n")) == (0, 1)
    assert said.startswith("note: with feature_matching G follows no condition unless --conditioning concatenation")
