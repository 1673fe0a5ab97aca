"""What a command measured over several seeds is kept as it comes, and summarised whatever it is."""

import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from image_to_image_calls import call

from minigan import autoencode, build_gan, classify, datasets, enhance, evaluate, inside, recognise, restore
from minigan.base.files import read_json
from minigan.gan.run import Run
from minigan.image_to_image import enhancement, training
from minigan.metrics.image_metrics import HIGHEST_PSNR, mean_psnr
from minigan.metrics.judge import Classifier
from minigan.recognition import augment, semi
from minigan.tools import plotting
from minigan.tools.seeds import mean_and_std, run_seeds, table

COLUMNS = {"psnr": ("PSNR, dB", ".2f"), "sharp": ("sharp", ".3f")}


def found(seed):
    return {"seconds": 1.0, "metrics": {"network": {"psnr": 20.0 + seed}}}


def seeds(first, count):
    return SimpleNamespace(seed=first, seeds=count)


def test_what_was_measured_is_kept_when_a_later_seed_is_interrupted(tmp_path, capsys):
    def one(seed):
        if seed == 5:
            raise KeyboardInterrupt
        return found(seed), lambda: (tmp_path / "drawn.txt").write_text(str(seed))

    with pytest.raises(KeyboardInterrupt):
        run_seeds(seeds(3, 3), tmp_path, {"steps": 7}, one, COLUMNS)
    report = read_json(tmp_path / "metrics.json")
    assert report == {"steps": 7, "runs": [{"seed": 3, **found(3)}, {"seed": 4, **found(4)}]}
    assert (tmp_path / "drawn.txt").read_text() == "3"
    assert capsys.readouterr().out.count("network") == 2


@pytest.mark.parametrize("where", ["draw", "table", "summary"])
def test_what_comes_after_a_measurement_cannot_lose_it(tmp_path, monkeypatch, where):
    def fail(*_):
        raise ZeroDivisionError

    if where != "draw":
        monkeypatch.setattr(f"minigan.tools.seeds.{'table' if where == 'table' else 'mean_and_std'}", fail)
    with pytest.raises(ZeroDivisionError):
        run_seeds(seeds(0, 2), tmp_path, {}, lambda s: (found(s), fail if where == "draw" else dict), COLUMNS)
    kept = read_json(tmp_path / "metrics.json")["runs"]
    assert kept == [{"seed": s, **found(s)} for s in range(2 if where == "summary" else 1)]


def test_seeds_that_tried_different_things():
    parts = [
        {"a": {"input": {"psnr": 1.0}, "median 3x3": {"psnr": 2.0}}},
        {"a": {"input": {"psnr": 3.0}, "median 5x5": {"psnr": 4.0}}},
        {"a": {"input": {"psnr": 8.0}, "median 3x3": {"psnr": 6.0}}},
    ]
    summary = mean_and_std([{"metrics": metrics} for metrics in parts])
    assert summary["mean"]["a"] == {
        "input": {"psnr": 4.0},
        "median 3x3 (2 of 3 seeds)": {"psnr": 4.0},
        "median 5x5 (1 of 3 seeds)": {"psnr": 4.0},
    }
    assert list(summary["deviation"]["a"]) == list(summary["mean"]["a"])
    assert summary["deviation"]["a"]["median 3x3 (2 of 3 seeds)"]["psnr"] == pytest.approx(8**0.5)
    assert math.isnan(summary["deviation"]["a"]["median 5x5 (1 of 3 seeds)"]["psnr"])


@pytest.mark.filterwarnings("error")
def test_infinite_and_undefined_numbers_are_written_read_and_shown(tmp_path, capsys):
    metrics = {"exact": {"psnr": math.inf, "sharp": math.nan}, "other": {"psnr": 12.0}}
    report = run_seeds(seeds(0, 2), tmp_path, {}, lambda seed: ({"seconds": 0, "metrics": metrics}, dict), COLUMNS)
    assert report["mean"]["exact"]["psnr"] == report["runs"][1]["metrics"]["exact"]["psnr"] == math.inf
    assert math.isnan(report["mean"]["exact"]["sharp"])
    assert math.isnan(report["deviation"]["exact"]["psnr"])
    assert report["deviation"]["other"] == {"psnr": 0.0}
    said = capsys.readouterr().out
    assert re.search(r"mean of 2 seeds:\n +PSNR, dB +sharp\nexact +inf +nan\nother +12\.00 *\n", said)


def test_a_table_of_parts():
    parts = {"a": {"one": {"psnr": 1.0}}, "b": {"two": {"sharp": 2.0}, "three": {"psnr": 3.0}}}
    lines = [line.split() for line in table(parts, COLUMNS).splitlines()]
    assert lines == [
        ["a:"], ["PSNR,", "dB"], ["one", "1.00"],
        ["b:"], ["PSNR,", "dB", "sharp"], ["two", "2.000"], ["three", "3.00"],
    ]  # fmt: skip


def test_the_mean_psnr_of_exact_pictures():
    truth = np.zeros((3, 11, 11, 1), np.uint8)
    one_off = truth.copy()
    one_off[0] = 255
    assert mean_psnr(truth, truth) == math.inf
    assert mean_psnr(one_off, truth) == pytest.approx(2 * HIGHEST_PSNR / 3)


# ---- the commands


def test_seeds_whose_best_filters_differ(capsys, few, monkeypatch):
    """As with --noise 0.3 --seeds 3 on real digits, made sure of here."""
    count = iter(range(100))
    monkeypatch.setattr(training, "best_setting", lambda settings, *_: settings[next(count) // 2 % 2])
    words = ["--noise", 0.3, "--seeds", 3, "--steps", 1, "--dataset", "coloured", "--out", "made", "--quiet"]
    code, out, err = call(capsys, enhance, *words)
    assert code == 0, err
    report = read_json("made/metrics.json")
    assert [name for name in report["runs"][1]["metrics"] if "median" in name] == ["median 5x5"]
    few_of_them = {f"median {size}x{size} ({n} of 3 seeds)" for size, n in zip(enhancement.SIZES, (2, 1), strict=True)}
    assert few_of_them < set(report["mean"])
    assert "median 5x5 (1 of 3 seeds)" in out
    assert Path("made/network.npz").exists()


SHAPE = (12, 12, 1)
POOR = {  # data sets of which little is to be learnt; all in one class
    "alike": np.tile(np.random.default_rng(0).integers(0, 256, (20, *SHAPE), np.uint8), (6, 1, 1, 1)),
    "flat": np.full((120, *SHAPE), 255, np.uint8),
}
FEW = ["--steps", "1", "--quiet"]
COMMANDS = [
    ("flat", classify, ["--steps", "2", "--quiet"]),
    ("flat", recognise, ["semi", *FEW]),
    ("flat", recognise, ["domain", *FEW]),
    ("flat", recognise, ["probe", "--run", "gan", *FEW]),
    ("flat", recognise, ["augment", "--run", "gan", *FEW]),
    ("flat", enhance, ["--judge", "judge.npz", *FEW]),
    ("alike", enhance, ["--noise", "0.3", *FEW]),
    ("flat", restore, FEW),
    ("alike", restore, ["--blur", "1", *FEW]),
    ("flat", restore, ["--generator", "gan", "--judge", "judge.npz", *FEW]),
    ("flat", autoencode, ["--run", "gan", "--judge", "judge.npz", "--latent-dim", "30", "--seeds", "2", *FEW]),
    ("alike", autoencode, ["--latent-dim", "30", "--variational", "--seeds", "2", *FEW]),
    ("flat", inside, ["gan", "--judge", "judge.npz"]),
    ("flat", evaluate, ["gan", "--judge", "judge.npz", "--n", "100"]),
    ("alike", evaluate, ["gan", "--judge", "judge.npz", "--n", "100"]),
]


@pytest.mark.parametrize(("kind", "command", "words"), COMMANDS)
def test_poor_data_end_well(capsys, tmp_path, monkeypatch, narrow_recognition, kind, command, words):
    """Every command that measures, on pictures that repeat or are flat, in one class."""
    monkeypatch.chdir(tmp_path)
    images = POOR[kind]
    load = datasets.load

    def some(name, split="train", image_size=None):
        return (images, np.zeros(len(images), int)) if name == "poor" else load(name, split, image_size)

    monkeypatch.setattr(datasets, "load", some)
    monkeypatch.setattr(datasets, "class_names", lambda name, size: ["0"])
    monkeypatch.setattr(augment, "FEW", 20)
    monkeypatch.setattr(semi, "LABELS", (20,))
    monkeypatch.setattr(restore, "SEARCHED", 4)
    Classifier(SHAPE, 1).save("judge.npz", {})
    gan = build_gan("mlp", sample_shape=SHAPE, dataset="poor", condition="labels", clusters=1, shares=np.ones(1))
    Run.create("gan", "").save(gan, type("Batches", (), {"state": dict})(), {"seconds": 1.0})
    data = [] if command in (inside, evaluate) else ["--dataset", "poor"]
    code, _, err = call(capsys, command, *words, *data, "--out", "made")
    assert code == 0, err
    report = read_json("made/metrics.json")
    if command is autoencode:  # thirty components, twenty pictures: nothing is lost
        metrics = [*(run["metrics"] for run in report["runs"]), report["mean"]]
        assert {each["principal components"]["psnr"] for each in metrics} == {math.inf}
    assert list(Path("made").glob("*.png"))


def test_evaluation_and_a_look_inside_are_saved_before_they_are_drawn(capsys, few, monkeypatch):
    def fail(*_, **__):
        raise KeyboardInterrupt

    Run.create("gan", "").save(build_gan("toy", sample_shape=(2,)), type("Batches", (), {"state": dict})(), {})
    monkeypatch.setattr(plotting, "save_samples", fail)
    for command, name in ((evaluate, "samples"), (inside, "gradient")):
        assert call(capsys, command, "gan", "--out", name)[0] == 130
        assert read_json(Path(name) / "metrics.json")[name]
