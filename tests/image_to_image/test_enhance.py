"""Enhancement: gradients of its losses through D, what is planted in them, that it learns, and the command as typed."""

import json
from pathlib import Path

import numpy as np
import pytest
from image_to_image_calls import call, contents, few_steps, refused
from PIL import Image
from samples import draw

from minigan import datasets, enhance, losses
from minigan.base import checkpoint, pictures
from minigan.base.errors import InputError, RunError
from minigan.gradcheck import check_function, check_gradients
from minigan.image_to_image import filters, training
from minigan.image_to_image.enhancement import EnhancementTask, Enhancer
from minigan.image_to_image.training import Pix2PixTrainer
from minigan.kernels.parallel import threads
from minigan.metrics.judge import Classifier, shipped_judge
from minigan.models import enhancer as networks
from minigan.tools import plotting


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Narrow networks, on one core."""
    monkeypatch.setattr(networks, "WIDTH", 6)
    monkeypatch.setattr(networks, "BLOCKS", 2)
    with threads.threads(1):
        yield


# ---- gradients


def test_l1():
    made, truth = draw(3, 4, 2), draw(3, 4, 2, seed=2)
    report = check_function(lambda x: losses.l1(x, truth), made)
    assert report.ok, report
    assert losses.l1(np.array([1.0, -2.0, 3.0, 3.0]), np.array([0.0, 0.0, 3.0, 7.0]))[0] == 7 / 4
    wrong = {
        "sign": lambda x: (losses.l1(x, truth)[0], -losses.l1(x, truth)[1]),
        "1/N missing": lambda x: (losses.l1(x, truth)[0], np.sign(x - truth)),
        "mean over the batch only": lambda x: (losses.l1(x, truth)[0], np.sign(x - truth) / 3),
        "a square's gradient": lambda x: (losses.l1(x, truth)[0], 2 * (x - truth) / x.size),
    }
    for name, function in wrong.items():
        assert not check_function(function, made).ok, name
    for bad in (truth[:2], truth.astype(np.float32), list(truth)):
        with pytest.raises(InputError, match="of one shape and dtype"):
            losses.l1(made, bad)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_enhancer_s_gradients(factor):
    network = networks.enhancer(2, factor, np.random.default_rng(1), np.float64)
    report = check_gradients(network, draw(3, 4, 6, 2), max_entries=12)
    assert report.ok, report
    assert network.forward(draw(1, 4, 6, 2)).shape == (1, 4 * factor, 6 * factor, 2)


def test_the_discriminator_s_gradients():
    report = check_gradients(networks.pair_discriminator(4, np.random.default_rng(1), np.float64), draw(3, 8, 12, 4))
    assert report.ok, report


def game(kind=Pix2PixTrainer, adversarial=0.3):
    made = kind(Enhancer(2, EnhancementTask(2)), adversarial, seed=5)
    made.discriminator.astype(np.float64)
    return made


X, MADE, TRUTH = draw(3, 4, 6, 2), draw(3, 8, 12, 2, seed=2), draw(3, 8, 12, 2, seed=3)


def g_report(kind=Pix2PixTrainer):
    played = game(kind)
    return check_function(lambda made: played.g_loss(X, made, TRUTH)[:2], MADE, max_entries=60)


def d_report(kind=Pix2PixTrainer):
    played = game(kind)

    def loss(first, last):
        played.discriminator.params.update({"0.weight": first, "5.weight": last})
        played.discriminator.zero_grad()
        value = played.d_loss(X, MADE, TRUTH)
        return value, *(played.discriminator.grads[name].copy() for name in ("0.weight", "5.weight"))

    params = played.discriminator.params
    return check_function(loss, params["0.weight"], params["5.weight"], max_entries=40)


def test_the_losses_gradients_through_the_discriminator():
    for report in (g_report(), d_report()):
        assert report.ok, report


class WrongChannels(Pix2PixTrainer):
    """The gradient of D's condition instead of that of what it judges."""

    def g_loss(self, x, made, truth):
        logits = self.discriminator.forward(self.pairs(x, made))
        value, grad = self.loss.generator(logits.reshape(-1, 1))
        pairs = self.discriminator.backward(grad.reshape(logits.shape), need_param_grads=False)
        distance, grad = losses.l1(made, truth)
        return distance + self.adversarial * value, grad + self.adversarial * pairs[..., : self.channels], distance


class WrongWeight(Pix2PixTrainer):
    """a forgotten in the gradient."""

    def g_loss(self, x, made, truth):
        value, _, distance = super().g_loss(x, made, truth)
        self.adversarial, weight = 1, self.adversarial
        _, grad, _ = super().g_loss(x, made, truth)
        self.adversarial = weight
        return value, grad, distance


class WrongLoss(Pix2PixTrainer):
    """The saturating loss's gradient beside the other one's value."""

    def g_loss(self, x, made, truth):
        value, _, distance = super().g_loss(x, made, truth)
        self.loss, own = losses.Minimax(), self.loss
        _, grad, _ = super().g_loss(x, made, truth)
        self.loss = own
        return value, grad, distance


class WrongOrder(Pix2PixTrainer):
    """Real and made-up pairs swapped on the way back."""

    def d_loss(self, x, made, truth):
        logits = self.discriminator.forward(np.concatenate([self.pairs(x, truth), self.pairs(x, made)]))
        value, *grads = self.loss.discriminator(*np.split(logits.reshape(-1, 1), 2))
        self.discriminator.backward(np.concatenate(grads[::-1]).reshape(logits.shape))
        return value


class HalfForgotten(Pix2PixTrainer):
    """The real pairs' gradient alone."""

    def d_loss(self, x, made, truth):
        logits = self.discriminator.forward(np.concatenate([self.pairs(x, truth), self.pairs(x, made)]))
        value, real, fake = self.loss.discriminator(*np.split(logits.reshape(-1, 1), 2))
        self.discriminator.backward(np.concatenate([real, 0 * fake]).reshape(logits.shape))
        return value


@pytest.mark.parametrize("kind", [WrongChannels, WrongWeight, WrongLoss])
def test_planted_in_the_generator_s_loss(kind):
    assert not g_report(kind).ok


@pytest.mark.parametrize("kind", [WrongOrder, HalfForgotten])
def test_planted_in_the_discriminator_s_loss(kind):
    assert not d_report(kind).ok


def test_each_player_moves_itself_only():
    played = Pix2PixTrainer(Enhancer(2, EnhancementTask(2)), 0.3, seed=5)
    x, truth = X.astype(np.float32), TRUTH.astype(np.float32)
    made = played.generator.forward(x)
    played.d_loss(x, made, truth)
    grads = {name: grad.copy() for name, grad in played.discriminator.grads.items()}
    played.g_loss(x, made, truth)
    assert all(np.array_equal(grads[name], grad) for name, grad in played.discriminator.grads.items())
    before = [{k: v.copy() for k, v in n.params.items()} for n in (played.generator, played.discriminator)]
    metrics = played.step(x, truth)
    assert set(metrics) == {"d_loss", "g_loss", "l1"}
    for network, old in zip((played.generator, played.discriminator), before, strict=True):
        assert all((network.params[name] != old[name]).any() for name in old)
    alone = Pix2PixTrainer(Enhancer(2, EnhancementTask(2)), 0, seed=5)
    assert set(alone.step(x, truth)) == {"g_loss", "l1"}


# ---- tasks and learning


def test_tasks():
    images = np.random.default_rng(1).integers(0, 256, (20, 16, 12, 3)).astype(np.uint8)
    rng = np.random.default_rng(2)
    assert EnhancementTask(4).degrade(images, rng).shape == (20, 4, 3, 3)
    assert list(EnhancementTask(2).baselines(images, rng)) == ["nearest", "bicubic"]
    for wrong in ((1, 0.0), (3, 0.0), (2, 0.1), (1, -0.1), (1, 1.5), (1, float("nan"))):
        with pytest.raises(InputError, match=r"expected a (factor of 2 or 4|share)"):
            EnhancementTask(*wrong)
    EnhancementTask(4).check(np.zeros((2, 28, 28, 1), np.uint8))
    for task, shape in (
        (EnhancementTask(4), (2, 30, 28, 1)),
        (EnhancementTask(1, 0.1), (2, 28, 27, 1)),
        (EnhancementTask(2), (2, 8, 8, 1)),
    ):
        with pytest.raises(InputError, match="do not suit"):
            task.check(np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match="points in the plane"):
        EnhancementTask(2).check(np.zeros((5, 2)))


def test_the_filters_are_tuned_to_the_noise(digits):
    """The best of each kind is what the network is compared with."""
    images, rng = digits["train"][0][:100], np.random.default_rng(2)
    little, much = (list(EnhancementTask(1, noise).baselines(images, rng)) for noise in (0.05, 0.5))
    assert little[1] == "median 3x3"
    assert float(little[2].removeprefix("Gaussian σ ")) < float(much[2].removeprefix("Gaussian σ "))


@pytest.mark.parametrize(
    ("task", "filter_name", "gain"), [(EnhancementTask(2), "bicubic", 0.5), (EnhancementTask(1, 0.3), "input", 1.5)]
)
def test_it_learns_and_repeats_itself(digits, monkeypatch, task, filter_name, gain):
    """Soon better on digits it has not seen: more so than bicubic; noise takes longer than a test may."""
    monkeypatch.setattr(networks, "WIDTH", 16)
    images, test, seen, rng = digits["train"][0], digits["test"][0], [], np.random.default_rng(3)
    degraded = task.degrade(test, rng)
    simple = training.measure(task.baselines(images, rng)[filter_name](degraded), test)

    def train(steps, watch=lambda step, metrics: None):
        model = Enhancer(1, task)
        training.fit(model, images, steps, 0.01, np.random.default_rng(7), watch)
        return model

    trained = train(60, lambda step, metrics: seen.append(step))
    assert seen == list(range(1, 61))
    assert training.measure(trained.apply(degraded), test)["psnr"] > simple["psnr"] + gain
    a, b = (train(2).network.params for _ in range(2))
    assert all(np.array_equal(a[name], b[name]) for name in a)


def test_divergence_is_said(digits, monkeypatch):
    monkeypatch.setattr(training, "LR", 1e30)
    with pytest.raises(RunError, match="training diverged at step"):
        training.fit(Enhancer(1, EnhancementTask(2)), digits["train"][0], 20, 0.01, np.random.default_rng(0))


def test_pictures_of_any_size_one_by_one():
    images = np.random.default_rng(1).integers(0, 256, (3, 9, 7, 1)).astype(np.uint8)
    for task in (EnhancementTask(1, 0.2), EnhancementTask(2), EnhancementTask(4)):
        model = Enhancer(1, task)
        whole = model.apply(images)
        assert whole.shape == (3, 9 * task.factor, 7 * task.factor, 1)
        np.testing.assert_array_equal(model.apply(images[1:2])[0], whole[1])
        for bad, text in ((images[:, :3], "at least 4 x 4"), (images.repeat(3, axis=3), r"\(N, H, W, 1\)")):
            with pytest.raises(InputError, match=text):
                model.apply(bad)
    with pytest.raises(InputError, match="at most 65,536 in all"):
        model.apply(np.zeros((1, 257, 256, 1), np.uint8))


# ---- the command


def test_a_training_run(capsys, few):
    code, out, _ = call(capsys, enhance, "--steps", 3, "--seeds", 2, "--out", "made", "--quiet")
    assert code == 0
    assert "deviation of 2 seeds" in out
    report = json.loads(Path("made/metrics.json").read_text())
    assert {key: report[key] for key in ("task", "dataset", "steps", "test_pictures")} == {
        "task": "2 times larger",
        "dataset": "mnist",
        "steps": 3,
        "test_pictures": 60,
    }
    first, second = (run["metrics"] for run in report["runs"])
    assert list(first) == ["nearest", "bicubic", "network", "truth"]
    assert list(first["truth"]) == ["recognised"]
    assert first["bicubic"] == second["bicubic"]
    assert first["network"] != second["network"]
    assert report["mean"]["network"]["psnr"] == pytest.approx(
        (first["network"]["psnr"] + second["network"]["psnr"]) / 2
    )
    # what is written down is what the saved network does
    test, labels = datasets.load("mnist", "test")
    judge = shipped_judge()
    degraded = filters.shrink(test, 2)
    again = training.measure(Enhancer.load("made/network.npz").apply(degraded), test, labels, judge)
    assert again == first["network"]
    assert training.measure(filters.bicubic(degraded, 2), test, labels, judge) == first["bicubic"]
    np.testing.assert_array_equal(pictures.read("made/example.png", 1), degraded[0])
    assert Image.open("made/pictures.png").size[0] > 300
    code, out, _ = call(capsys, enhance, "made/example.png", "larger.png", "--network", "made/network.npz")
    assert (code, out) == (0, "larger.png: 14 x 14 pixels made 28 x 28 (2 times larger)\n")
    np.testing.assert_array_equal(
        pictures.read("larger.png", 1), Enhancer.load("made/network.npz").apply(degraded[:1])[0]
    )


def test_colour_and_noise(capsys, few):
    words = ["--noise", 0.2, "--dataset", "coloured", "--steps", 2, "--quiet"]
    code, out, _ = call(capsys, enhance, *words, "--out", "a")
    assert code == 0
    assert "train a judge with `python -m minigan.classify --dataset coloured`" in out
    report = json.loads(Path("a/metrics.json").read_text())
    assert report["judge"] is None
    assert set(report["runs"][0]["metrics"]["network"]) == {"psnr", "ssim"}
    test, labels = datasets.load("coloured", "test")
    judge = Classifier(test.shape[1:])
    judge.save("judge.npz", {})
    assert call(capsys, enhance, *words, "--judge", "judge.npz", "--out", "b")[0] == 0
    truth = json.loads(Path("b/metrics.json").read_text())["runs"][0]["metrics"]["truth"]
    assert truth == training.recognised(test, labels, judge)
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (11, 13), np.uint8)).save("grey.png")
    assert call(capsys, enhance, "grey.png", "clean.jpg", "--network", "a/network.npz")[0] == 0
    assert Image.open("clean.jpg").size == (13, 11)
    assert Image.open("clean.jpg").mode == "RGB"


@pytest.mark.parametrize(
    ("step", "names"),
    [
        ((Pix2PixTrainer, "step"), ()),
        ((training, "measure"), ("network.npz",)),
        ((plotting, "save_comparison"), ("network.npz", "metrics.json", "example.png")),
    ],
    ids=lambda value: value[-1] if value else "",
)
def test_an_interrupted_run_keeps_what_was_done(capsys, few, monkeypatch, step, names):
    words = ["--dataset", "coloured", "--steps", 1, "--quiet"]
    assert call(capsys, enhance, *words, "--out", "whole")[0] == 0

    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(*step, interrupted)
    code, _, err = call(capsys, enhance, *words, "--out", "kept")
    assert code == 130
    assert "interrupted" in err
    kept, whole = (contents(Path(folder)) for folder in ("kept", "whole"))
    assert {path.name for path in kept} == set(names)
    for path, data in kept.items():
        if path.suffix != ".json":  # which says how long it took
            assert data == whole[Path("whole") / path.name]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--factor", "3"], "expected a factor of 2 or 4"),
        (["--noise", "0"], "noise is 0.0, expected a share"),
        (["--factor", "2", "--noise", "0.1"], "two tasks; give one"),
        (["--steps", "0"], "--steps is 0"),
        (["--seed", "-1"], "--seed is -1, expected a whole number of at least 0"),
        (["--adversarial", "nan"], "expected a number from 0 to 100"),
        (["--dataset", "mnits"], 'did you mean "mnist"'),
        (["--dataset", "ring"], "points in the plane"),
        (["--network", "x.npz"], "goes with a picture"),
        (["in.png"], "name a second file"),
        (["in.png", "out.png", "--judge", "judge.npz"], "--judge goes with a comparison on test pictures, not with a"),
        (["--judge", "judge.npz"], "knows pictures of (16, 12, 3), these are (28, 28, 1); train a judge with"),
        (["--judge", "judge.npz", "--dataset", "unlabelled.npy"], "--judge needs labels, and unlabelled.npy has none"),
        (["in.png", "out.png"], "train it with python -m minigan.enhance"),
        (["in.png", "out.txt", "--network", "net.npz"], "end it in .png"),
        (["in.png", "none/out.png", "--network", "net.npz"], "there is no folder none"),
        (["in.png", "in.png", "--network", "net.npz"], "would be lost"),
        (["in.png", "sub/../in.png", "--network", "net.npz"], "would be lost"),
        (["missing.png", "out.png", "--network", "net.npz"], "there is no file missing.png"),
        (["text.png", "out.png", "--network", "net.npz"], "cannot be read as a picture"),
        (["cut.png", "out.png", "--network", "net.npz"], "cannot be read as a picture"),
        ([".", "out.png", "--network", "net.npz"], "cannot be read as a picture"),
        (["tiny.png", "out.png", "--network", "net.npz"], "the picture has 2 x 3 pixels"),
        (["in.png", "out.png", "--network", "missing.npz"], "there is no checkpoint missing.npz"),
        (["in.png", "out.png", "--network", "text.png"], "damaged"),
        (["in.png", "out.png", "--network", "foreign.npz"], "holds no enhancer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_use_is_one_sentence(capsys, few, tmp_path, words, expected):
    rng = np.random.default_rng(1)
    (tmp_path / "sub").mkdir()
    Image.fromarray(rng.integers(0, 256, (40, 40), np.uint8)).save("in.png")
    Image.fromarray(np.zeros((3, 2), np.uint8)).save("tiny.png")
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes((tmp_path / "in.png").read_bytes()[:900])
    Enhancer(1, EnhancementTask(2)).save("net.npz", {})
    Classifier((16, 12, 3)).save("judge.npz", {})
    np.save("unlabelled.npy", rng.integers(0, 256, (100, 16, 16), np.uint8))
    checkpoint.save("foreign.npz", {"x": np.zeros(3)}, {})
    before = contents(tmp_path)
    assert expected in refused(capsys, enhance, *few_steps(words), *words)
    assert contents(tmp_path) == before
