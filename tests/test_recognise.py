"""Recognition: gradients of its games and what is planted in them, its data, that it learns, and its command."""

import json
import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from minigan import cli, datasets, losses, recognise
from minigan.errors import InputError, RunError
from minigan.gan import build_gan
from minigan.gradcheck import check_function, check_gradients
from minigan.kernels import threads
from minigan.layers import Dense, GradientReversal, Sequential, Tanh
from minigan.models import domain as domain_networks
from minigan.models import semi as semi_networks
from minigan.optim import SGD
from minigan.recognition import augment, common, domain, probe, semi, textures
from minigan.run import Run


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Narrow networks, on one core."""
    monkeypatch.setattr(semi_networks, "HIDDEN", (24, 12))
    monkeypatch.setattr(domain_networks, "FEATURES", 16)
    with threads.threads(1):
        yield


def draw(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def follow(title, steps):
    return nullcontext(lambda step, figures: None)


# ---- the reversed gradient


def dense(inputs, outputs, seed):
    return Dense(inputs, outputs, rng=np.random.default_rng(seed), dtype=np.float64)


def test_reversal_turns_the_gradient_round():
    """Forward it is the identity; what lies below gets the true gradient times -λ, what lies above the true one."""
    below, above, x, g = dense(3, 4, 1), dense(4, 2, 2), draw(5, 3), draw(5, 2, seed=2)
    reversed_, plain = Sequential([below, GradientReversal(0.7), above]), Sequential([below, above])
    assert np.array_equal(reversed_.forward(x), plain.forward(x))
    assert check_gradients(plain, x).ok
    right, turned = {}, {}
    for network, grads in ((plain, right), (reversed_, turned)):
        network.zero_grad()
        network.forward(x)
        grads["input"] = network.backward(g)
        for name, layer in (("below", below), ("above", above)):
            grads[name] = layer.grads["weight"].copy()
    for name, factor in (("input", -0.7), ("below", -0.7), ("above", 1)):
        np.testing.assert_allclose(turned[name], factor * right[name], rtol=1e-13, atol=1e-15)


def test_two_reversals_undo_each_other():
    """-λ times -1/λ is 1, and then the numbers' check must pass; a reversal alone is the derivative of nothing."""
    layers = [dense(3, 4, 1), GradientReversal(0.25), Tanh(), GradientReversal(4.0)]
    assert check_gradients(Sequential([*layers[1:]]), draw(5, 3)).ok
    for wrong in (layers[:2], layers[:3], [GradientReversal(0.0)], [GradientReversal(0.5), GradientReversal(0.5)]):
        assert not check_gradients(Sequential(wrong), draw(5, 3)).ok


def test_the_strength_of_the_forward_pass_counts():
    layer = GradientReversal(2.0)
    layer.forward(draw(2, 3))
    layer.strength = 5.0
    assert np.array_equal(layer.backward(np.ones((2, 3))), np.full((2, 3), -2.0))


# ---- the semi-supervised loss


def test_the_logits_say_how_real_a_picture_is():
    """D = Z / (Z + 1) as in the paper, where the exponentials can be written out; finite where they cannot."""
    labelled, unlabelled, fake = draw(3, 4), draw(5, 4, seed=2), draw(2, 4, seed=3)
    labels = np.array([3, 0, 1])
    z = [np.exp(x).sum(axis=1) for x in (unlabelled, fake)]
    expected = -np.log(z[0] / (z[0] + 1)).mean() - np.log(1 - z[1] / (z[1] + 1)).mean()
    known, _ = losses.softmax_cross_entropy(labelled, labels)
    value, *_ = losses.semi_supervised(labelled, labels, unlabelled, fake, weight=0.3)
    assert value == pytest.approx(known + 0.3 * expected, rel=1e-12)
    for dtype in (np.float32, np.float64):
        sure = np.array([[1e3, -1e3], [-1e3, -1e3], [1e3, 1e3]], dtype)
        value, *grads = losses.semi_supervised(sure, np.zeros(3, int), sure, sure)
        assert np.isfinite(value)
        assert all(grad.dtype == dtype and np.isfinite(grad).all() for grad in grads)
    for bad in (unlabelled[:, :3], unlabelled.astype(np.float32), unlabelled[0], None):
        with pytest.raises(InputError, match=r"unlabelled must be float64 logits \(N, 4\)"):
            losses.semi_supervised(labelled, labels, bad, fake)


def game(kind=semi.SemiSupervised):
    made = kind((4, 8, 1), 3, seed=5, dtype=np.float64)
    for layer in made.discriminator.layers:
        if hasattr(layer, "deviation"):
            layer.deviation = 0  # other noise at every pass is no function
    return made


PICTURES = [np.tanh(draw(n, 4, 8, 1, seed=n)) for n in (3, 4, 5)]
LABELS = np.array([2, 0, 1])


def d_report(kind=semi.SemiSupervised):
    played = game(kind)
    names = [name for name in played.discriminator.params if name.endswith("weight")][::2]

    def loss(*weights):
        played.discriminator.params.update(dict(zip(names, weights, strict=True)))
        value, _ = played.d_loss(PICTURES[0], LABELS, *PICTURES[1:])
        return value, *(played.discriminator.grads[name].copy() for name in names)

    return check_function(loss, *(played.discriminator.params[name] for name in names), max_entries=60)


def g_report(kind=semi.SemiSupervised):
    """Of the distance between the mean features of real and made-up pictures, worked out by itself."""
    played = game(kind)
    _, target = played.d_loss(PICTURES[0], LABELS, *PICTURES[1:])

    def objective(made):
        gap = played.features.forward(PICTURES[1]).mean(axis=0) - played.features.forward(made).mean(axis=0)
        return float((gap**2).sum()), played.g_loss(target, made)[1]

    return check_function(objective, PICTURES[2], max_entries=60)


class OtherLoss(semi.SemiSupervised):
    """A subclass says what becomes of the three gradients on their way back into D."""

    def d_loss(self, labelled, labels, unlabelled, made):
        right, real = losses.semi_supervised, super().d_loss

        def changed(*arrays):
            value, *grads = right(*arrays)
            return value, *self.change(*grads)

        losses.semi_supervised = changed
        try:
            return real(labelled, labels, unlabelled, made)
        finally:
            losses.semi_supervised = right


class WrongPlaces(OtherLoss):
    """The gradients of unlabelled and made-up pictures in each other's place."""

    def change(self, known, real, fake):
        return known, fake, real


class NoFakes(OtherLoss):
    """What is made up does not come back."""

    def change(self, known, real, fake):
        return known, real, 0 * fake


class WrongPart(semi.SemiSupervised):
    """The features of the made-up pictures as the target."""

    def d_loss(self, labelled, labels, unlabelled, made):
        value, _ = super().d_loss(labelled, labels, unlabelled, made)
        return value, self.features.forward(made).mean(axis=0)


class WrongCount(semi.SemiSupervised):
    """The mean over another batch's size."""

    def g_loss(self, target, made):
        value, grad = super().g_loss(target, made)
        return value, grad * len(made) / 3


class LogitsForFeatures(semi.SemiSupervised):
    """What the last layer does to them as well."""

    def g_loss(self, target, made):
        value, grad = losses.feature_matching(self.features.forward(made), target)
        weight = self.head.params["weight"]
        return value, self.features.backward(grad @ weight @ weight.T, need_param_grads=False)


def test_the_game_s_gradients():
    for report in (d_report(), g_report()):
        assert report.ok, report


@pytest.mark.parametrize("kind", [WrongPlaces, NoFakes])
def test_planted_in_the_discriminator_s_loss(kind):
    assert not d_report(kind).ok


@pytest.mark.parametrize("kind", [WrongPart, WrongCount, LogitsForFeatures])
def test_planted_in_the_generator_s_loss(kind):
    assert not g_report(kind).ok


def test_both_networks_gradients():
    rng = np.random.default_rng(1)
    x = np.tanh(draw(4, 4, 8, 2))
    report = check_gradients(semi_networks.semi_discriminator((4, 8, 2), 3, rng, rng, np.float64), x, max_entries=20)
    assert report.ok, report
    generator = semi_networks.semi_generator((4, 8, 2), rng, np.float64)
    report = check_gradients(generator, draw(4, semi_networks.LATENT), max_entries=8)
    assert report.ok, report


def test_each_player_moves_itself_only():
    played = game()
    d, g = ({k: v.copy() for k, v in n.params.items()} for n in (played.discriminator, played.generator))
    made = played.generator.forward(played.draw(5))
    _, target = played.d_loss(PICTURES[0], LABELS, PICTURES[1], made)
    grads = {name: grad.copy() for name, grad in played.discriminator.grads.items()}
    played.g_loss(target, made)
    assert all(np.array_equal(grads[name], grad) for name, grad in played.discriminator.grads.items())
    played.step_alone(PICTURES[0], LABELS)
    assert all(np.array_equal(g[name], param) for name, param in played.generator.params.items())
    played.step(PICTURES[0], LABELS, PICTURES[1])
    for before, network in ((d, played.discriminator), (g, played.generator)):
        assert all((before[name] != param).any() for name, param in network.params.items() if "weight" in name)


# ---- the domain-adversarial loss


CLEAN, OTHER = np.tanh(draw(3, 8, 4, 3)), np.tanh(draw(3, 8, 4, 3, seed=2))
STRENGTH = 0.6


def domain_report(change=lambda network: None):
    """The gradient of what each part minimises: f that of L_y - λ L_d, the heads those of L_y and of L_d.

    change: applied to the network, so that something is wrong.
    """
    network = domain.DomainAdversarial((8, 4, 3), 3, 1, np.float64)
    network.domains.layers[0].strength = STRENGTH
    change(network)
    parts = {"features": (network.features, "3.weight"), "labels": (network.labels, "0.weight")}
    parts["domains"] = (network.domains, "1.weight")
    for part, (owner, name) in parts.items():

        def objective(weight, part=part, owner=owner, name=name):
            owner.params[name] = weight
            recognised, told = network.loss(CLEAN, LABELS, OTHER)
            value = {"features": recognised - STRENGTH * told, "labels": recognised, "domains": told}[part]
            return value, owner.grads[name].copy()

        yield check_function(objective, owner.params[name].copy(), max_entries=60)


def test_the_domain_s_gradients():
    for report in domain_report():
        assert report.ok, report


def with_another_strength(network):
    network.domains.layers[0].strength = STRENGTH / 2


def without_the_domain(network):
    backward = network.domains.backward
    network.domains.backward = lambda *a, **options: 0 * backward(*a, **options)


def without_the_label(network):
    backward = network.labels.backward
    network.labels.backward = lambda *a, **options: 0 * backward(*a, **options)


@pytest.mark.parametrize("plant", [with_another_strength, without_the_domain, without_the_label])
def test_planted_in_the_domain_s_loss(plant):
    features, labels, domains = domain_report(plant)
    assert not features.ok
    assert labels.ok
    assert domains.ok


def test_without_a_target_the_domain_s_head_rests():
    network = domain.DomainAdversarial((8, 4, 3), 3, 1)
    before = {name: param.copy() for name, param in network.domains.params.items()}
    source = CLEAN.astype(np.float32)
    assert network.loss(source, LABELS, None)[1] == 0
    network.step(source, LABELS, None, 1.0)
    assert all(np.array_equal(param, before[name]) for name, param in network.domains.params.items())
    assert (domain.strength(0), domain.strength(1)) == (0, pytest.approx(domain.STRENGTH, rel=1e-4))


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
    optimizer, seen = SGD(dense(2, 2, 1), lr=0.8), []

    def step(t):
        seen.append((t, round(optimizer.lr, 6)))
        return 0.0

    common.learn("it", 8, [optimizer], step, follow)
    assert seen == [(i / 8, round(0.8 * min(1, 2 - i / 4), 6)) for i in range(8)]
    with pytest.raises(RunError, match="training diverged at step 1 of it"):
        common.learn("it", 8, [optimizer], lambda t: float("nan"), follow)


# ---- it learns


@pytest.fixture(scope="module")
def digits():
    (images, labels), (test, test_labels) = (datasets.load("mnist", split) for split in datasets.SPLITS)
    return common.Data(images[:3000], labels[:3000], test[:500], test_labels[:500])


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
    assert list(outcome.figures) == ["pixels", "untrained D", "trained D"]
    assert 0.7 < outcome.figures["pixels"] < 0.95
    now = gan.discriminator.params | gan.discriminator.buffers
    assert all(np.array_equal(array, now[name]) for name, array in before.items())
    assert outcome.figures == probe.run(digits, gan, 60, 0, follow).figures


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
    figures = domain.run(digits, None, 60, 0, follow).figures
    assert list(figures) == [
        f"{name}: {where}"
        for name in ("trained on clean", "adversarial", "trained on textured")
        for where in ("clean", "textured")
    ]
    assert figures["trained on clean: clean"] > 0.7
    assert figures["trained on clean: textured"] < 0.5


# ---- the command


def call(capsys, *words):
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        cli.main("recognise", recognise.run, [str(word) for word in words])
    return stop.value.code, *capsys.readouterr()


@pytest.fixture
def few(monkeypatch, tmp_path, digits):
    """An empty folder, few digits to load, and "coloured" pictures of 8 x 12; a run each of short training."""
    monkeypatch.chdir(tmp_path)
    load = datasets.load
    rng = np.random.default_rng(1)

    def some(name, split="train"):
        if name == "coloured":
            return rng.integers(0, 256, (1500, 8, 12, 3)).astype(np.uint8), np.arange(1500) % 3
        if name == "bare":
            return rng.integers(0, 256, (50, 8, 8, 1)).astype(np.uint8), None
        parts = {"train": (digits.images, digits.labels), "test": (digits.test, digits.test_labels)}
        return parts[split] if name == "mnist" else load(name, split)

    monkeypatch.setattr(datasets, "load", some)
    monkeypatch.setattr(augment, "FEW", 200)
    monkeypatch.setattr(augment, "TIMES", 2)
    monkeypatch.setattr(semi, "LABELS", (20, 40))
    save("runs/digits", build_gan("dcgan", condition="labels"))
    save(
        "colour", build_gan("dcgan", condition="labels", sample_shape=(8, 12, 3), shares=np.ones(3), dataset="coloured")
    )
    save("untold", build_gan("dcgan"))


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
    code, out, err = call(capsys, *words)
    assert (code, err) == (0, "")
    report = json.loads(Path("made/figures.json").read_text())
    assert (report["experiment"], report["dataset"], report["steps"]) == (experiment, dataset, 2)
    assert [run["seed"] for run in report["runs"]] == [0, 1]
    first, second = (run["figures"] for run in report["runs"])
    for name, mean in report["mean"].items():
        value, low, high = mean["accuracy"], *sorted(each[name]["accuracy"] for each in (first, second))
        assert value == pytest.approx((low + high) / 2)
        assert f"{value:.2%}" in out
        assert report["deviation"][name]["accuracy"] == pytest.approx((high - low) / 2**0.5)
    pictures = re.search(r"look at (.*); the figures", out)[1].split(", ")
    assert len(pictures) >= 2
    assert all(Path(path).stat().st_size > 1000 for path in pictures)
    assert {str(path) for path in Path("made").iterdir()} == {*pictures, "made/figures.json"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "the following arguments are required: EXPERIMENT"),
        (["prob"], "invalid choice: 'prob'"),
        (["semi", "--steps", "0"], "--steps is 0"),
        (["semi", "--seeds", "0"], "--seeds from 1 to 100"),
        (["domain", "--run", "untold"], "--run goes with probe and augment"),
        (["semi", "--dataset", "mnits"], 'did you mean "mnist"'),
        (["semi", "--dataset", "ring"], "holds no pictures with labels"),
        (["domain", "--dataset", "bare"], "holds no pictures with labels"),
        (["probe", "--run", "nothing"], "there is no checkpoint nothing"),
        (["probe", "--run", "colour", "--dataset", "mnist"], "the run was trained on samples of (8, 12, 3)"),
        (["augment", "--run", "untold"], "the generator knows 0 labels, the data set 10"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_use_is_one_sentence(capsys, few, tmp_path, words, expected):
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, err = call(capsys, *words, *(["--steps", "1"] if "--steps" not in words else []), "--quiet")
    assert (code, out) == (2, "")
    assert re.fullmatch(r"python -m minigan\.recognise: .{10,400}\n", err), err
    assert expected in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
