"""What trains on digits trains on other pictures: every preset in colour and another size, and the commands in turn."""

import json

import numpy as np
import pytest
from image_to_image_calls import refused
from PIL import Image

from minigan import classify, datasets, evaluate, sample, train
from minigan.base.errors import InputError
from minigan.gan import build_gan, trainer
from minigan.metrics.evaluation import Reference
from minigan.metrics.judge import BODIES, Classifier
from minigan.models import PRESETS

CLASSES = ("blue", "green", "red")


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "toy"])
def test_every_preset_trains_on_colour_pictures(preset):
    overrides = {"clusters": 2} if "condition" in PRESETS[preset].defaults else {}
    gan = build_gan(preset, seed=3, sample_shape=(32, 32, 3), **overrides)
    before = {name: array.copy() for name, array in gan.generator.params.items()}
    rng = np.random.default_rng(4)
    for _ in range(max(2, gan.config.n_critic)):
        real = np.tanh(rng.standard_normal((4, 32, 32, 3), dtype=np.float32))
        metrics = gan.train_step(real, gan.conditions.draw(4, rng))
        assert np.isfinite(list(metrics.values())).all()
    assert any(not np.array_equal(before[name], array) for name, array in gan.generator.params.items())
    samples = gan.sample(3, rng)
    assert (samples.shape, samples.dtype) == ((3, 32, 32, 3), np.float32)
    assert np.isfinite(samples).all()
    for a, b in ((0, 1), (1, 2)):  # three channels of their own, not one repeated
        assert not np.array_equal(samples[..., a], samples[..., b])


@pytest.mark.parametrize("kind", BODIES)
def test_every_classifier_learns_colours(kind):
    images, labels = coloured(96)
    classifier = Classifier((16, 16, 3), 3, kind=kind)
    classifier.fit(images, labels, 10, np.random.default_rng(0), batch_size=16)
    _, probabilities = classifier.predict(coloured(30, seed=1)[0])
    assert (probabilities.argmax(axis=1) == coloured(30, seed=1)[1]).mean() > 0.9


def coloured(n, size=16, seed=0):
    """Noisy pictures of one colour each, and which: 0 blue, 1 green, 2 red, in turn."""
    rng, labels = np.random.default_rng(seed), np.arange(n) % 3
    images = rng.integers(0, 60, (n, size, size, 3), np.uint8)
    images[np.arange(n), :, :, 2 - labels] += np.uint8(180)
    return images, labels.astype(np.int64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """1,200 small pictures under blue/, green/ and red/."""
    root = tmp_path_factory.mktemp("colours")
    for name in CLASSES:
        (root / name).mkdir()
    images, labels = coloured(1200)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        Image.fromarray(image).save(root / CLASSES[label] / f"{i:04}.png")
    return root


def test_from_a_folder_of_pictures_to_a_judgement(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own = ["--dataset", str(folder), "--image-size", "16"]
    assert train.run(["--preset", "cgan", *own, "--steps", "3", "--batch-size", "16", "--out", "run", "--quiet"]) == 0
    assert train.run(["--resume", "run", "--steps", "4", "--quiet"]) == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["image_size"] == 16

    assert sample.run(["run", "--n", "6", "--out", "s.npy"]) == 0
    assert np.load("s.npy").shape == (6, 16, 16, 3)
    assert sample.run(["run", "--n", "6", "--label", "2", "--out", "s.png"]) == 0
    assert Image.open("s.png").mode == "RGB"
    told = refused(capsys, sample, "run", "--label", 3)
    assert "there is no label '3', expected one of blue, green, red" in told

    assert classify.run([*own, "--epochs", "1", "--out", "judge", "--quiet"]) == 0
    assert (
        json.loads((tmp_path / "judge" / "metrics.json").read_text())["runs"][0]["metrics"]["plain"]["accuracy"] > 0.9
    )
    told = refused(capsys, evaluate, "run", "--n", 100)
    assert (
        f"train a judge with `python -m minigan.classify --dataset {folder} --image-size 16` and pass --judge" in told
    )
    wrong = refused(capsys, evaluate, "run", "--n", 100, "--judge", datasets.DATA_DIR / "classifier.npz")
    assert "knows pictures of (28, 28, 1), these are (16, 16, 3); train a judge with" in wrong
    too_many = refused(capsys, evaluate, "run", "--n", 500, "--judge", "judge/classifier.npz")
    assert "1080 training and 120 test pictures, too few to judge 500; ask for fewer with --n" in too_many
    assert evaluate.run(["run", "--n", "100", "--judge", "judge/classifier.npz"]) == 0
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert report["real"]["conditional_accuracy"] > 0.9
    assert len(report["samples"]["class_shares"]) == 3


def test_a_folder_without_labels(folder, tmp_path, capsys):
    own = ["--dataset", str(folder / "red"), "--image-size", "16", "--steps", "2", "--quiet"]
    told = refused(capsys, train, *own, "--condition", "labels")
    assert "has no labels; use --condition clusters or none" in told
    run = tmp_path / "run"
    assert train.run([*own, "--preset", "mlp", "--batch-size", "8", "--out", str(run)]) == 0
    assert "has no labels" in refused(capsys, classify, *own[:4], "--out", tmp_path / "c")
    judge = Classifier((16, 16, 3), 3)
    judge.save(tmp_path / "judge.npz", {})
    told = ["--n", "100", "--judge", str(tmp_path / "judge.npz")]
    assert "40 test pictures, too few to judge 100" in refused(capsys, evaluate, run, *told)


def test_one_picture_is_enough_to_train_on(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "EARLY", 1)
    Image.fromarray(coloured(1, 16)[0][0]).save(tmp_path / "only.png")
    words = ["--preset", "mlp", "--dataset", str(tmp_path), "--image-size", "16", "--batch-size", "2", "--steps", "2"]
    assert train.run([*words, "--quiet", "--out", str(tmp_path / "run")]) == 0


def test_figures_without_labels_leave_out_what_needs_them():
    images, _ = coloured(300)
    judge = Classifier((16, 16, 3), 3)
    reference = Reference(images, images[::-1], None, judge, 150, np.random.default_rng(0))
    assert "accuracy_score" not in reference.real_metrics()
    assert "coverage" in reference.real_metrics()


def test_samples_of_other_data_are_not_judged_by_the_judge_of_digits(tmp_path):
    """28 x 28 grey pictures that are no digits fit it, so nothing but the name can tell."""
    path = tmp_path / "grey.npz"
    np.savez(path, images=coloured(200, 28)[0][..., 0], labels=coloured(200)[1])
    run = tmp_path / "run"
    assert train.run(["--preset", "mlp", "--dataset", str(path), "--steps", "2", "--quiet", "--out", str(run)]) == 0
    with pytest.raises(InputError, match=r"knows mnist only, not .*grey.npz; train a judge with `python -m minigan"):
        evaluate.run([str(run), "--n", "100"])
    with pytest.raises(InputError, match="evaluate_every goes with the data set mnist"):
        train.run(["--preset", "mlp", "--dataset", str(path), "--evaluate-every", "1", "--out", str(tmp_path / "b")])
