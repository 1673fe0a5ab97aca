"""The commands as typed: what they refuse and how, their exit status, what `sample` draws."""

import errno
import json
import os
import re
import shutil

import numpy as np
import pytest
from image_to_image_calls import call, refused
from image_to_image_calls import contents as snapshot
from PIL import Image
from training_runs import SMALL, around_step, begin, contents, log_rows, resume, samples_for_pictures

from minigan import sample, train
from minigan.base import checkpoint
from minigan.gan import latent_space
from minigan.gan.run import load_gan
from minigan.kernels.parallel import threads
from minigan.tools import plotting

REAL_SAVE_SAMPLES = plotting.save_samples  # before a fixture replaces it


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty current folder, so that what is left behind is seen."""
    monkeypatch.chdir(tmp_path)
    with threads.threads(1), samples_for_pictures():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A short run of points and one of pictures, to copy or to draw from."""
    folder = tmp_path_factory.mktemp("runs")
    with threads.threads(1), samples_for_pictures():
        begin(folder / "toy", *SMALL, "--steps", "3")
        begin(folder / "mlp", "--preset", "mlp", "--batch-size", "4", "--steps", "2", "--ema-decay", "0.5")
    return folder


# ---- bad use of train


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--preset", "dcgna"], "Did you mean 'dcgan'?"),
        (["--dataset", "rnig"], 'did you mean "ring"?'),
        (["--dataset", "cifar"], 'unknown dataset "cifar"'),
        (["--learning-rate", "1"], "unrecognized arguments: --learning-rate"),
        (["--batch", "64"], "unrecognized arguments: --batch"),  # no abbreviations: they break when a flag is added
        (["extra"], "unrecognized arguments: extra"),
        (["--lr", "fast"], "--lr: invalid float value: 'fast'"),
        (["--lr"], "--lr: expected one argument"),
        (["--lr", "-1"], "lr is -1.0, expected a number above 0"),
        (["--steps", "1e3"], "--steps: invalid int value: '1e3'"),
        (["--steps", "0"], "steps is 0, expected a whole number from 1 to 1,000,000,000,000"),
        (["--epochs", "1e308"], "epochs"),  # more steps than there are numbers for
        (["--batch-size", str(10**19)], "batch"),  # more than an array can have
        (["--latent-dim", str(10**19)], "latent"),
        (["--seed", "-1"], "seed is -1"),
        (["--threads", "0"], "threads: got 0"),
        (["--threads", "100000"], "threads: got 100000"),
        (["--preset", "digits", "--dataset", "ring"], "points in the plane"),
        (["--resume", "nothing"], "nothing holds no run"),
        (["--resume", "."], "holds no run"),
        (["--resume", ""], "holds no run"),  # an unset variable of a script, not a wish to begin anew
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_use_of_train_is_one_sentence_and_leaves_nothing(capsys, tmp_path, words, expected):
    # --preset and --steps first: what is under test then has the last word, and nothing long begins if it passes
    assert expected in refused(capsys, train, "--preset", "toy", "--steps", "1", "--quiet", *words)
    assert list(tmp_path.iterdir()) == []


def test_out_that_is_taken(capsys, tmp_path, runs):
    shutil.copytree(runs / "toy", "run")
    (tmp_path / "file").write_text("mine")
    before = snapshot(tmp_path)
    assert "run already holds a run; continue it with --resume run" in refused(capsys, train, *SMALL, "--out", "run")
    assert "file is a file, expected a folder" in refused(capsys, train, *SMALL, "--out", "file")
    assert "file/sub" in refused(capsys, train, *SMALL, "--out", "file/sub", status=1)
    assert "file holds no run" in refused(capsys, train, "--resume", "file")
    assert "--out goes with a new run, not with --resume" in refused(capsys, train, "--resume", "run", "--out", "other")
    assert snapshot(tmp_path) == before
    # a checkpoint alone, its config.json lost, is still a run that must not be overwritten
    (tmp_path / "run" / "config.json").unlink()
    assert "already holds a run" in refused(capsys, train, *SMALL, "--out", "run")


# ---- a run that was changed or damaged


@pytest.mark.parametrize(
    ("flag", "value", "named"),
    [
        ("--lr", "0.5", "lr 0.001"),
        ("--seed", "1", "seed 0"),
        ("--preset", "mlp", "preset 'toy'"),
        ("--dataset", "grid", "dataset 'ring'"),
        ("--batch-size", "8", "batch_size 16"),
        ("--clip-norm", "1", "clip_norm None"),
    ],
)
def test_a_resume_with_other_settings_is_refused(capsys, tmp_path, runs, flag, value, named):
    shutil.copytree(runs / "toy", "run")
    before = snapshot(tmp_path)
    # --beta1 only repeats what is so
    words = ["--steps", "9", flag, value, "--n-critic", "2", "--beta1", "0.5"]
    err = refused(capsys, train, "--resume", "run", *words)
    was = re.search(r"the run in run was begun with (.*); resume it without changing that", err)[1]
    assert sorted(was.split(", ")) == sorted([named, "n_critic 1"])
    assert snapshot(tmp_path) == before


def test_settings_changed_in_config_json_are_refused_too(capsys, runs):
    run = shutil.copytree(runs / "toy", "run")
    with open("run/config.json") as file:
        changed = {**json.load(file), "lr": 0.5, "n_critic": 3}
    with open("run/config.json", "w") as file:
        json.dump(changed, file)
    err = refused(capsys, train, "--resume", run, "--steps", "4")
    assert re.search(r"\blr\b.*\bn_critic\b", err)


def test_two_processes_do_not_train_one_run(capsys, tmp_path, runs):
    fcntl = pytest.importorskip("fcntl")
    shutil.copytree(runs / "toy", "run")
    before, other = snapshot(tmp_path), os.open("run", os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)  # as another process would; a lock belongs to who opened
    assert "another process is training the run in run" in refused(capsys, train, "--resume", "run", "--steps", "4")
    assert snapshot(tmp_path) == before
    os.close(other)
    seen = []

    def second():
        seen.append(refused(capsys, train, "--resume", "run", "--steps", "6"))

    with around_step(4, before=second):
        assert resume("run", "--steps", "5") == 0
    with around_step(2, before=lambda: seen.append(refused(capsys, train, "--resume", "new", "--steps", "6"))):
        begin("new", *SMALL, "--steps", "3")
    assert ["another process" in err for err in seen] == [True, True]
    assert resume("run", "--steps", "6") == resume("new", "--steps", "6") == 0


def flip(data):
    return data[:50_000] + bytes([data[50_000] ^ 1]) + data[50_001:]  # among the numbers of a weight


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda data: data[: len(data) // 2], "is damaged or no checkpoint"),
        (flip, "is damaged or no checkpoint"),
        (lambda data: b"", "is damaged or no checkpoint"),
        (lambda data: b"not a checkpoint\n", "is damaged or no checkpoint"),
        (lambda data: None, "checkpoint"),
    ],
    ids=["truncated", "flipped", "empty", "text", "missing"],
)
def test_a_damaged_checkpoint_is_refused_by_every_command(capsys, tmp_path, runs, damage, expected):
    shutil.copytree(runs / "toy", "run")
    path = tmp_path / "run" / "checkpoint.npz"
    data = damage(path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    before = snapshot(tmp_path)
    for words in ([train, "--resume", "run", "--steps", "9"], [sample, "run"], [sample, "run/checkpoint.npz"]):
        assert expected in refused(capsys, *words)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"format": 99}, "has format 99, newer than 1"),
        ({"progress": None}, "checkpoint.npz"),
        ({"config": None}, "checkpoint.npz"),
    ],
)
def test_a_checkpoint_of_another_version_is_refused(capsys, runs, change, expected):
    shutil.copytree(runs / "toy", "run")
    arrays, about = checkpoint.load("run/checkpoint.npz")
    about = {key: value for key, value in {**about, **change}.items() if value is not None}
    checkpoint.save("run/checkpoint.npz", arrays, about)
    assert expected in refused(capsys, train, "--resume", "run", "--steps", "9")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"lr": "x"}', b'{"colour": 1}', b'{"preset": []}', b"\xff\xfe"]
)
def test_a_damaged_config_is_refused(capsys, tmp_path, runs, content):
    shutil.copytree(runs / "toy", "run")
    (tmp_path / "run" / "config.json").write_bytes(content)
    assert "run/config.json" in refused(capsys, train, "--resume", "run", "--steps", "9")


@pytest.mark.parametrize("name", ["config.json", "checkpoint.npz", "log.csv"])
def test_a_full_disk_is_status_1_and_leaves_what_was(capsys, tmp_path, runs, name):
    shutil.copytree(runs / "toy", "run")
    before, replace = snapshot(tmp_path), os.replace

    def full(source, target):
        if os.path.basename(target) == name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", full)
        err = refused(capsys, train, "--resume", "run", "--steps", "9", "--quiet", status=1)
    assert "No space left on device" in err
    assert "--out" in err
    after = snapshot(tmp_path)
    assert after[tmp_path / "run" / name] == before[tmp_path / "run" / name]
    assert not [path for path in after if path.name.startswith(".")]
    # with room again it goes on to where it would have come
    resume(tmp_path / "run", "--steps", "9", "--sample-every", "100000")
    begin(tmp_path / "never", *SMALL, "--steps", "9")
    assert contents(tmp_path / "run")["arrays"] == contents(tmp_path / "never")["arrays"]


def test_the_clock_goes_on_where_it_stood(runs, tmp_path):
    shutil.copytree(runs / "toy", "run")
    arrays, about = checkpoint.load("run/checkpoint.npz")
    checkpoint.save("run/checkpoint.npz", arrays, {**about, "progress": {**about["progress"], "seconds": 1000.0}})
    resume("run", "--steps", "12")
    assert [row["step"] for row in log_rows(tmp_path / "run")] == ["3", "10", "12"]
    assert all(1000 <= float(row["seconds"]) < 1100 for row in log_rows(tmp_path / "run")[1:])


# ---- sample


def drawn(capsys, *words):
    status, out, err = call(capsys, sample, *words, "--out", "x.npy")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"\d+ samples in x\.npy\n", out)
    return np.load("x.npy", allow_pickle=False)


@pytest.mark.parametrize(("preset", "shape"), [("mlp", (28, 28, 1)), ("toy", (2,))])
def test_sample_draws_what_the_gan_of_the_checkpoint_draws(capsys, runs, preset, shape):
    gan, _, _ = load_gan(runs / preset)
    got = drawn(capsys, runs / preset, "--n", 7, "--seed", 5)
    assert (got.dtype, got.shape) == (np.float32, (7, *shape))
    assert np.abs(got).max() <= 1
    np.testing.assert_array_equal(got, gan.sample(7, np.random.default_rng(5)))
    for source in (runs / preset, runs / preset / "checkpoint.npz"):
        assert drawn(capsys, source, "--n", 7, "--seed", 5).tobytes() == got.tobytes()
    other = drawn(capsys, runs / preset, "--n", 7, "--seed", 6)
    assert (other != got).reshape(7, -1).any(axis=1).all()
    assert len(np.unique(got.reshape(7, -1), axis=0)) == 7
    # unasked: a hundred, of seed 0
    np.testing.assert_array_equal(drawn(capsys, runs / preset), gan.sample(100, np.random.default_rng(0)))


def test_sample_draws_a_picture_of_them(capsys, runs):
    shutil.copytree(runs / "mlp", "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plotting, "save_samples", REAL_SAVE_SAMPLES)
        status, out, _ = call(capsys, sample, "run", "--n", 6)
        assert (status, out) == (0, "6 samples in run/samples.png\n")  # beside the checkpoint
        call(capsys, sample, "run/checkpoint.npz", "--n", 12, "--interpolate", "--out", "walk.png")
    gan, _, _ = load_gan("run")
    with Image.open("run/samples.png") as picture:
        small = plotting.grid(gan.sample(6, np.random.default_rng(0)))[..., 0]
        got = np.array(picture)
        assert got.shape[0] % small.shape[0] == 0
        scale = got.shape[0] // small.shape[0]  # shown larger, pixel by pixel
        np.testing.assert_array_equal(got, np.kron(small, np.ones((scale, scale), np.uint8)))
    with Image.open("walk.png") as picture:
        assert picture.width * 62 == picture.height * 302  # ten a row


@pytest.mark.parametrize("preset", ["mlp", "toy"])
def test_interpolation_walks_from_one_z_to_another_in_each_row(capsys, runs, preset):
    gan, _, _ = load_gan(runs / preset)
    got = drawn(capsys, runs / preset, "--interpolate", "--n", 25, "--seed", 3)
    z = gan.draw_z(6, np.random.default_rng(3))
    ends = gan.decode(z)
    assert len(got) == 25
    for row in range(3):
        np.testing.assert_allclose(got[10 * row], ends[2 * row], atol=1e-5)
    for row in range(2):
        walk = got[10 * row : 10 * row + 10]
        np.testing.assert_allclose(walk[-1], ends[2 * row + 1], atol=1e-5)
        between = latent_space.interpolate(z[2 * row], z[2 * row + 1], 10)
        np.testing.assert_allclose(walk, gan.decode(between), atol=1e-6)


def test_interpolation_turns_evenly_and_keeps_the_length():
    a, b = np.array([[2, 0, 0], [0, 0, 2]], np.float32)
    angles = np.arange(7) * np.pi / 12
    walk = latent_space.interpolate(a, b, 7)
    assert walk.dtype == np.float32
    expected = 2 * np.stack([np.cos(angles), 0 * angles, np.sin(angles)], axis=1)
    np.testing.assert_allclose(walk, expected, atol=1e-6)
    # no angle to turn by: the straight line
    np.testing.assert_allclose(latent_space.interpolate(a, 2 * a, 3), [[2, 0, 0], [3, 0, 0], [4, 0, 0]])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["RUN", "--out", "x.jpg"], "expected a name that ends in .png or .npy"),
        (["RUN", "--out", "x"], "expected a name that ends in .png or .npy"),
        (["RUN", "--out", "none/x.png"], "there is no folder none; make it first"),
        (["RUN", "--n", "0"], "--n is 0, expected a whole number"),
        (["RUN", "--n", "-3"], "--n is -3"),
        (["RUN", "--n", "ten"], "invalid int value: 'ten'"),
        (["RUN", "--n", str(10**20)], "--n"),  # more than an array can have
        (["RUN", "--seed", "-1"], "--seed is -1, expected a whole number of at least 0"),
        (["RUN", "--threads", "0"], "threads: got 0"),
        ([], "the following arguments are required: RUN"),
        (["nothing"], "there is no checkpoint nothing/checkpoint.npz"),
        (["nothing.npz"], "there is no checkpoint nothing.npz"),
        (["runs/nothing"], "there is no checkpoint runs/nothing/checkpoint.npz"),  # and no word of an --out
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_use_of_sample_is_one_sentence_and_leaves_nothing(capsys, tmp_path, runs, words, expected):
    before = snapshot(runs)
    assert expected in refused(capsys, sample, *[str(runs / "toy") if word == "RUN" else word for word in words])
    assert list(tmp_path.iterdir()) == []
    assert snapshot(runs) == before
