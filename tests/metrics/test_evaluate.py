"""What is said of samples: real pictures, copies, one digit over and over; and the command on a run's folder."""

import json

import numpy as np
import pytest
from PIL import Image

from minigan import datasets, evaluate, metrics, train
from minigan.base.errors import InputError
from minigan.gan.run import Run, load_gan
from minigan.metrics import evaluation
from minigan.metrics.judge import Classifier, shipped_judge

N = 300


@pytest.fixture(scope="module")
def mnist():
    images, labels = datasets.load("mnist")
    test, test_labels = datasets.load("mnist", "test")
    return images[:2000], labels[:2000], test[:1000], test_labels[:1000]


@pytest.fixture(scope="module")
def reference(mnist):
    images, labels, test, test_labels = mnist
    judge = Classifier()
    judge.fit(images[:1000], labels[:1000], 3, np.random.default_rng(0), batch_size=50)
    return evaluation.Reference(images, test, test_labels, judge, N, np.random.default_rng(1))


def test_real_pictures_are_good_samples(reference):
    real = reference.real_metrics()
    assert real["classes"] == 10
    assert real["precision"] > 0.7
    assert real["recall"] > 0.7
    assert real["copies"] == 0
    assert abs(real["kernel_distance"]) < 50
    assert reference.real_metrics() is real
    assert list(real) == [*(key for key in evaluation.LABELS if key in real), "class_shares"]


def test_training_pictures_are_copies(reference, mnist):
    found = reference.measure(datasets.to_float(mnist[0][:N]))
    assert found["copies"] == N
    assert found["nearest"] == found["nn_median"] == 0


def test_one_picture_over_and_over(reference, mnist):
    found, real = reference.measure(np.repeat(mnist[2][:1], N, axis=0)), reference.real_metrics()
    assert found["classes"] == 1
    assert found["entropy"] == 0
    assert found["commonest_class"] == 1
    assert found["recall"] < 0.05
    assert found["coverage"] < 0.05
    assert found["inception_score"] == pytest.approx(1)
    assert found["accuracy_score"] < 0.2
    assert found["frechet_distance"] > 5 * real["frechet_distance"]


def test_noise(reference):
    noise = np.random.default_rng(2).integers(0, 256, (N, 28, 28, 1), np.uint8)
    found, real = reference.measure(noise), reference.real_metrics()
    assert found["precision"] < 0.05
    assert found["density"] < 0.1
    assert found["frechet_distance"] > 5 * real["frechet_distance"]
    assert found["nn_median"] > 2 * real["nn_median"]


def test_points():
    real, other = (datasets.sample_toy("ring", 2000, np.random.default_rng(seed))[0] for seed in range(2))
    good = evaluation.points(other, real, "ring")
    collapsed = evaluation.points(np.repeat(other[:1], 2000, axis=0), real, "ring")
    assert good["modes"] == 8
    assert good["good"] > 0.97
    assert collapsed["modes"] == 1
    assert good["jensen_shannon"] < 0.3 < 0.6 < collapsed["jensen_shannon"] <= np.log(2)


@pytest.mark.parametrize("preset", ["mlp", "toy"])
def test_the_command_says_the_same_twice(preset, reference, tmp_path, capsys):
    judge, folder = tmp_path / "judge.npz", tmp_path / "run"
    reference.judge.save(judge, {})
    train.run(["--preset", preset, "--steps", "3", "--quiet", "--out", str(folder)])
    reports = []
    for _ in range(2):
        capsys.readouterr()
        judged = [] if preset == "toy" else ["--judge", str(judge)]
        assert evaluate.run([str(folder), "--n", "200", *judged]) == 0
        report = json.loads((folder / "metrics.json").read_text(), parse_constant=pytest.fail)  # NaN is no JSON
        del report["seconds"]
        reports.append(report)
    assert reports[0] == reports[1]
    assert (folder / "evaluation.png").stat().st_size > 10_000
    text = capsys.readouterr().out
    assert ("modes covered" if preset == "toy" else f"judge {reference.judge.name}") in text


def test_a_run_is_followed_and_not_disturbed(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation, "FOLLOWED", 200)
    begun = ["--preset", "mlp", "--steps", "12", "--quiet", "--out"]
    train.run([*begun, str(tmp_path / "alone")])
    train.run([*begun, str(tmp_path / "followed"), "--evaluate-every", "5"])
    alone, followed = (load_gan(tmp_path / name)[0] for name in ("alone", "followed"))
    for key, array in alone.generator.params.items():
        np.testing.assert_array_equal(array, followed.generator.params[key], err_msg=key)
    log = Run(tmp_path / "followed").read_log()
    assert log["step"] == [5, 10, 12]
    assert (tmp_path / "followed" / "quality.png").exists()
    images, test = (datasets.load("mnist", split)[0] for split in ("train", "test"))
    follower = evaluation.Follower(images, test, shipped_judge(), seed=0)
    found = follower.measure(followed)
    for name, value in found.items():
        assert log[name][-1] == pytest.approx(value, rel=1e-5)
    assert found["frechet_distance"] > 10 * follower.real_metrics["frechet_distance"]
    with pytest.raises(InputError, match=r"evaluate_every goes with the data set mnist, .* not with ring"):
        train.run(["--preset", "toy", "--evaluate-every", "5", "--out", str(tmp_path / "toy")])


def test_a_sweep_of_truncations(reference, tmp_path, capsys):
    """The last point is what evaluate itself finds, the others what z within their bounds gives."""
    judge, folder = tmp_path / "judge.npz", tmp_path / "run"
    reference.judge.save(judge, {})
    train.run(["--preset", "mlp", "--condition", "labels", "--steps", "60", "--quiet", "--out", str(folder)])
    common = [str(folder), "--n", "200", "--judge", str(judge)]
    capsys.readouterr()
    assert evaluate.run([*common, "--truncations", "2, 0.02,0.5"]) == 0
    said = capsys.readouterr().out
    report = json.loads((folder / "truncation.json").read_text())
    assert [point["truncation"] for point in report["points"]] == [0.02, 0.5, 2, None]
    assert not (folder / "metrics.json").exists()
    with Image.open(folder / "truncation.png") as picture:
        assert picture.width == 1000
    assert [line.split()[0] for line in said.splitlines()[2:8]] == ["z", "0.02", "0.5", "2", "all", "real"]
    gan, _, _ = load_gan(folder)
    z, conditions = gan.draw_z(200, draw := np.random.default_rng([0, 0]), 0.5), gan.conditions.draw(200, draw)
    _, probabilities = reference.judge.predict(datasets.to_uint8(gan.decode(z, conditions)))
    assert report["points"][1]["inception_score"] == pytest.approx(metrics.inception_score(probabilities))
    assert evaluate.run(common) == 0
    whole = json.loads((folder / "metrics.json").read_text())
    for key in evaluate.SWEPT:
        assert report["points"][-1][key] == pytest.approx(whole["samples"][key])
        assert report["real"][key] == pytest.approx(whole["real"][key])


@pytest.mark.parametrize("words", ["", "0.5,", "0.5;1", "nan", "0.5,inf", "0.001"])
def test_truncations_that_cannot_be(words, tmp_path):
    train.run(["--preset", "mlp", "--steps", "1", "--quiet", "--out", str(tmp_path / "run")])
    with pytest.raises(InputError, match="truncation"):
        evaluate.run([str(tmp_path / "run"), "--n", "100", "--truncations", words])
    assert not (tmp_path / "run" / "truncation.json").exists()


def test_a_critic_is_compared_with_the_samples_quality(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluation, "FOLLOWED", 200)
    flags = ["--steps", "12", "--quiet", "--evaluate-every", "4", "--out"]
    critic = ["--preset", "mlp", "--loss", "wasserstein", "--weight-clip", "0.01", "--n-critic", "2"]
    train.run([*critic, *flags, str(tmp_path / "critic")])
    said = capsys.readouterr().out
    log = Run(tmp_path / "critic").read_log()
    assert log["step"] == [4, 8, 10, 12]
    (*distance, _, last), loss = log["frechet_distance"], -np.array(log["d_loss"])  # no penalty: minus the estimate
    estimates = [loss[0], loss[1], (loss[2] + loss[3]) / 2]
    expected = np.corrcoef([*distance, last], estimates)[0, 1]
    follows = evaluation.critic_follows(log)
    assert follows["steps"] == [4, 8, 12]
    assert follows["estimate"] == pytest.approx(estimates, rel=1e-4)
    assert follows["pearson"] == pytest.approx(expected, abs=1e-3)
    assert f"3 looks: Pearson {follows['pearson']:.2f}, Spearman {follows['spearman']:.2f}" in said
    train.run(["--preset", "mlp", *flags, str(tmp_path / "judge")])
    assert "Pearson" not in capsys.readouterr().out
    heights = [Image.open(tmp_path / name / "quality.png").height for name in ("critic", "judge")]
    assert heights[0] > heights[1]
    assert evaluation.critic_follows({name: column[:2] for name, column in log.items()}) is None


def test_the_shipped_judge_is_the_one_that_the_documents_name():
    assert shipped_judge().name in (datasets.DATA_DIR / "README.md").read_text()


def test_too_many_samples_are_refused(reference, mnist):
    with pytest.raises(InputError, match="2000 training and 1000 test pictures, too few to judge 1001"):
        evaluation.Reference(mnist[0], *mnist[2:], reference.judge, 1001, np.random.default_rng(0))
    with pytest.raises(InputError, match="expected a whole number from 100 to 10,000"):
        evaluate.run(["nowhere", "--n", "10001"])
