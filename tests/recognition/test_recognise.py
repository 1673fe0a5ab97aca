"""Recognition: its data, that it learns, and its command."""

import json
import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from image_to_image_calls import call, contents, refused

from minigan import datasets, recognise
from minigan.base.errors import InputError, RunError
from minigan.gan import build_gan
from minigan.gan.run import Run
from minigan.layers import Dense
from minigan.optim import SGD
from minigan.recognition import augment, common, domain, probe, semi, textures

pytestmark = pytest.mark.usefixtures("narrow_recognition")


def follow(title, steps):
    return nullcontext(lambda step, accuracies: None)


# ---- data


def test_textures_and_what_is_put_on_them():
    rng = np.random.default_rng(1)
    backgrounds = textures.textures(200, 12, 16, rng)
    assert (backgrounds.shape, backgrounds.dtype) == ((200, 12, 16, 3), np.uint8)
    assert not np.array_equal(backgrounds, textures.textures(200, 12, 16, rng))
    assert 60 < backgrounds.mean() < 200
    assert (np.ptp(backgrounds.reshape(200, -1, 3), axis=1).max(axis=1) > 20).mean() > 0.8, "they have structure"
    steps = np.abs(np.diff(backgrounds.astype(int), axis=2)).mean(axis=(1, 2, 3))
    spread = backgrounds.reshape(200, -1).std(axis=1)
    assert np.median(steps) < np.median(spread), "neighbours are alike: no noise pixel by pixel"
    images = np.random.default_rng(2).integers(0, 256, (200, 12, 16, 1)).astype(np.uint8)
    blended = textures.on_textures(images, np.random.default_rng(1))
    np.testing.assert_array_equal(
        blended, abs(textures.textures(200, 12, 16, np.random.default_rng(1)) - images.astype(int))
    )


def test_labels_are_drawn_class_by_class():
    labels = np.repeat([0, 1, 2], [50, 7, 20])
    chosen = common.balanced(labels, 20, np.random.default_rng(1))
    assert len(set(chosen)) == 20
    assert sorted(np.bincount(labels[chosen])) == [6, 7, 7]
    assert set(chosen) != set(common.balanced(labels, 20, np.random.default_rng(2)))
    with pytest.raises(InputError, match="class 1 has 7 pictures, too few to draw 8"):
        common.balanced(labels, 24, np.random.default_rng(1))


def test_the_learning_rate_falls_and_divergence_is_said():
    optimizer, seen = SGD(Dense(2, 2, rng=np.random.default_rng(1)), lr=0.8), []

    def step(t):
        seen.append((t, round(optimizer.lr, 6)))
        return 0.0

    common.learn("it", 8, [optimizer], step, follow)
    assert seen == [(i / 8, round(0.8 * min(1, 2 - i / 4), 6)) for i in range(8)]
    with pytest.raises(RunError, match="training diverged at step 1: loss is nan; this was it"):
        common.learn("it", 8, [optimizer], lambda t: float("nan"), follow)


# ---- it learns


@pytest.fixture(scope="module")
def digits():
    (images, labels), (test, test_labels) = (datasets.load("mnist", split) for split in datasets.SPLITS)
    return common.Data(images[:3000], labels[:3000], test[:500], test_labels[:500], datasets.class_names("mnist"))


def test_features_are_the_discriminator_s(digits):
    gan = build_gan("dcgan")
    x = datasets.to_float(digits.test[:5])
    body = probe.features(gan)
    last = gan.discriminator.layers[-1]
    np.testing.assert_allclose(
        last.forward(body.forward(x, training=False)), gan.discriminator.forward(x, training=False), rtol=1e-5
    )
    for preset in ("cgan", "lapgan", "cogan"):
        with pytest.raises(InputError, match=f"the discriminator of the preset {preset} does not judge a picture"):
            probe.features(build_gan(preset))


def test_a_probe_learns_and_leaves_the_body_alone(digits):
    gan = build_gan("dcgan")
    before = {name: array.copy() for name, array in (gan.discriminator.params | gan.discriminator.buffers).items()}
    outcome = probe.run(digits, gan, 60, 0, follow)
    assert list(outcome.accuracies) == ["pixels", "untrained D", "trained D"]
    assert 0.7 < outcome.accuracies["pixels"] < 0.95
    now = gan.discriminator.params | gan.discriminator.buffers
    assert all(np.array_equal(array, now[name]) for name, array in before.items())
    assert outcome.accuracies == probe.run(digits, gan, 60, 0, follow).accuracies


def test_a_domain_that_settled_is_normalised_by_its_own_pictures():
    """After the same batch many times, the running statistics are the batch's, with the unbiased variance."""
    network = domain.DomainAdversarial((8, 4, 3), 3, 1)
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 99, (domain.BATCH_SIZE, 8, 4, 3), dtype=np.uint8)
    x = datasets.to_float(batch)
    wanted = network.features.forward(x)
    scale = np.abs(wanted).max()
    assert np.abs(network.features.forward(x, training=False) - wanted).max() > 0.1 * scale
    domain.settle(network.features, np.tile(batch, (domain.SETTLED // domain.BATCH_SIZE, 1, 1, 1)))
    np.testing.assert_allclose(network.features.forward(x, training=False), wanted, atol=1e-2 * scale)


def test_domain_learns(digits):
    """After few steps: it recognises clean digits, and what is textured breaks it."""
    accuracies = domain.run(digits, None, 60, 0, follow).accuracies
    assert list(accuracies) == [
        f"{name}: {where}"
        for name in ("trained on clean", "adversarial", "trained on textured")
        for where in ("clean", "textured")
    ]
    assert accuracies["trained on clean: clean"] > 0.7
    assert accuracies["trained on clean: textured"] < 0.5


# ---- the command


@pytest.fixture
def few(monkeypatch, tmp_path, digits):
    """An empty folder, few digits to load, and "coloured" pictures of 8 x 12; a run each of short training."""
    monkeypatch.chdir(tmp_path)
    load = datasets.load
    rng = np.random.default_rng(1)

    def some(name, split="train", image_size=None):
        if name == "coloured":
            return rng.integers(0, 256, (1500, 8, 12, 3)).astype(np.uint8), np.arange(1500) % 3
        if name == "bare":
            return rng.integers(0, 256, (50, 8, 8, 1)).astype(np.uint8), None
        parts = {"train": (digits.images, digits.labels), "test": (digits.test, digits.test_labels)}
        return parts[split] if name == "mnist" else load(name, split, image_size)

    names = datasets.class_names
    monkeypatch.setattr(datasets, "load", some)
    monkeypatch.setattr(datasets, "class_names", lambda name, size: list("abc") if name == "coloured" else names(name))
    monkeypatch.setattr(augment, "FEW", 200)
    monkeypatch.setattr(augment, "TIMES", 2)
    monkeypatch.setattr(semi, "LABELS", (20, 40))
    save("runs/digits", build_gan("dcgan", condition="labels"))
    save(
        "colour", build_gan("dcgan", condition="labels", sample_shape=(8, 12, 3), shares=np.ones(3), dataset="coloured")
    )
    save("unconditional", build_gan("dcgan"))


def save(folder, gan):
    batches = datasets.BatchIterator(10, 2, np.random.default_rng(0))
    run = Run.create(folder, "")
    run.save(gan, batches, {})


@pytest.mark.parametrize("dataset", ["mnist", "coloured"])
@pytest.mark.parametrize("experiment", recognise.EXPERIMENTS)
def test_every_experiment_leaves_its_figures_and_pictures(capsys, few, experiment, dataset):
    words = [experiment, "--steps", 2, "--seeds", 2, "--dataset", dataset, "--out", "made", "--quiet"]
    if experiment in recognise.NEED_RUN and dataset == "coloured":
        words += ["--run", "colour"]
    code, out, err = call(capsys, recognise, *words)
    assert (code, err) == (0, "")
    report = json.loads(Path("made/metrics.json").read_text())
    assert (report["experiment"], report["dataset"], report["steps"]) == (experiment, dataset, 2)
    assert [run["seed"] for run in report["runs"]] == [0, 1]
    first, second = (run["metrics"] for run in report["runs"])
    for name, mean in report["mean"].items():
        value, low, high = mean["accuracy"], *sorted(each[name]["accuracy"] for each in (first, second))
        assert value == pytest.approx((low + high) / 2)
        assert f"{value:.2%}" in out
        assert report["deviation"][name]["accuracy"] == pytest.approx((high - low) / 2**0.5)
    pictures = re.search(r"look at (.*); the metrics", out)[1].split(", ")
    assert len(pictures) >= 2
    assert all(Path(path).stat().st_size > 1000 for path in pictures)
    assert {str(path) for path in Path("made").iterdir()} == {*pictures, "made/metrics.json"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "the following arguments are required: EXPERIMENT"),
        (["prob"], "invalid choice: 'prob'"),
        (["semi", "--steps", "0"], "--steps is 0"),
        (["semi", "--seeds", "0"], "--seeds is 0, expected a whole number from 1 to 100"),
        (["domain", "--run", "unconditional"], "--run goes with probe or augment, not with domain"),
        (["semi", "--dataset", "mnits"], 'did you mean "mnist"'),
        (["semi", "--dataset", "ring"], "holds no pictures with labels"),
        (["domain", "--dataset", "bare"], "holds no pictures with labels"),
        (["probe", "--run", "nothing"], "there is no checkpoint nothing"),
        (["probe", "--run", "colour", "--dataset", "mnist"], "the run colour was trained on samples of (8, 12, 3)"),
        (["augment", "--run", "unconditional"], "the generator knows 0 labels, the data set 10"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_use_is_one_sentence(capsys, few, tmp_path, words, expected):
    before = contents(tmp_path)
    assert expected in refused(
        capsys, recognise, *words, *(["--steps", "1"] if "--steps" not in words else []), "--quiet"
    )
    assert contents(tmp_path) == before
