"""Looking inside: gradients of D and of its filters against differences, patches, walks, and the command as typed."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from image_to_image_calls import call, contents, refused
from PIL import Image
from small_gans import certain, encoded, reals, small, snapshot, some_conditions
from training_runs import begin, samples_for_pictures

from minigan import datasets, inside
from minigan.gan import build_gan, interpretability, latent_space
from minigan.gradcheck import check_function
from minigan.kernels.parallel import threads
from minigan.models import PRESETS

every_preset = pytest.mark.parametrize("preset", PRESETS)
several_told = pytest.mark.parametrize(
    ("preset", "conditioning"), [("cogan", "projection"), ("lapgan", "projection"), ("lapgan", "concatenation")]
)
every_picture_preset = pytest.mark.parametrize("preset", [name for name in PRESETS if name != "toy"])


@pytest.fixture(autouse=True)
def one_core():
    with threads.threads(1):
        yield


# ---- the gradient of D(x)


def report_of(gan, factor=1.0):
    """The check of the sum of the logits by x; 1e-6, as near ReLU's kinks there are many in whole networks."""
    conditions = some_conditions(gan)

    def total(x):
        logits, grad = interpretability.saliency(gan, x, conditions)
        return float(logits.sum()), factor * grad

    return check_function(total, encoded(gan), tolerance=1e-6, max_entries=40)


@every_preset
def test_the_gradient_by_the_pixels(preset):
    gan = certain(small(preset))
    before = {name: grad.copy() for name, grad in gan.discriminator.grads.items()}
    weights = snapshot(gan.discriminator, gan.generator)
    report = report_of(gan)
    assert report.ok, report
    assert all(np.array_equal(before[name], grad) for name, grad in gan.discriminator.grads.items())
    after = snapshot(gan.discriminator, gan.generator)
    assert all(np.array_equal(weights[key], after[key]) for key in weights)
    assert not report_of(gan, 1.001).ok


@several_told
def test_the_gradient_by_the_pixels_of_several_judgements_of_a_condition(preset, conditioning):
    report = report_of(certain(small(preset, condition="labels", conditioning=conditioning)))
    assert report.ok, report


@every_preset
def test_each_sample_is_judged_as_the_game_judges_it(preset):
    gan, x, conditions = certain(small(preset)), encoded(small(preset)), some_conditions(small(preset))
    expected = gan.discriminator.forward(x, conditions, training=False).reshape(len(x), -1).sum(axis=1)
    np.testing.assert_allclose(interpretability.discriminator_logit(gan, x, conditions), expected, rtol=1e-12)
    np.testing.assert_allclose(interpretability.saliency(gan, x, conditions)[0], expected, rtol=1e-12)


@pytest.mark.parametrize("preset", ["digits", "digits-unconditional", "cgan", "acgan", "biggan", "dcgan"])
def test_the_likeliest_condition(preset):
    check_likeliest(certain(small(preset)))


@several_told
def test_the_likeliest_condition_of_several_judgements(preset, conditioning):
    check_likeliest(certain(small(preset, condition="labels", conditioning=conditioning)))


def check_likeliest(gan):
    x, known = encoded(gan), gan.conditions
    found = interpretability.likeliest(gan, x)
    if not known.count:
        assert found is None
        return
    said = np.stack(
        [interpretability.discriminator_logit(gan, x, np.full(len(x), c)) for c in range(known.count)], axis=1
    )
    np.testing.assert_array_equal(said[np.arange(len(x)), found], said.max(axis=1))
    if known.classes:
        labels = np.arange(len(x)) % known.classes
        of_label = interpretability.likeliest(gan, x, labels)
        np.testing.assert_array_equal(known.labels(of_label), labels)
        for i, label in enumerate(labels):
            assert said[i, of_label[i]] == said[i, label * known.clusters : (label + 1) * known.clusters].max()


@pytest.mark.parametrize("preset", ["dcgan", "cgan", "toy"])
def test_the_gradient_leads_uphill(preset):
    gan = certain(small(preset))
    x, conditions = encoded(gan), some_conditions(gan)
    metrics = interpretability.steps_along(gan, x, conditions, np.random.default_rng(1))
    _, grad = interpretability.saliency(gan, x, conditions)
    length = np.sqrt(np.square(grad).reshape(len(x), -1).sum(axis=1)).mean()
    assert metrics["gradient_length"] == pytest.approx(length)
    expected = interpretability.STEP * np.sqrt(x[0].size) * length  # to first order
    assert metrics["rise_along_the_gradient"] == pytest.approx(expected, rel=0.1)
    assert abs(metrics["rise_along_a_random_direction"]) < expected


# ---- filters


def filters_of(gan, number=0, n=6):
    x, conditions = interpretability.encoded(gan, reals(gan, n)), some_conditions(gan, n)
    layers = interpretability.first_filters(gan, x)
    return interpretability.Filters(gan, layers[min(number, len(layers) - 1)], x, conditions), x, conditions


@every_picture_preset
@pytest.mark.parametrize("number", [0, 1])
def test_the_gradient_of_a_filter_s_answer(preset, number):
    gan = certain(small(preset))
    found, x, conditions = filters_of(gan, number)
    chosen = found.chosen[np.arange(len(x)) % len(found.chosen)]
    places = np.arange(len(x)) % (found.size[0] * found.size[1])

    def total(x):
        answers, grad = found.gradients(x, conditions, chosen, places)
        return float(answers.sum()), grad

    report = check_function(total, x, tolerance=1e-6, max_entries=20)
    if preset == "biggan" and not any(row.analytic for row in report.rows):
        pytest.skip("every one of these answers lies below its ReLU")
    assert report.ok, report
    assert "_forward" not in vars(found.layer), "what listened is gone"


def test_a_wrong_gradient_of_an_answer_is_seen():
    gan = certain(small("dcgan"))
    found, x, conditions = filters_of(gan, 1)

    def neighbour(x):
        answers, _ = found.gradients(x, conditions, np.zeros(len(x), int), np.zeros(len(x), int))
        _, grad = found.gradients(x, conditions, np.ones(len(x), int), np.zeros(len(x), int))
        return float(answers.sum()), grad

    assert not check_function(neighbour, x, max_entries=20).ok


def test_answers_and_their_best_samples():
    gan = certain(small("dcgan"))
    found, x, _ = filters_of(gan, n=9)
    first = gan.discriminator.layers[0]
    heard = first.forward(x, False).reshape(9, -1, 64)
    np.testing.assert_allclose(found.answers, heard.max(axis=1))
    np.testing.assert_allclose(found.mean, heard.mean(axis=(0, 1)))
    np.testing.assert_allclose(found.deviation, heard.std(axis=(0, 1)))
    for f in range(64):
        np.testing.assert_array_equal(
            found.best[f], np.argsort(-heard[:, :, f].max(axis=1))[: interpretability.PATCHES]
        )


@pytest.mark.parametrize(
    ("preset", "patches"),
    [
        ("dcgan", [(4, 4), (10, 10)]),
        ("listing", [(5, 5), (13, 13)]),
        ("cgan", [(4, 4), (10, 10)]),
        ("sngan", [(4, 4), (10, 10)]),
        ("cogan", [(4, 4)]),
        ("lapgan", [(4, 4), (10, 10)]),
        ("resnet", [(4, 4), (8, 8)]),
        ("mlp", [(28, 28)]),
    ],
)
def test_what_a_filter_sees(preset, patches):
    """Kernels of 4 and stride 2 see 4, then 4 + 3·2 pixels each way, and nothing else moves their answer."""
    gan = certain(_large(preset))
    for number, patch in enumerate(patches):
        found, x, conditions = filters_of(gan, number, 3)
        assert found.patch == patch
        place = found.places[0, 0]
        top, left = found.origin + np.array(divmod(int(place), found.size[1])) * found.stride
        one = slice(0, 1)
        told_one = None if conditions is None else conditions[one]
        answer, _ = found.gradients(x[one], told_one, found.chosen[:1], np.array([place]))
        inside_it = np.zeros(x.shape[1:3], bool)
        inside_it[max(top, 0) : top + patch[0], max(left, 0) : left + patch[1]] = True
        for mask, moves in ((~inside_it, False), (inside_it, True)):
            if mask.any():
                changed = np.where(mask[..., None], x[one] + 0.5, x[one])
                again, _ = found.gradients(changed, told_one, found.chosen[:1], np.array([place]))
                assert (abs(again - answer)[0] > 1e-6) == moves


def _large(preset):
    overrides = {"clusters": 2} if "condition" in PRESETS[preset].defaults else {}
    return build_gan(preset, seed=1, dtype=np.float64, **overrides)


def test_patches_are_cut_where_the_answer_was():
    gan = certain(small("dcgan"))
    found, x, _ = filters_of(gan)
    every = np.arange(len(found.chosen))
    cut = found.cut(x[found.best], every)
    first = gan.discriminator.layers[0]
    for f in (0, 17, 63):
        for k in range(interpretability.PATCHES):
            place = divmod(int(found.places[found.best[f, k], f]), found.size[1])
            if 0 < place[0] < found.size[0] - 1 and 0 < place[1] < found.size[1] - 1:
                weight, bias = first.params["weight"][..., f], first.params["bias"][f]
                value = (cut[f, k] * weight).sum() + bias
                value = value if value > 0 else 0.2 * value
                assert value == pytest.approx(found.answers[found.best[f, k], f])


def test_ascent_goes_up_and_stays_in_range():
    gan = certain(small("dcgan"))
    for number in (0, 1):
        found, _, _ = filters_of(gan, number)
        x, answers = found.ascend()
        best = found.answers[found.best[:, 0], np.arange(len(answers))]
        assert np.abs(x).max() <= 1
        assert (answers >= best - 1e-9).all()
        assert np.median(answers) > np.median(best)
    first, (x, answers) = gan.discriminator.layers[0], filters_of(gan, 0)[0].ascend()
    reachable = np.abs(first.params["weight"]).sum(axis=(0, 1, 2)) + first.params["bias"]  # of a linear answer
    inner = answers > 0.9 * reachable
    assert inner.mean() > 0.3
    assert (answers <= reachable + 1e-9).all()


# ---- walks


def test_walks_beside_fades(monkeypatch):
    """A generator that moves a square across the picture: half-way there is one square, in a fade there are two halves
    of one."""

    def decode(z, conditions=None):
        made = -np.ones((len(z), 12, 30, 1), np.float32)
        for picture, where in zip(made, np.clip(12 + 4 * z[:, 0], 2, 24).astype(int), strict=True):
            picture[3:9, where : where + 4] = 1
        return made

    gan = SimpleNamespace(
        sample_shape=(12, 30, 1),
        draw_z=lambda n, rng, truncation: rng.standard_normal((n, 2)),
        conditions=SimpleNamespace(draw=lambda *_: None),
        decode=decode,
    )
    half = SimpleNamespace(predict=lambda images: (None, np.stack([(images > 250).mean(axis=(1, 2, 3))] * 2, axis=1)))
    metrics = interpretability.compare_walks(gan, np.random.default_rng(0), None, half)
    assert metrics["walk"]["sharpness"] == pytest.approx(1)
    assert metrics["fade"]["sharpness"] < 0.8
    assert metrics["walk"]["confidence"] == pytest.approx(24 / 360)
    assert metrics["fade"]["confidence"] < 0.5 * metrics["walk"]["confidence"]
    assert "confidence" not in interpretability.compare_walks(gan, np.random.default_rng(0), None)["fade"]


# ---- the command


@pytest.fixture
def few(monkeypatch, tmp_path):
    """An empty folder, few test pictures to load, and short walks."""
    monkeypatch.chdir(tmp_path)
    load = datasets.load

    def some(name, split="train", image_size=None):
        return tuple(array[:60] for array in load(name, split, image_size))

    monkeypatch.setattr(datasets, "load", some)
    monkeypatch.setattr(interpretability, "MEASURED_WALKS", 3)
    monkeypatch.setattr(interpretability, "ASCENT_STEPS", 2)
    monkeypatch.setattr(latent_space, "MOST_DRAWN", 500)


def trained(preset, *flags):
    with samples_for_pictures():
        begin(Path("run"), "--preset", preset, "--batch-size", "8", "--steps", "1", *flags)


@pytest.mark.parametrize(
    "flags",
    [
        ("dcgan",),
        ("mlp",),
        ("digits", "--clusters", "2"),
        ("cgan",),
        ("cogan",),
        ("lapgan",),
        ("progan",),
        ("biggan",),
    ],
    ids=lambda flags: flags[0],
)
def test_the_command_on_presets(capsys, few, flags):
    trained(*flags)
    code, out, err = call(capsys, inside, "run")
    assert code == 0, err
    report = json.loads(Path("run/inside/metrics.json").read_text())
    assert report["preset"] == flags[0]
    assert set(report["gradient"]) == {"real", "samples"}
    assert set(report["walks"]["walk"]) == {"sharpness", "confidence"}
    count = 1 if flags[0] in ("cogan",) else 2
    assert len(report["filters"]) == count
    expected = {"metrics.json", "gradient.png", "walks.png", *(f"filters{i + 1}.png" for i in range(count))}
    assert {path.name for path in Path("run/inside").iterdir()} == expected
    assert "expected" in report["arithmetic"]["left_out"] or "conditional" in report["arithmetic"]["left_out"]
    for path in Path("run/inside").glob("*.png"):
        assert min(Image.open(path).size) > 50
    assert "D's logit of samples" in out


def test_points(capsys, few):
    trained("toy")
    code, out, err = call(capsys, inside, "run", "--out", "there")
    assert code == 0, err
    assert {path.name for path in Path("there").iterdir()} == {"metrics.json", "field.png", "walks.png"}
    report = json.loads(Path("there/metrics.json").read_text())
    assert "filters" not in report
    assert report["gradient"]["real"]["rise_along_the_gradient"] > 0
    assert call(capsys, inside, "run", "--out", "again")[1] == out.replace("there", "again")
    assert Path("again/metrics.json").read_bytes() == Path("there/metrics.json").read_bytes()


def test_a_sum_that_is_asked_for(capsys, few, monkeypatch):
    trained("mlp")
    seen = [(7, 0.99), (1, 0.98), (8, 0.6), *[(8, 0.5)] * 8]
    drawn = []
    monkeypatch.setattr(inside, "draw_sum", lambda gan, terms, rng, out: drawn.append(terms) or seen)
    assert call(capsys, inside, "run", "--arithmetic", "7+1")[0] == 0
    assert drawn == [[(1, 7), (1, 1)]]
    report = json.loads(Path("run/inside/metrics.json").read_text())["arithmetic"]
    assert report["sum"] == "7+1"
    assert [word["of"] for word in report["seen"]] == ["+7", "+1", "sum"]
    assert report["seen"][2] == {"of": "sum", "seen": 8, "confidence": 0.6}
    assert report["around"] == [8] * 8
    monkeypatch.setattr(inside, "draw_sum", latent_space.draw_sum)
    code, _, err = call(capsys, inside, "run", "--arithmetic", "7+1")  # after one step no digits are drawn
    assert code == 2
    assert "the judge is sure of a" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nothing"], "there is no checkpoint"),
        (["run", "--seed", "-1"], "--seed is -1"),
        (["run", "--arithmetic", "7"], "expected digits with"),
        (["run", "--judge", "nothing.npz"], "there is no checkpoint nothing.npz"),
        ([], "the following arguments are required: RUN"),
    ],
    ids=str,
)
def test_bad_use_is_one_sentence(capsys, few, tmp_path, words, expected):
    trained("mlp")
    before = contents(tmp_path)
    assert expected in refused(capsys, inside, *words)
    assert contents(tmp_path) == before
