"""Training on one's own data: what is chosen and said, classes of the whole data set and their names, found again."""

import json

import numpy as np
import pytest
from image_to_image_calls import refused
from PIL import Image
from test_other_data import coloured
from training_runs import begin, resume, samples_for_pictures

from minigan import classify, datasets, evaluate, recognise, sample, train
from minigan.base import checkpoint
from minigan.base.errors import InputError
from minigan.gan import build_gan
from minigan.gan.config import Config
from minigan.gan.run import Run, load_gan
from minigan.metrics.judge import Classifier
from minigan.tools import plotting

CLASSES = ("blue $x$", "green", "red")
FEW = ["--steps", "2", "--batch-size", "8", "--latent-dim", "8"]


def folder_of(root, n, side=16, classes=CLASSES):
    """n pictures in one sub-folder a class, or in the folder itself."""
    for i, (image, label) in enumerate(zip(*coloured(n, side), strict=True)):
        place = root / classes[label] if classes else root
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i:04}.png")
    return root


def config_of(folder):
    config = Run(folder).read_config()
    return config.condition, config.clusters, config.image_size


@pytest.fixture
def here(tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---- what is chosen


@pytest.mark.parametrize(
    ("pictures", "flags", "wanted", "said"),
    [
        (60, [], ("none", 1, 28), "54 pictures, brought to 28 x 28, conditioning on nothing; to change: --image-size,"),
        (120, [], ("clusters", 2, 28), "108 pictures, brought to 28 x 28, conditioning on 2 clusters; to change"),
        (120, ["--preset", "mlp"], ("none", 1, 28), "108 pictures, brought to 28 x 28, conditioning on nothing"),
        (60, ["--preset", "digits-unconditional", "--image-size", "16"], ("none", 1, 16), "conditioning on nothing"),
        (60, ["--clusters", "3"], ("clusters", 3, 28), "conditioning on 3 clusters"),
        (60, ["--condition", "none", "--image-size", "16"], ("none", 10, 16), None),
        (60, ["--condition", "clusters", "--clusters", "4", "--image-size", "16"], ("clusters", 4, 16), None),
    ],
)
def test_choices_for_a_folder_without_labels(here, capsys, pictures, flags, wanted, said):
    folder_of(here / "p", pictures, classes=None)
    assert begin("run", "--dataset", "p", *FEW, *flags) == 0
    assert config_of("run") == wanted
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(str(here))]
    assert len(lines) == (said is not None)
    if said:
        assert said in lines[0]


def test_choices_for_labels(here, capsys):
    folder_of(here / "p", 180, 33)
    assert begin("run", "--dataset", "p", *FEW) == 0
    assert config_of("run") == ("labels", 1, 32)
    assert (
        "162 pictures, brought to 32 x 32, conditioning on 3 labels (blue $x$, green, red); to"
        in capsys.readouterr().err
    )
    assert begin("two", "--dataset", "p", "--clusters", "2", "--image-size", "8", *FEW) == 0
    assert config_of("two") == ("labels", 2, 8)
    assert "brought to" not in capsys.readouterr().err


def test_choices_for_arrays_and_none_for_what_fits(here, capsys):
    images, labels = coloured(1700, 4)
    np.savez("p.npz", images=images, labels=labels)  # 510 of each class to learn from: enough for the preset's 10
    assert begin("fits", "--dataset", "p.npz", *FEW) == 0
    assert config_of("fits") == ("labels", 10, None)
    np.savez("p.npz", X=images)
    assert begin("bare", "--dataset", "p.npz", *FEW) == 0
    assert config_of("bare") == ("clusters", 10, None)
    assert "p.npz: 1530 pictures, conditioning on 10 clusters; to change" in capsys.readouterr().err
    assert begin("named", "--preset", "toy", "--condition", "labels", "--steps", "2") == 0
    assert config_of("named") == ("labels", 1, None)
    assert capsys.readouterr().err == ""


# ---- classes of the whole data set


def test_ten_pictures_of_ten_classes(here, capsys):
    """The last of which is in the test split only."""
    np.savez("ten.npz", images=coloured(10)[0], labels=100 * np.arange(10))
    assert classify.run(["--dataset", "ten.npz", "--epochs", "1", "--out", "c", "--quiet"]) == 0
    judge = Classifier.load("c/classifier.npz")
    assert (judge.classes, judge.names[-1]) == (10, "900")
    assert begin("run", "--dataset", "ten.npz", *FEW) == 0
    gan = load_gan("run")[0]
    assert (gan.conditions.count, gan.conditions.names) == (10, [str(100 * i) for i in range(10)])
    np.testing.assert_allclose(gan.conditions.shares, [*[1 / 9] * 9, 0])


def test_recognise_takes_a_folder(here, narrow_recognition, monkeypatch, capsys):
    folder_of(here / "p", 120)
    seen = []
    monkeypatch.setattr(recognise.EXPERIMENTS["domain"], "run", lambda data, *rest: seen.append(data) or stop())

    def stop():
        raise InputError("that is enough.")

    for flags, shape in ((["--image-size", "12"], (12, 12, 3)), ([], (28, 28, 3))):
        with pytest.raises(InputError, match="enough"):
            recognise.run(["domain", "--dataset", "p", *flags, "--out", "r", "--quiet"])
        assert (seen[-1].sample_shape, seen[-1].classes, seen[-1].names) == (shape, 3, list(CLASSES))
    assert begin("run", "--dataset", "p", "--preset", "cgan", "--image-size", "12", *FEW) == 0
    monkeypatch.setattr(recognise.EXPERIMENTS["augment"], "run", lambda data, *rest: seen.append(data) or stop())
    with pytest.raises(InputError, match="enough"):  # the run's own size
        recognise.run(["augment", "--run", "run", "--dataset", "p", "--out", "r", "--quiet"])
    assert seen[-1].sample_shape == (12, 12, 3)


# ---- their names


def test_names_are_kept_and_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    images, labels = coloured(1010, 8)
    np.savez("p.npz", images=images, labels=np.array(CLASSES)[labels])
    own = ["--dataset", "p.npz"]
    assert begin("run", "--preset", "cgan", *own, *FEW) == 0
    assert load_gan("run")[0].conditions.names == list(CLASSES)
    gan = load_gan("run")[0]
    for name, label in (("green", 1), ("2", 2)):  # no name is a number
        assert sample.run(["run", "--n", "5", "--label", name, "--out", "s.npy"]) == 0
        wanted = gan.sample(5, np.random.default_rng(0), np.full(5, label))
        np.testing.assert_array_equal(np.load("s.npy"), wanted)
    assert "5 samples in s.npy, a row each of green\n" in capsys.readouterr().out
    assert sample.run(["run", "--n", "40", "--out", "s.png"]) == 0
    assert "40 samples in s.png, a row each of blue $x$, green, red\n" in capsys.readouterr().out
    for path in ("s.png", "run/samples/step_0000002.png"):
        with Image.open(path) as picture:
            sheet = np.asarray(picture).astype(int)
        strip = sheet[:, : sheet.shape[1] - sheet.shape[0] * (10 * 10 + 2) // ((4 if path == "s.png" else 10) * 10 + 2)]
        inked = (strip < 128).any(axis=(1, 2))
        assert 10 < strip.shape[1] < 120
        rows = np.array_split(inked, 4 if path == "s.png" else 10)
        assert all(row.any() for row in rows)  # a name beside each row

    drawn = {}
    monkeypatch.setattr(plotting, "_name_ticks", lambda axis, names: drawn.setdefault(axis.axis_name, names))
    assert classify.run([*own, "--epochs", "1", "--out", "judge", "--quiet"]) == 0
    assert drawn == {"x": list(CLASSES), "y": list(CLASSES)}
    drawn.clear()
    assert evaluate.run(["run", "--n", "100", "--judge", "judge/classifier.npz"]) == 0
    assert drawn == {"x": list(CLASSES)}
    report = json.loads((tmp_path / "run" / "metrics.json").read_text())
    rarest, commonest = (how(report["samples"]["class_shares"]) for how in (np.argmin, np.argmax))
    out = capsys.readouterr().out
    assert f"share of the rarest class ({CLASSES[rarest]})" in out
    assert f"share of the commonest class ({CLASSES[commonest]})" in out


def test_numbers_are_names_before_they_count(here):
    np.savez("p.npz", images=coloured(30)[0], labels=np.array([1, 2, 5])[coloured(30)[1]])
    assert begin("run", "--dataset", "p.npz", "--preset", "cgan", *FEW) == 0
    conditions = load_gan("run")[0].conditions
    assert [conditions.label(name) for name in "125"] == [0, 1, 2]
    with pytest.raises(InputError, match="there is no label '0', expected one of 1, 2, 5"):
        conditions.label("0")


@pytest.mark.parametrize("names", ["abc", ["a", "b"], ["a", "b", 3], {"a": 1}, 5])
def test_forged_names_are_refused(here, names):
    build = {"condition": "labels", "shares": np.ones(3), "sample_shape": (8, 8, 3)}
    gan = build_gan("mlp", **build)
    batches = datasets.BatchIterator(9, 8, np.random.default_rng(0))
    run = Run.create("run", "x")
    run.save(gan, batches, {})
    arrays, about = checkpoint.load(run.checkpoint_path)
    checkpoint.save(run.checkpoint_path, arrays, about | {"class_names": names})
    with pytest.raises(InputError, match=r"the names of the classes are .*, expected 3 of them"):
        load_gan("run")
    checkpoint.save(run.checkpoint_path, arrays, {key: about[key] for key in about if key != "class_names"})
    assert load_gan("run")[0].conditions.names == ["0", "1", "2"]  # as saved before there were names
    Classifier((8, 8, 3), 3).save("c.npz", {})
    arrays, about = checkpoint.load("c.npz")
    checkpoint.save("c.npz", arrays, {"classifier": about["classifier"] | {"names": names}})
    with pytest.raises(InputError, match="holds no classifier of this version"):
        Classifier.load("c.npz")


def test_a_judge_of_other_classes_is_refused(here):
    np.savez("p.npz", images=coloured(30)[0], labels=coloured(30)[1])
    assert begin("run", "--dataset", "p.npz", "--preset", "cgan", *FEW) == 0
    Classifier((16, 16, 3), 2).save("c.npz", {})
    with pytest.raises(InputError, match="the judge knows 2 classes and the generator 3; train both"):
        evaluate.run(["run", "--n", "100", "--judge", "c.npz"])


# ---- found again


def stripped(folder, path):
    """Let the run in `folder` say that its data is at `path`, as runs said of old."""
    run = Run(folder)
    values = json.loads(run.config_path.read_text()) | {"dataset": path}
    run.write_config(Config(**values))
    arrays, about = checkpoint.load(run.checkpoint_path)
    checkpoint.save(run.checkpoint_path, arrays, about | {"config": values})


def test_a_run_finds_its_data_from_any_folder(here, monkeypatch):
    folder_of(here / "in" / "p", 30)
    monkeypatch.chdir(here / "in")
    assert begin(here / "run", "--dataset", "p", "--preset", "mlp", "--image-size", "8", *FEW) == 0
    assert Run(here / "run").read_config().dataset == load_gan(here / "run")[0].config.dataset == str(here / "in" / "p")
    (here / "other").mkdir()
    monkeypatch.chdir(here / "other")
    assert resume(here / "run", "--steps", "3") == 0
    assert resume(here / "run", "--steps", "4", "--dataset", "../in/p") == 0
    with pytest.raises(InputError, match=r"was begun with dataset '.*in/p'; resume it without changing that"):
        resume(here / "run", "--steps", "5", "--dataset", "../in/p/green")

    stripped(here / "run", "p")
    with pytest.raises(InputError, match=r'unknown dataset "p", .* \(there is no folder p in .*other\)'):
        resume(here / "run", "--steps", "5")
    monkeypatch.chdir(here / "in")
    for steps, flags in ((5, []), (6, ["--dataset", "./p"]), (7, ["--dataset", str(here / "in" / "p")])):
        stripped(here / "run", "p")
        assert resume(here / "run", "--steps", str(steps), *flags) == 0
        assert load_gan(here / "run")[0].config.dataset == str(here / "in" / "p")
    (here / "in" / "p").rename(here / "in" / "q")
    with pytest.raises(InputError, match=r"there is no folder or file .*in/p, seen from .*; put it back there,"):
        resume(here / "run", "--steps", "8")


def test_data_that_has_other_classes_now(here):
    images, labels = coloured(40)
    np.savez("p.npz", images=images, labels=labels)
    with samples_for_pictures():
        assert begin("run", "--dataset", "p.npz", "--preset", "cgan", *FEW) == 0
    np.savez("p.npz", images=images, labels=labels % 2)
    with pytest.raises(InputError, match="knows 3 conditions, its data set now has 2; bring the data back"):
        resume("run", "--steps", "3")
    np.savez("p.npz", images=images, labels=np.array(list("abc"))[labels])
    arrays, about = checkpoint.load("run/checkpoint.npz")
    checkpoint.save("run/checkpoint.npz", arrays, about | {"class_names": ["x", "y", "z"]})
    with pytest.raises(InputError, match="knows the labels x, y, z, its data set now has a, b, c; bring the data back"):
        resume("run", "--steps", "3")


def test_a_picture_that_cannot_be_used_is_said_in_one_sentence(here, capsys):
    np.save("p.npy", np.full((20, 8, 8), np.nan))
    assert "20 of 20 images hold NaN or infinity" in refused(capsys, train, "--dataset", "p.npy")
