"""The classifier: its loss, that it learns and repeats itself, and its files."""

import re

import numpy as np
import pytest
from samples import rng

from minigan import classify, datasets
from minigan.base import checkpoint, files
from minigan.base.errors import InputError
from minigan.metrics.judge import Classifier, _shifted


def test_a_picture_is_moved_as_a_whole():
    x = np.full((200, 5, 6, 1), -1, np.float32)
    x[:, 2, 3] = 1
    moved = _shifted(x, 2, rng())
    assert moved.shape == x.shape
    assert ((moved == 1).sum(axis=(1, 2, 3)) == 1).all()
    places = {tuple(np.argwhere(picture[..., 0] == 1)[0]) for picture in moved}
    assert places == {(h, w) for h in range(5) for w in range(1, 6)}  # by -2 … 2 both ways, each of them in 200 draws


@pytest.fixture(scope="module")
def few():
    images, labels = datasets.load("mnist")
    return images[:256], labels[:256]


@pytest.fixture(scope="module")
def trained(few):
    classifier, values = Classifier(), []
    classifier.fit(*few, 15, rng(), batch_size=32, watch=lambda step, metrics: values.append(metrics["loss"]))
    return classifier, values


def test_it_learns(few, trained):
    classifier, values = trained
    assert len(values) == 120
    assert np.mean(values[-10:]) < 0.2 * np.mean(values[:5])
    features, probabilities = classifier.predict(few[0])
    assert features.shape == (256, 128)
    assert (probabilities.argmax(axis=1) == few[1]).mean() > 0.97


def test_the_same_seed_gives_the_same_weights(few, trained):
    again = Classifier()
    again.fit(*few, 15, rng(), batch_size=32)
    assert again.name == trained[0].name
    assert Classifier(seed=1).name != Classifier(seed=0).name


def test_pictures_are_judged_one_by_one(few, trained):
    """A picture's features have nothing to do with those judged beside it, nor with uint8 or floats."""
    classifier = trained[0]
    whole, _ = classifier.predict(few[0])
    part, _ = classifier.predict(datasets.to_float(few[0][100:103]))
    np.testing.assert_allclose(part, whole[100:103], rtol=1e-5, atol=1e-6)


def test_weights_survive_a_file(few, trained, tmp_path):
    classifier, path = trained[0], tmp_path / "classifier.npz"
    classifier.save(path, {"seed": 3})
    loaded = Classifier.load(path)
    assert loaded.name == classifier.name
    np.testing.assert_array_equal(loaded.predict(few[0][:20])[1], classifier.predict(few[0][:20])[1])
    foreign = tmp_path / "foreign.npz"
    checkpoint.save(foreign, {"x": np.zeros(3)}, {})
    with pytest.raises(InputError, match="holds no classifier of this version"):
        Classifier.load(foreign)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(InputError, match="damaged"):
        Classifier.load(path)


def test_the_command(tmp_path, monkeypatch, capsys):
    load = datasets.load

    def some(name, split="train", image_size=None):
        images, labels = load(name, split, image_size)
        return images[:200], labels[:200]

    monkeypatch.setattr(datasets, "load", some)
    assert classify.run(["--epochs", "1", "--seeds", "2", "--out", str(tmp_path), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert re.search(r"seed 0, \d+ s:\n.*accuracy\nplain .*%\n", text)
    assert "deviation of 2 seeds:" in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "classifier.npz",
        "confusion.png",
        "mistakes.png",
        "metrics.json",
    }
    judge = Classifier.load(tmp_path / "classifier.npz")
    assert f"classifier.npz is {judge.name}" in text
    # what is written down is what the saved weights do, which are those of as many steps as the epoch has
    report = files.read_json(tmp_path / "metrics.json")
    _, probabilities = judge.predict(some("mnist", "test")[0])
    accuracy = float((probabilities.argmax(axis=1) == some("mnist", "test")[1]).mean())
    assert report["runs"][0]["metrics"] == {"plain": {"accuracy": accuracy}}
    assert classify.run(["--steps", "2", "--out", str(tmp_path / "steps"), "--quiet"]) == 0
    assert files.read_json(tmp_path / "steps" / "metrics.json")["runs"][0]["judge"] == judge.name


@pytest.mark.parametrize("kind", ["resnet", "densenet"])
def test_every_network_learns_and_comes_back_from_its_file(tmp_path, kind):
    images, labels = datasets.load("mnist")
    classifier = Classifier(kind=kind)
    classifier.fit(images[:2000], labels[:2000], 4, np.random.default_rng(0))
    guesses = classifier.predict(images[2000:2500])[1].argmax(axis=1)
    assert (guesses == labels[2000:2500]).mean() > 0.8
    classifier.save(tmp_path / "c.npz", {})
    again = Classifier.load(tmp_path / "c.npz")
    assert (again.kind, again.name) == (kind, classifier.name)
    assert np.array_equal(again.predict(images[:20])[1], classifier.predict(images[:20])[1])
    with pytest.raises(InputError, match="there is no classifier 'vgg'; there are plain, resnet, densenet"):
        Classifier(kind="vgg")
