"""Restoration: gradients of its network, what a task leaves and hides, that it learns, and the command as typed."""

import json
from pathlib import Path

import numpy as np
import pytest
from image_to_image_calls import call, contents, few_steps, refused
from PIL import Image
from samples import draw

from minigan import datasets, enhance, losses, restore
from minigan.base import checkpoint, pictures
from minigan.base.errors import InputError
from minigan.gradcheck import check_function, check_gradients
from minigan.image_to_image import filters, inpainting, restoration, training
from minigan.image_to_image.restoration import RestorationTask, Restorer
from minigan.image_to_image.training import Pix2PixTrainer
from minigan.kernels.parallel import threads
from minigan.layers import Conv2D
from minigan.metrics.judge import shipped_judge
from minigan.models import enhancer as pair_networks
from minigan.models import restorer as networks


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Narrow networks, on one core."""
    monkeypatch.setattr(networks, "FULL", 4)
    monkeypatch.setattr(networks, "WIDTH", 6)
    monkeypatch.setattr(networks, "BLOCKS", 2)
    monkeypatch.setattr(pair_networks, "WIDTH", 6)
    with threads.threads(1):
        yield


# ---- gradients


def conv():
    return Conv2D(3, 2, 3, padding=1, rng=np.random.default_rng(1), dtype=np.float64)


def test_the_gradients_of_filled():
    report = check_gradients(networks.Filled(conv()), draw(3, 5, 4, 3))
    assert report.ok, report


class EverywhereFilled(networks.Filled):
    """The hole forgotten on the way to the network."""

    def _backward(self, grad_output, cache, need):
        return super()._backward(grad_output, (np.ones_like(cache[0]), cache[1]), need)


class Unhalved(networks.Filled):
    """The last channel's gradient as if it were m."""

    def _backward(self, grad_output, cache, need):
        return super()._backward(grad_output, (cache[0], 2 * cache[1]), need)


class Detached(networks.Filled):
    """What goes round the network forgotten."""

    def _backward(self, grad_output, cache, need):
        grad = super()._backward(grad_output, cache, need)
        return grad - np.concatenate([grad_output, np.zeros_like(grad_output[..., :1])], axis=3)


@pytest.mark.parametrize("kind", [EverywhereFilled, Unhalved, Detached])
def test_planted_in_filled(kind):
    assert not check_gradients(kind(conv()), draw(3, 5, 4, 3)).ok


@pytest.mark.parametrize("holes", [True, False])
def test_the_restorer_s_gradients(holes):
    network = networks.restorer(2, holes, np.random.default_rng(1), np.float64)
    report = check_gradients(network, draw(3, 8, 12, 2 + holes), max_entries=10)
    assert report.ok, report


def test_the_losses_gradients_through_a_discriminator_that_sees_the_hole():
    played = Pix2PixTrainer(Restorer(2, RestorationTask()), 0.3, seed=5)
    played.discriminator.astype(np.float64)
    x, made, truth = draw(3, 8, 12, 3), draw(3, 8, 12, 2, seed=2), draw(3, 8, 12, 2, seed=3)
    report = check_function(lambda made: played.g_loss(x, made, truth)[:2], made, max_entries=60)
    assert report.ok, report

    def wrong(made):
        """The gradient of the channels beside those that D judges."""
        value, grad, _ = played.g_loss(x, made, truth)
        l1 = losses.l1(made, truth)[1]
        return value, l1 + np.roll(grad - l1, 1, axis=3)

    assert not check_function(wrong, made, max_entries=60).ok


# ---- tasks and learning


def test_tasks(digits):
    images, rng = digits["test"][0][:40], np.random.default_rng(2)
    assert list(RestorationTask().parts()) == list(inpainting.HOLES)
    assert not RestorationTask(("random",)).parts()
    assert list(RestorationTask().baselines(images, rng)) == ["mean fill", "diffusion", "biharmonic"]
    assert [name.split()[0] for name in RestorationTask((), 2.0).baselines(images, rng)] == [
        "input",
        "unsharp",
        "Wiener",
    ]
    for wrong in (((), 0.0), (("centre",), 1.0), (("middle",), 0.0), ((), 11.0), ((), float("nan"))):
        with pytest.raises(InputError):
            RestorationTask(*wrong)
    with pytest.raises(InputError, match="must divide by 4"):
        RestorationTask().check(np.zeros((2, 28, 30, 1), np.uint8))
    many = RestorationTask().degrade(np.zeros((600, 16, 16, 1), np.uint8), rng)[..., -1].mean(axis=(1, 2)) / 255
    assert 150 < (many == 0.25).sum() < 250  # the squares: a third of all
    assert 150 < (abs(many - 0.5) < 0.12).sum() < 300


def test_what_is_in_the_hole_stays_hidden(digits):
    images, rng = digits["test"][0][:30], np.random.default_rng(2)
    degraded = RestorationTask().degrade(images, rng)
    known, hole = restoration.split(degraded)
    np.testing.assert_array_equal(np.where(hole, 0, known), np.where(hole, 0, images))
    others = np.where(hole, 255 - images, images)
    np.testing.assert_array_equal(restoration.with_hole(others, hole), degraded)
    shown = RestorationTask().show(degraded)
    assert (shown[hole] == restoration.GREY).all()
    # and what is known stays as it is, whatever the network makes
    made = Restorer(1, RestorationTask()).apply(degraded)
    np.testing.assert_array_equal(np.where(hole, 0, made), np.where(hole, 0, images))
    for name, method in RestorationTask().baselines(images, rng).items():
        np.testing.assert_array_equal(np.where(hole, 0, method(degraded)), np.where(hole, 0, images), err_msg=name)


def test_blur_is_what_it_says(digits):
    images = digits["test"][0][:200]
    gap = RestorationTask((), 1.5).degrade(images, np.random.default_rng(2)).astype(float) - filters.gaussian(
        images, 1.5
    )
    grey = (filters.gaussian(images, 1.5) > 40) & (filters.gaussian(images, 1.5) < 215)
    assert 255 * restoration.GRAIN * 0.9 < gap[grey].std() < 255 * restoration.GRAIN * 1.1


@pytest.mark.parametrize(
    ("task", "steps", "simple", "gain"),
    [(RestorationTask(("centre",)), 40, "diffusion", 0.2), (RestorationTask((), 2.0), 40, "input", 2)],
)
def test_it_learns(digits, monkeypatch, task, steps, simple, gain):
    """Soon better on digits it has not seen than what it is given."""
    monkeypatch.setattr(networks, "FULL", 12)
    monkeypatch.setattr(networks, "WIDTH", 16)
    images, test = digits["train"][0], digits["test"][0]
    degraded = task.degrade(test, np.random.default_rng(3))
    before = training.measure(task.baselines(images, np.random.default_rng(4))[simple](degraded), test)
    trained = Restorer(1, task)
    training.fit(trained, images, steps, 0.01, np.random.default_rng(7))
    assert training.measure(trained.apply(degraded), test)["psnr"] > before["psnr"] + gain


def test_pictures_of_any_size_one_by_one():
    images = np.random.default_rng(1).integers(0, 256, (3, 9, 7, 2)).astype(np.uint8)
    model = Restorer(1, RestorationTask())
    whole = model.apply(images)
    assert whole.shape == (3, 9, 7, 1)
    np.testing.assert_array_equal(model.apply(images[1:2])[0], whole[1])
    with pytest.raises(InputError, match=r"Restorer.apply: .* expected uint8 \(N, H, W, 2\)"):
        model.apply(images[..., :1])


# ---- the command


def test_a_training_run(capsys, few):
    code, out, _ = call(capsys, restore, "--steps", 2, "--seeds", 2, "--out", "made", "--quiet")
    assert code == 0
    assert "deviation of 2 seeds" in out
    report = json.loads(Path("made/metrics.json").read_text())
    assert report["task"] == "holes: centre, random, scratches"
    first, second = (run["metrics"] for run in report["runs"])
    assert list(first) == list(inpainting.HOLES)
    assert list(first["random"]) == ["mean fill", "diffusion", "biharmonic", "network", "truth"]
    assert first["centre"]["diffusion"] == second["centre"]["diffusion"]
    assert first["random"]["diffusion"] != second["random"]["diffusion"]
    mean = report["mean"]["scratches"]["network"]["psnr"]
    assert mean == pytest.approx(np.mean([run["scratches"]["network"]["psnr"] for run in (first, second)]))
    # what is written down is what the saved network does
    test, labels = datasets.load("mnist", "test")
    degraded = RestorationTask(("centre",)).degrade(test, np.random.default_rng(0))
    made = Restorer.load("made/network.npz").apply(degraded)
    assert training.measure(made, test, labels, shipped_judge()) == first["centre"]["network"]
    hole = pictures.read("made/mask.png", 1) == 255
    example = pictures.read("made/example.png", 1)
    np.testing.assert_array_equal(example, np.where(hole, restoration.GREY, test[0]))
    assert Image.open("made/pictures.png").size[0] > 300
    words = ["made/example.png", "filled.png", "--mask", "made/mask.png", "--network", "made/network.npz"]
    code, out, _ = call(capsys, restore, *words)
    assert (code, out) == (0, "filled.png: 28 x 28 pixels (holes: centre, random, scratches)\n")
    np.testing.assert_array_equal(pictures.read("filled.png", 1), made[0])


def test_colour_and_blur(capsys, few):
    words = ["--blur", 1.5, "--dataset", "coloured", "--steps", 2, "--out", "a", "--quiet"]
    assert call(capsys, restore, *words)[0] == 0
    report = json.loads(Path("a/metrics.json").read_text())
    assert report["task"] == "blur 1.5"
    assert set(report["runs"][0]["metrics"]["network"]) == {"psnr", "ssim"}
    assert not Path("a/mask.png").exists()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (11, 13), np.uint8)).save("grey.png")
    assert call(capsys, restore, "grey.png", "sharp.png", "--network", "a/network.npz")[0] == 0
    assert Image.open("sharp.png").size == (13, 11)


@pytest.mark.parametrize("command", [enhance, restore])
def test_a_folder_of_pictures(capsys, few, command):
    Path("mine").mkdir()
    for i in range(20):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 30, 3), np.uint8)).save(f"mine/{i:02}.png")
    words = ["--dataset", "mine", "--steps", 1, "--out", "a", "--quiet"]
    assert call(capsys, command, *words, "--image-size", 16)[0] == 0
    assert json.loads(Path("a/metrics.json").read_text())["test_pictures"] == 2
    words[words.index("a")] = "b"
    assert "must divide by" in refused(capsys, command, *words, "--image-size", 17)
    assert "--image-size is 0" in refused(capsys, command, *words, "--image-size", 0)
    assert "has a size of its own" in refused(
        capsys, command, "--dataset", "fashion-mnist", "--steps", 1, "--image-size", 28
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--hole", "middle"], "there are no holes 'middle'; there are centre, random, scratches"),
        (["--blur", "0"], "blur is 0.0, expected"),
        (["--hole", "centre", "--blur", "2"], "two tasks; give one"),
        (["--mask", "mask.png"], "goes with a picture"),
        (["--network", "net.npz"], "goes with a picture"),
        (["--steps", "0"], "--steps is 0, expected"),
        (["--dataset", "ring"], "points in the plane"),
        (["in.png"], "nowhere to put the restored in.png"),
        (["in.png", "in.png", "--network", "net.npz"], "would be lost"),
        (["in.png", "out.png"], "train it with python -m minigan.restore"),
        (["in.png", "out.png", "--network", "net.npz"], "give a --mask"),
        (["in.png", "out.png", "--network", "net.npz", "--mask", "no.png"], "there is no file no.png"),
        (["in.png", "out.png", "--network", "net.npz", "--mask", "tiny.png"], "tiny.png has 2 x 3 pixels"),
        (["in.png", "out.png", "--network", "net.npz", "--mask", "black.png"], "all black"),
        (["in.png", "out.png", "--network", "net.npz", "--mask", "in.png", "--blur", "2"], "two tasks"),
        (["in.png", "out.png", "--network", "net.npz", "--blur", "2"], "not for --blur 2"),
        (["in.png", "out.png", "--network", "blur.npz", "--blur", "1"], "was trained for blur 2, not for --blur 1"),
        (["in.png", "out.png", "--network", "blur.npz", "--mask", "in.png"], "leave out --mask"),
        (["in.png", "out.png", "--network", "foreign.npz", "--mask", "in.png"], "holds no restorer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_use_is_one_sentence(capsys, few, tmp_path, words, expected):
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 40), np.uint8)).save("in.png")
    Image.fromarray(np.zeros((3, 2), np.uint8)).save("tiny.png")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save("black.png")
    Restorer(1, RestorationTask()).save("net.npz", {})
    Restorer(1, RestorationTask((), 2.0)).save("blur.npz", {})
    checkpoint.save("foreign.npz", {"x": np.zeros(3)}, {})
    before = contents(tmp_path)
    assert expected in refused(capsys, restore, *few_steps(words), *words)
    assert contents(tmp_path) == before
