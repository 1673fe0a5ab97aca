"""A run leaves what it promises, can be stopped anywhere and go on as if it had not been, and says when it fails."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training_runs import (
    EVERY,
    SMALL,
    TOY,
    PowerCut,
    around_step,
    assert_same,
    begin,
    contents,
    cut_power,
    interrupt,
    log_rows,
    resume,
    samples_for_pictures,
)

import minigan
from minigan import datasets, optim, train
from minigan.base import checkpoint
from minigan.base.errors import InputError, RunError
from minigan.gan import trainer
from minigan.gan.config import Config
from minigan.gan.run import Run, load_gan
from minigan.gan.trainer import Trainer
from minigan.kernels.parallel import threads
from minigan.tools import cli, plotting


@pytest.fixture(autouse=True)
def one_thread():
    """The same bits as the subprocesses with --threads 1, and quicker for networks this small."""
    with threads.threads(1):
        yield


# ---- what a run leaves


def test_a_run_leaves_config_log_pictures_film_and_checkpoint(tmp_path):
    out = tmp_path / "deep" / "run"
    flags = ["--preset", "mlp", "--batch-size", "8", "--seed", "3", "--steps", "12", "--sample-every", "5"]
    assert begin(out, *flags) == 0
    steps = [0, 5, 10, 12]
    names = [f"samples/step_{step:07d}.png" for step in steps]
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert left == sorted(["config.json", "log.csv", "losses.png", "training.gif", "checkpoint.npz", *names])
    settings = {"seed": 3, "steps": 12, "batch_size": 8, "sample_every": 5}
    assert json.loads((out / "config.json").read_text()) == json.loads(Config.for_preset("mlp", **settings).to_json())
    # the pictures are of G, at the beginning and now, for the same z
    gan, _, _ = load_gan(out)
    assert gan.step == 12
    for step, shown in ((0, minigan.build_gan("mlp", **settings)), (12, gan)):
        plotting.save_samples(tmp_path / "x.png", shown.sample(100, np.random.default_rng([3, 1])))
        assert (out / "samples" / f"step_{step:07d}.png").read_bytes() == (tmp_path / "x.png").read_bytes()
    with Image.open(out / "training.gif") as film:
        assert film.n_frames == 4
        for i, name in enumerate(names):
            film.seek(i)
            with Image.open(out / name) as picture:
                np.testing.assert_array_equal(np.array(film.convert("L")), np.array(picture))
    with Image.open(out / "losses.png") as picture:
        curves = np.array(picture.convert("RGB")).reshape(-1, 3).tolist()
    assert [214, 39, 40] in curves  # the generator's red and the discriminator's blue
    assert [31, 119, 180] in curves


def test_the_log_holds_what_a_hand_made_run_computes(tmp_path, quick):
    begin(tmp_path / "run", *SMALL, "--steps", "25", "--seed", "5", "--n-critic", "4")
    gan = minigan.build_gan("toy", seed=5, batch_size=16, n_critic=4)
    points, _ = datasets.load("ring")
    batches = datasets.BatchIterator(len(points), 16, np.random.default_rng([5, 2]))
    expected = []
    for step in range(1, 26):
        metrics = gan.train_step(points[batches.next_indices()])
        if step % 10 == 0 or step == 25:
            norms = {"d_grad_norm": optim.grad_norm(gan.discriminator)}
            if "g_loss" in metrics:  # G moved
                norms["g_grad_norm"] = optim.grad_norm(gan.generator)
            expected.append({"step": step, "epoch": step * 16 / 50_000, **metrics, **norms})
    assert ["g_loss" in wanted for wanted in expected] == [False, True, False]
    rows = log_rows(tmp_path / "run")
    header = "step,epoch,seconds,d_loss,g_loss,d_real,d_fake,d_grad_norm,g_grad_norm"
    header += ",frechet_distance,inception_score,entropy,note"
    assert (tmp_path / "run" / "log.csv").read_text().splitlines()[0] == header
    assert [int(row["step"]) for row in rows] == [10, 20, 25]
    for row, wanted in zip(rows, expected, strict=True):
        for name in ("d_loss", "g_loss", "d_real", "d_fake", "d_grad_norm", "g_grad_norm"):
            assert row[name] == (f"{wanted[name]:.6g}" if name in wanted else "")
        assert float(row["epoch"]) == pytest.approx(wanted["epoch"], abs=1e-4)
    arrays, _ = checkpoint.load(tmp_path / "run" / "checkpoint.npz")
    for name, array in gan.state().items():
        assert arrays[name].tobytes() == array.tobytes(), name


def test_runs_are_numbered_and_the_same_seed_is_the_same_run(tmp_path, quick, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for seed in ("1", "1", "2"):
        assert train.run([*SMALL, "--steps", "3", "--quiet", "--seed", seed]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["toy", "toy-2", "toy-3"]
    first, again, other = (contents(tmp_path / "runs" / name) for name in ("toy", "toy-2", "toy-3"))
    assert_same(again, first)
    same = {name for name in first["arrays"] if first["arrays"][name] == other["arrays"][name]}
    assert not any(name.endswith("weight") or name in ("rng", "batches.order") for name in same)
    assert "runs/toy-3/samples/step_0000003.png" in capsys.readouterr().out


# ---- stopped and resumed


@pytest.mark.parametrize("stop", [1, 8, 9, 10, 12, 16, 17, 23])
def test_stopped_and_resumed_equals_never_stopped(tmp_path, quick, never_stopped, capsys, stop):
    # 8 and 16 are checkpoints anyway, 10 is in the log, 12 has a picture, at 17 an epoch ends; 9 is a step of D alone
    with around_step(stop, before=interrupt()):
        assert begin(tmp_path / "run", *TOY, *EVERY, "--steps", "25") == 130
    assert f"stopped and saved at step {stop}; resume with: " in capsys.readouterr().out
    assert load_gan(tmp_path / "run")[0].step == stop
    assert resume(tmp_path / "run", *EVERY) == 0
    assert_same(contents(tmp_path / "run"), never_stopped)


def test_the_advice_given_at_a_stop_leads_to_the_same_run(tmp_path, quick, never_stopped, capsys):
    with around_step(9, before=interrupt()):
        begin(tmp_path / "run", *TOY, *EVERY, "--steps", "25")
    advice = re.search(r"resume with: python -m minigan\.train (.*)", capsys.readouterr().out)[1]
    train.run([*advice.split(), "--quiet"])
    assert_same(contents(tmp_path / "run"), never_stopped)


def test_a_log_row_after_a_stop_knows_no_more_and_no_less(tmp_path, quick):
    # G last moved in step 9, and the row of step 10 must not depend on what is only remembered
    flags = [*SMALL, "--n-critic", "3", "--steps", "12"]
    begin(tmp_path / "never", *flags)
    with around_step(9, before=interrupt()):
        begin(tmp_path / "run", *flags)
    resume(tmp_path / "run", "--sample-every", "100000")
    assert_same(contents(tmp_path / "run"), contents(tmp_path / "never"))


@pytest.mark.parametrize("settings", [["--preset", "digits"], ["--preset", "listing", "--optimizer", "momentum"]])
def test_networks_for_pictures_resume_too(tmp_path, quick, settings):
    # digits has batch norm, whose running statistics are part of the state
    flags = [*settings, "--batch-size", "4", "--steps", "4"]
    begin(tmp_path / "never", *flags)
    with around_step(2, before=interrupt()):
        assert begin(tmp_path / "run", *flags) == 130
    assert resume(tmp_path / "run") == 0
    assert_same(contents(tmp_path / "run"), contents(tmp_path / "never"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text,  # the log is merely longer than the checkpoint: it has step 20
        lambda text: text[: len(text) - 25],  # the line of step 20 is cut
        lambda text: text[:-1],  # and only its end
        lambda text: text + "30,0.1",
        lambda text: text + "2",
        lambda text: text + "2\n",
        lambda text: text + "\x00" * 100,  # what some file systems leave after a power cut
    ],
    ids=["longer", "cut", "no newline", "half a line", "half a number", "short line", "zeros"],
)
def test_a_power_cut_leaves_no_mark(tmp_path, quick, never_stopped, damage):
    run = tmp_path / "run"
    with around_step(22, before=cut_power), pytest.raises(PowerCut):
        begin(run, *TOY, *EVERY, "--steps", "25")
    assert load_gan(run)[0].step == 16
    assert [row["step"] for row in log_rows(run)] == ["10", "20"]
    (run / "log.csv").write_text(damage((run / "log.csv").read_text()))
    assert resume(run, *EVERY) == 0
    assert_same(contents(run), never_stopped)


def test_a_finished_run_can_be_made_longer(tmp_path, quick, never_stopped, capsys):
    run = tmp_path / "run"
    begin(run, *TOY, *EVERY, "--steps", "10")
    before = contents(run)
    with pytest.raises(InputError, match=r"complete at step 10; for more give --steps or --epochs"):
        resume(run, *EVERY)
    with pytest.raises(InputError, match="complete at step 10"):
        resume(run, "--steps", "9")
    assert_same(contents(run), before)
    # 0.9 epochs of 50,000 in batches of 3,000 are 15 steps; --epochs replaces the --steps from before
    assert resume(run, *EVERY, "--epochs", "0.9") == 0
    assert load_gan(run)[0].step == 15
    assert resume(run, *EVERY, "--steps", "25") == 0
    got = contents(run)
    assert_same(got, never_stopped, but=["log", "files", "about"])  # which know the ends at 10 and 15
    rows = [row for row in got["log"] if row["step"] != "15"]
    rows[0]["note"] = never_stopped["log"][0]["note"]  # made from the last picture, here of step 10, there of step 6
    assert rows == never_stopped["log"]
    for name, content in never_stopped["files"].items():
        if name.startswith("samples"):
            assert got["files"][name] == content
    assert Run(run).read_config().steps == 25


# ---- signals


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_program_after_its_step(tmp_path, number, status):
    run = tmp_path / "run"
    flags = [*SMALL, "--checkpoint-every", "1000000"]
    command = [sys.executable, "-m", "minigan.train", *flags, "--steps", "1000000", "--threads", "1", "--out", run]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=Path(minigan.__file__).parents[1], **pipes) as process:
        try:
            deadline = time.monotonic() + 60
            while not (run / "log.csv").exists() or len((run / "log.csv").read_text().splitlines()) < 3:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(number)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == status
    assert "Traceback" not in err
    gan, _, _ = load_gan(run)
    assert gan.step >= 20
    assert f"stopped and saved at step {gan.step}; resume with: python -m minigan.train --resume {run}\n" in out
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]
    with samples_for_pictures():
        steps = ["--steps", str(gan.step + 15)]
        assert resume(run, *steps) == 0
        begin(tmp_path / "never", *flags, *steps)
    assert_same(contents(run), contents(tmp_path / "never"), but=["files"])  # a real picture against numbers


def test_a_signal_in_the_last_step_is_not_a_reason_to_resume(tmp_path, quick, capsys):
    with around_step(6, before=interrupt()):
        begin(tmp_path / "run", *SMALL, "--steps", "6")
    assert load_gan(tmp_path / "run")[0].step == 6
    assert "resume with" not in capsys.readouterr().out  # it would be refused: the run is complete


# ---- training that fails


def to_command(argv):
    with pytest.raises(SystemExit) as stop:
        cli.main("train", train.run, argv)
    return stop.value.code


def poison_losses(gan, metrics):
    metrics["d_loss"] = float("inf")


def poison_generator(gan, metrics):
    next(iter(gan.generator.params.values())).flat[0] = np.nan


def poison_quietly(gan, metrics):  # right before it is saved: no loss has seen it
    next(iter(gan.discriminator.params.values())).flat[0] = -np.inf


@pytest.mark.parametrize(("step", "poison"), [(21, poison_losses), (21, poison_generator), (24, poison_quietly)])
def test_divergence_stops_with_advice_and_keeps_the_last_good_checkpoint(
    tmp_path, never_stopped, quick, capsys, step, poison
):
    run = tmp_path / "run"
    with around_step(step, after=poison), np.errstate(all="ignore"):
        status = to_command(["--out", str(run), "--quiet", *TOY, *EVERY, "--steps", "25"])
    assert status == 1
    err = capsys.readouterr().err
    assert re.fullmatch(r"python -m minigan\.train: training diverged at step \d+: .*; try a smaller --lr.*\n", err)
    assert str(run / "checkpoint.npz") in err
    gan, arrays, _ = load_gan(run)
    assert gan.step == 16
    assert all(np.isfinite(array).all() for array in arrays.values() if array.dtype.kind == "f")
    assert resume(run, *EVERY) == 0
    assert_same(contents(run), never_stopped)


@pytest.mark.parametrize(("spread", "note"), [(0.0, "collapsed"), (0.2, "collapsed"), (0.3, ""), (1.0, "")])
def test_samples_that_are_all_the_same_are_noted(tmp_path, quick, monkeypatch, spread, note):
    monkeypatch.setattr(trainer, "EARLY", 10)
    # a G whose samples have `spread` times the variety of the data, and which stands still
    samples, _ = datasets.load("ring")
    gan = minigan.build_gan("toy", batch_size=16, lr=1e-12, sample_every=15)
    last_weight = [param for name, param in gan.generator.params.items() if name.endswith("weight")][-1]
    drawn = gan.sample(1000, np.random.default_rng(0))
    last_weight *= np.float32(spread * trainer._variety(samples) / trainer._variety(drawn))
    run = Run.create(tmp_path / "run", "toy")
    run.start_log()
    batches = datasets.BatchIterator(len(samples), 16, np.random.default_rng(0))
    trained = Trainer(gan, samples, None, batches, run, total_steps=20, quiet=True)
    assert trained.fit() is None
    assert [row["note"] for row in log_rows(run.folder)] == ["", note]  # the first picture after the start is at 15
    assert trained.notes() == ([note] if note else [])
    assert np.ptp(gan.sample(50, np.random.default_rng(1)), axis=0).max() < 0.01 or spread


def test_a_trainer_says_where_the_good_checkpoint_is_only_if_there_is_one(tmp_path, quick):
    with around_step(3, after=poison_losses), pytest.raises(RunError) as caught:
        begin(tmp_path / "run", *SMALL, "--steps", "5")
    assert "checkpoint" not in str(caught.value)


@pytest.mark.parametrize("kept", ["config.json", "config.json log.csv samples"])
def test_a_power_cut_before_the_first_checkpoint(tmp_path, quick, never_stopped, capsys, kept):
    run = tmp_path / "run"
    with around_step(7, before=cut_power), pytest.raises(PowerCut):
        begin(run, *TOY, *EVERY, "--steps", "25")
    for path in run.iterdir():
        if path.name not in kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert resume(run, *EVERY) == 0
    assert "has no checkpoint yet and begins again at step 0" in capsys.readouterr().err
    assert_same(contents(run), never_stopped)
    # a checkpoint that was there and is not any more is another matter
    (run / "checkpoint.npz").unlink()
    with pytest.raises(InputError, match="there is no checkpoint"):
        resume(run, "--steps", "30")
    (run / "training.gif").unlink()
    with pytest.raises(InputError, match="there is no checkpoint"):  # the log knows of more than 8 steps
        resume(run, "--steps", "30")
