"""The benchmark command: what it counts, what it writes, what it refuses. Nothing here depends on how fast."""

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import ClassVar

import pytest
from image_to_image_calls import call
from PIL import Image
from test_bench_work import MULTIPLY_ADDS

from minigan.base.errors import RunError
from minigan.bench import __main__ as bench
from minigan.bench import network, scaling
from minigan.kernels.parallel import threads

TINY = bench.Budget(pairs=2, turn=1e-9, warm_up=1, trial=1, layers=1, products=1, fresh=False)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(network, "SGEMM_SIZES", (8,))
    with threads.threads(1):
        yield


class Stub:
    """A worker without a process: ours does its steps in this one, PyTorch's gives made-up figures."""

    asked: ClassVar = []

    def __init__(self, command, request):
        if "torch_reference" in str(command[-1]):
            if request["mode"] == "compile":
                raise RunError("torch_reference: no compiler.")
            slow = 3.0 if request["mode"] == "contiguous" else 2.0
            self.tasks = {"step": lambda count: {"seconds": [slow] * count}}
            facts = {"variant": {"optimizer": "fused", "joined": False}}
        else:
            json.dumps(request)
            self.tasks, facts = network._build(request)
        self.name = request.get("mode", "ours")
        self.ready = {"import_mib": 100.0, **facts}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def close(self):
        pass

    def ask(self, **task):
        ((name, amount),) = task.items()
        self.asked.append((self.name, name))
        return {"peak_mib": 150.0, **self.tasks[name](amount)}


@pytest.fixture
def stubs(monkeypatch):
    """The command without processes, tiny, as if PyTorch were installed."""
    for module in (bench, scaling):
        monkeypatch.setattr(module, "Worker", Stub)
    monkeypatch.setattr(Stub, "asked", [])
    monkeypatch.setattr(bench, "FULL", TINY._replace(fresh=True))
    monkeypatch.setattr(bench, "QUICK", TINY)
    monkeypatch.setattr(bench, "why_no_torch", lambda: None)
    monkeypatch.setattr(
        bench, "startup", lambda cold: {"import_s": 0.1, "modules_s": 1, "cold_s": 9 if cold else None, "warm_s": 2}
    )
    return monkeypatch


# ---- the command


def test_quick_writes_json_and_chart(stubs, capsys):
    status, out, err = call(capsys, bench, "--quick", "--batches", "2,3", "--presets", "mlp,listing", "--out", "there")
    assert status == 0, err
    results = json.loads(Path("there/bench.json").read_text())
    assert results.keys() == {
        "machine",
        "quick",
        "left_out",
        "torch_left_out",
        "without_reference",
        "sgemm_gflops",
        "startup",
        "configurations",
    }
    assert results["machine"].keys() == {"cpu", "cores", "threads", "system", "versions", "date"}
    assert results["machine"]["threads"] == 1
    assert [(e["preset"], e["batch"]) for e in results["configurations"]] == [
        ("mlp", 2),
        ("mlp", 3),
        ("listing", 2),
        ("listing", 3),
    ]
    entry = results["configurations"][0]
    ours, theirs = entry["ours"], entry["torch"]
    assert ours["ms_q1"] <= ours["ms"] <= ours["ms_q3"]
    assert ours["images_per_s"] == pytest.approx(2000 / ours["ms"])
    assert ours["gflops"] == pytest.approx(2 * 2 * MULTIPLY_ADDS["mlp"] / ours["ms"] / 1e6)
    assert ours["share_of_sgemm"] == pytest.approx(ours["gflops"] / results["sgemm_gflops"])
    assert (ours["import_mib"], ours["peak_mib"], ours["increase_mib"]) == (100, 150, 50)
    assert (theirs["ms"], theirs["mode"]) == (3000, "contiguous")
    assert results["configurations"][2]["torch"]["mode"] == "channels_last"
    assert entry["ratio"] == pytest.approx(3000 / ours["ms"])
    assert entry["pairwise_ratio"] > 0
    assert entry["torch_modes"]["channels_last"] == {"reason": "no convolutions"}
    assert results["left_out"][:-1] == [
        "batch 64",
        "batch 128",
        "2 turns of each side instead of 2",
        "starting with nothing compiled",
        "torch.compile",
    ]
    with Image.open("there/bench.png") as chart:
        assert chart.size[0] > 300
    assert sorted(path.name for path in Path("there").iterdir()) == ["bench.json", "bench.png"]
    for words in (
        "\nmlp ",
        "images/s",
        "median of pairs",
        "toom_cook",
        "mlp, batch 3: where a step goes",
        "2.0 s warm",
    ):
        assert words in out
    assert "left out: batch 64" in out


def test_full_tries_compile_and_goes_on_without(stubs, capsys):
    stubs.setattr(bench, "WITHOUT_CONVOLUTIONS", ())
    status, out, _ = call(capsys, bench, "--presets", "mlp", "--batches", "2")
    assert status == 0
    results = json.loads(Path("runs/bench/bench.json").read_text())
    assert results["configurations"][0]["torch_modes"]["compile"] == {"reason": "no compiler"}
    assert results["left_out"] == []
    assert "compile left out (no compiler)" in out
    assert "9.0 s with nothing compiled before" in out
    trials = [("contiguous", "step")] * 2 + [("channels_last", "step")] * 2  # a few steps tell how many are enough
    first = [("ours", "step"), *trials]  # what there is to compile, then the trials
    in_turns = [("ours", "step"), ("channels_last", "step")] * (1 + TINY.pairs)  # the first of each to warm up
    assert Stub.asked == [
        *first,
        *in_turns,
        ("ours", "layers"),
        ("ours", "kernels"),
        ("ours", "sgemm"),
        ("ours", "flops"),
    ]


def test_presets_that_pytorchs_side_does_not_know(stubs, capsys):
    status, out, err = call(capsys, bench, "--quick", "--presets", "mlp,wgan,progan,toy", "--batches", "2")
    assert status == 0, err
    results = json.loads(Path("runs/bench/bench.json").read_text())
    mlp, wgan, progan, toy = results["configurations"]
    assert mlp["torch"]
    for entry in (wgan, progan, toy):
        assert (entry["torch"], entry["ratio"], entry["torch_modes"]) == (None, None, {})
    assert "PyTorch: there is no reference for wgan, progan, toy." in out
    assert wgan["notes"] == ["a step is the mean over 5, in one of which G moves"]
    assert progan["notes"] == ["at full size, where it ends"]
    assert "wgan, batch 2: where a step goes (a step is the mean over 5, in one of which G moves)" in out
    unused = [row for row in progan["layers"] if "edge0" in row["layer"]]
    assert len(unused) == 2
    assert all(row["gflops"] is None and row["forward_ms"] == 0 for row in unused)
    assert [row["forward_ms"] > 0 for row in progan["layers"] if "edge2" in row["layer"]] == [True, True]


def test_without_torch_it_says_so_and_goes_on(stubs, capsys):
    stubs.setattr(bench, "why_no_torch", lambda: "not installed here, so nothing is compared")
    status, out, _ = call(capsys, bench, "--quick", "--presets", "mlp", "--batches", "2")
    assert status == 0
    assert "PyTorch: not installed here, so nothing is compared." in out
    (entry,) = json.loads(Path("runs/bench/bench.json").read_text())["configurations"]
    assert (entry["torch"], entry["ratio"], entry["torch_modes"]) == (None, None, {})


def test_why_no_torch(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert bench.why_no_torch() == "not installed here, so nothing is compared"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert bench.why_no_torch() is None
    monkeypatch.setattr(bench, "REFERENCE", Path("nowhere.py"))
    assert "only in a clone of the project" in bench.why_no_torch()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--presets", "dcgna"], "Did you mean 'dcgan'?"),
        (["--presets", "mlp,"], "there is no preset ''"),
        (["--batches", "64;128"], "--batches is '64;128', expected whole numbers with commas"),
        (["--batches", "64,-1"], "expected whole numbers with commas"),
        (["--batches", "1"], "batch_size is 1, expected a whole number from 2 to"),
        (["--threads", "0"], "threads: got 0"),
        (["--scaling", "--presets", "toy"], "the preset toy has no pictures"),
        (["extra"], "unrecognized arguments: extra"),
    ],
)
def test_bad_use(stubs, capsys, words, expected):
    status, out, err = call(capsys, bench, *words)
    assert (status, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


def test_out_that_cannot_be(stubs, capsys, tmp_path):
    Path("file").write_text("")
    status, _, err = call(capsys, bench, "--out", "file/below")
    assert (status, err.count("\n")) == (1, 1)
    if os.geteuid():
        Path("closed").mkdir(mode=0o500)
        status, _, err = call(capsys, bench, "--out", "closed")
        assert status == 2
        assert "may not be written to" in err
    assert not Stub.asked


def test_startup_and_its_failure(monkeypatch):
    calls = []
    monkeypatch.setattr(bench, "_call", lambda command, extra=None: calls.append((command, extra)) or "0.25 1.5\n")
    seconds = bench.startup(cold=True)
    assert (seconds["import_s"], seconds["modules_s"]) == (0.25, 1.5)
    assert seconds["cold_s"] >= 0
    first, second = (extra["NUMBA_CACHE_DIR"] for _, extra in calls[:2])
    assert first == second
    assert calls[0][0][1:5] == ["-m", "minigan.train", "--steps", "1"]
    assert bench.startup(cold=False)["cold_s"] is None
    assert calls[-3][1] is None or "NUMBA_CACHE_DIR" not in calls[-3][1]
    monkeypatch.undo()
    with pytest.raises(RunError, match="failed: oh no"):
        bench._call([sys.executable, "-c", "raise SystemExit('oh no')"])


# ---- scaling


def test_slope():
    assert scaling.slope([1, 2, 4], [3, 6, 12]) == pytest.approx((1, 1))
    assert scaling.slope([1, 2, 4], [1, 2, 8]) == pytest.approx((1.5, 2))
    assert scaling.slope([1], [1]) == (None, None)
    assert scaling.slope([1, 2], [None, 1]) == (None, None)


def test_scaling_writes_json_and_chart(stubs, capsys):
    stubs.setattr(scaling, "BATCH", 2)
    stubs.setattr(scaling, "SIDES", (4, 8))
    stubs.setattr(scaling, "MOST", 3)
    status, out, err = call(
        capsys, bench, "--scaling", "--quick", "--batches", "4,2", "--presets", "dcgan", "--out", "there"
    )
    assert status == 0, err
    results = json.loads(Path("there/scaling.json").read_text())
    points = [(p["axis"], p["value"]) for p in results["points"]]
    assert points == [("batch", 2), ("batch", 4), ("pixels", 16), ("pixels", 64), ("threads", 1)]
    assert all(p["ms"] > 0 and p["gflop"] > 0 and p["increase_mib"] == 50 for p in results["points"])
    flat = [s for s in results["slopes"] if (s["axis"], s["quantity"]) == ("batch", "increase_mib")]
    assert flat[0]["slope"] == pytest.approx(0, abs=1e-9)
    assert "log-log slope" in out
    assert "\ndcgan " in out
    assert sorted(path.name for path in Path("there").iterdir()) == ["scaling.json", "scaling.png"]
