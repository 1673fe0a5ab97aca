"""Autoencoders: the bound's gradients through both networks, what is planted in them, what they learn, the command."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from image_to_image_calls import call, contents, refused
from PIL import Image
from samples import draw
from training_runs import begin, samples_for_pictures

from minigan import autoencode, datasets
from minigan.autoencoders import autoencoder, variational
from minigan.autoencoders.autoencoder import Autoencoder, PrincipalComponents
from minigan.autoencoders.variational import LIKELIHOODS
from minigan.base.errors import InputError, RunError
from minigan.gradcheck import check_function
from minigan.image_to_image import filters
from minigan.kernels.parallel import threads
from minigan.metrics import image_metrics
from minigan.metrics.judge import Classifier


@pytest.fixture(autouse=True)
def one_core():
    with threads.threads(1):
        yield


# ---- the pieces

CODES, NOISE = draw(5, 6), draw(5, 3, seed=2)
OUTPUTS, X = 2 * draw(4, 3, 5, 2), np.tanh(draw(4, 3, 5, 2, seed=2))


def through_z(backward=variational.reparametrise_backward):
    """Σ z³ w as a function of the codes, with the gradient that `backward` gives."""
    weight = draw(5, 3, seed=3)

    def value(codes):
        z, cache = variational.reparametrise_forward(codes, NOISE)
        return float((z**3 * weight).sum()), backward(3 * z**2 * weight, cache)

    return check_function(value, CODES)


def test_reparametrisation():
    assert (report := through_z()).ok, report
    z, _ = variational.reparametrise_forward(np.array([[2.0, -1.0, math.log(9), 0.0]]), np.array([[1.0, -2.0]]))
    np.testing.assert_allclose(z, [[5.0, -3.0]])
    for planted in (
        lambda grad, cache: np.concatenate([grad, grad * cache], axis=1),  # ½ of the log variance forgotten
        lambda grad, cache: np.concatenate([grad, grad * NOISE / 2], axis=1),  # σ forgotten
        lambda grad, cache: np.concatenate([grad, 0 * grad], axis=1),  # as if z were drawn, not computed
    ):
        assert not through_z(planted).ok
    for wrong in ((CODES[:, :5], NOISE), (CODES, NOISE[:4]), (CODES, NOISE[:, :2])):
        with pytest.raises(InputError, match="means beside log variances"):
            variational.reparametrise_forward(*wrong)


def test_the_divergence_is_the_integral_and_has_its_gradient():
    report = check_function(variational.kl_to_standard_normal, CODES)
    assert report.ok, report
    mean, log_variance = 0.7, -0.9
    z = np.linspace(-12, 12, 20001)
    q = np.exp(-((z - mean) ** 2) / (2 * math.exp(log_variance))) / math.sqrt(2 * math.pi * math.exp(log_variance))
    p = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    integral = (q * (np.log(q + 1e-300) - np.log(p + 1e-300))).sum() * (z[1] - z[0])
    value, _ = variational.kl_to_standard_normal(np.array([[mean, log_variance], [0.0, 0.0]]))
    assert value == pytest.approx(integral / 2, rel=1e-6)  # N(0, 1) has none, and the mean is over both

    def planted(codes):
        value, grad = variational.kl_to_standard_normal(codes)
        return value, grad * np.array([1.0, 1, 1, 2, 2, 2])

    assert not check_function(planted, CODES).ok


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods(name):
    report = check_function(lambda outputs: LIKELIHOODS[name](outputs, X), OUTPUTS)
    assert report.ok, report

    def planted(outputs):
        value, grad = LIKELIHOODS[name](outputs, X)
        return value, grad / 2

    assert not check_function(planted, OUTPUTS).ok
    best = 2 * np.arctanh(X)  # both are least where the mean is the picture
    away = {"bernoulli": best + 0.3, "gaussian": best + 0.1 * draw(*X.shape)}[name]
    near = best if name == "bernoulli" else best + 1e-3 * draw(*X.shape)
    assert LIKELIHOODS[name](near, X)[0] < LIKELIHOODS[name](away, X)[0]


def test_likelihoods_against_their_definitions():
    white = (X + 1) / 2
    p = 1 / (1 + np.exp(-OUTPUTS))
    value, _ = variational.bernoulli(OUTPUTS, X)
    assert value == pytest.approx(-(white * np.log(p) + (1 - white) * np.log(1 - p)).sum() / 4, rel=1e-12)
    np.testing.assert_allclose(variational.pictures_of(OUTPUTS), 2 * p - 1, atol=1e-12)
    gap = X - (2 * p - 1)
    variance = (gap**2).mean()
    density = np.exp(-(gap**2) / (2 * variance)) / np.sqrt(2 * math.pi * variance)
    assert variational.gaussian(OUTPUTS, X)[0] == pytest.approx(-np.log(density).sum() / 4, rel=1e-12)


# ---- the whole bound

KINDS = [(True, "bernoulli"), (True, "gaussian"), (False, "bernoulli"), (False, "gaussian")]


def whole(is_variational, likelihood, entries=12):
    """The check of the loss with a fixed ε, by weights at both ends of both networks."""
    coder = Autoencoder((8, 12, 1), 3, is_variational, likelihood, seed=1, dtype=np.float64)
    rng = np.random.default_rng(2)
    for network in (coder.encoder, coder.decoder):
        for name, param in network.params.items():
            scale = 1 / math.sqrt(param[..., 0].size) if name.endswith("weight") else 0.2
            param[...] = scale * rng.standard_normal(param.shape) + name.endswith("gamma")
    x, noise = np.tanh(draw(4, 8, 12, 1)), draw(4, 3, seed=3) if is_variational else None
    networks = {"encoder": coder.encoder, "decoder": coder.decoder}
    ends = {name: [key for key in network.params if key.endswith("weight")] for name, network in networks.items()}
    places = [(name, key) for name, weights in ends.items() for key in (weights[0], weights[-1])]

    def loss(*arrays):
        for (network, key), array in zip(places, arrays, strict=True):
            networks[network].params[key] = array
        metrics = coder.loss(x, noise)
        return sum(metrics.values()), *(networks[network].grads[key].copy() for network, key in places)

    arrays = [networks[network].params[key] for network, key in places]
    return check_function(loss, *arrays, names=[" ".join(place) for place in places], max_entries=entries)


@pytest.mark.parametrize("how", KINDS, ids=str)
def test_the_loss_through_encoder_and_decoder(how):
    report = whole(*how)
    assert report.ok, report
    assert len(report.rows) == 5


@pytest.mark.parametrize(
    ("piece", "planted"),
    [
        ("kl_to_standard_normal", lambda f: lambda codes: (f(codes)[0], -f(codes)[1])),
        ("kl_to_standard_normal", lambda f: lambda codes: (f(codes)[0], len(codes) * f(codes)[1])),
        ("reparametrise_backward", lambda f: lambda grad, cache: np.concatenate([grad, 0 * grad], axis=1)),
    ],
)
def test_planted_in_the_whole_loss(monkeypatch, piece, planted):
    monkeypatch.setattr(autoencoder, piece, planted(getattr(autoencoder, piece)))
    assert not whole(True, "bernoulli", 2).ok


# ---- learning and drawing


@pytest.fixture(scope="module")
def digits():
    return {split: tuple(a[:400] for a in datasets.load("mnist", split)) for split in ("train", "test")}


@pytest.mark.parametrize("is_variational", [False, True])
def test_it_learns_and_repeats_itself(digits, is_variational):
    images, test = (filters.shrink(digits[split][0][:, 2:26, 2:26], 2) for split in ("train", "test"))
    seen = []

    def train(steps, watch=lambda step, metrics: None):
        coder = Autoencoder((12, 12, 1), 8, is_variational, "bernoulli")
        assert autoencoder.fit(coder, images, np.random.default_rng(1), steps, watch=watch) == steps
        return coder

    def error(coder):
        return np.square(coder.decode(coder.encode(test)) - datasets.to_float(test)).mean()

    coder = train(90, lambda step, metrics: seen.append(sum(metrics.values())))
    assert len(seen) == 90
    assert np.mean(seen[-5:]) < 0.6 * seen[0]
    blank = np.square(datasets.to_float(images).mean(axis=0) - datasets.to_float(test)).mean()
    assert error(coder) < blank
    assert (coder.prior is None) == is_variational
    if is_variational:
        assert coder.bound(test, np.random.default_rng(2)) == pytest.approx(-np.mean(seen[-5:]), rel=0.15)
    a, b = (train(2) for _ in range(2))
    np.testing.assert_array_equal(*(c.sample(3, np.random.default_rng(4)) for c in (a, b)))
    assert (a.sample(3, np.random.default_rng(5)) != b.sample(3, np.random.default_rng(4))).any()


def test_seconds_are_kept_to(digits, monkeypatch):
    """A clock that a step moves on by one second."""
    coder, now = Autoencoder((28, 28, 1), 4, False, "bernoulli"), [0.0]
    monkeypatch.setattr(autoencoder.time, "perf_counter", lambda: now[0])

    def watch(step, metrics):
        now[0] += 1
        rates.append(coder.optimizers[0].lr)

    rates = []
    assert autoencoder.fit(coder, digits["train"][0], np.random.default_rng(1), seconds=4, watch=watch) == 4
    np.testing.assert_allclose(rates, [1e-3 * (1 + math.cos(math.pi * i / 4)) / 2 for i in range(4)])


def test_divergence_is_said(digits, monkeypatch):
    monkeypatch.setattr(autoencoder, "LR", 1e30)
    coder = Autoencoder((28, 28, 1), 4, True, "bernoulli")
    with pytest.raises(RunError, match="training diverged at step"):
        autoencoder.fit(coder, digits["train"][0], np.random.default_rng(0), 20)


def test_principal_components_are_the_best_linear_ones(digits):
    images = digits["train"][0]
    flat = datasets.to_float(images).reshape(400, -1).astype(np.float64)
    u, s, vt = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    best = (flat.mean(axis=0) + (u[:, :7] * s[:7]) @ vt[:7]).clip(-1, 1)
    principal = PrincipalComponents(images, 7)
    np.testing.assert_allclose(principal.decode(principal.encode(images)).reshape(400, -1), best, atol=1e-3)
    with pytest.raises(InputError, match="only 784 numbers"):
        PrincipalComponents(images, 785)


def test_the_fitted_gaussian_is_that_of_the_codes(digits):
    """What is drawn, taken as codes, has the mean and the covariance of the training pictures' codes."""
    images = digits["train"][0]
    principal = PrincipalComponents(images, 3)
    drawn = []
    principal.decode = lambda z: drawn.append(z)
    principal.sample(200_000, np.random.default_rng(1))
    codes = principal.encode(images)
    np.testing.assert_allclose(drawn[0].mean(axis=0), codes.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn[0].T), np.cov(codes.T), rtol=0.02, atol=0.3)


def test_sharpness(digits):
    picture = np.zeros((1, 4, 5, 1), np.uint8)
    picture[0, 1, 2] = 10  # the Laplacian is -40 there and 10 at its three inner neighbours, of six inner pixels
    assert image_metrics.sharpness(picture)[0] == (1600 + 3 * 100) / 6
    images = digits["train"][0]
    blurred = image_metrics.sharpness(filters.gaussian(images, 1.0))
    noisy = image_metrics.sharpness(filters.add_noise(images, 0.2, np.random.default_rng(1)))
    real = image_metrics.sharpness(images)
    assert (blurred < real).all()
    assert (real < noisy).all()
    with pytest.raises(InputError, match="at least 3 x 3"):
        image_metrics.sharpness(picture[:, :2])


# ---- the command


@pytest.fixture
def few(monkeypatch, tmp_path, digits):
    """An empty folder, and few pictures to load: digits, and coloured ones of 16 x 12 without labels."""
    monkeypatch.chdir(tmp_path)
    load = datasets.load

    def some(name, split="train", image_size=None):
        if name == "coloured":
            return np.random.default_rng(1).integers(0, 256, (40, 16, 12, 3)).astype(np.uint8), None
        return tuple(array[:60] for array in digits[split]) if name == "mnist" else load(name, split, image_size)

    monkeypatch.setattr(datasets, "load", some)


def test_a_run_beside_a_gan(capsys, few):
    with samples_for_pictures():
        begin(Path("gan"), "--preset", "mlp", "--batch-size", "4", "--steps", "2")
    code, out, _ = call(
        capsys, autoencode, "--run", "gan", "--steps", 2, "--seeds", 2, "--latent-dim", 5, "--out", "made", "--quiet"
    )
    assert code == 0
    assert "deviation of 2 seeds" in out
    report = json.loads(Path("made/metrics.json").read_text())
    assert report["presets"] == ["mlp"]
    assert (report["likelihood"], report["latent_dim"], report["samples"]) == ("bernoulli", 5, 60)
    first, second = (run["metrics"] for run in report["runs"])
    assert list(first) == ["real", "principal components", "autoencoder", "variational", "GAN"]
    assert first["real"]["sharpness"] == pytest.approx(1)
    for name in ("principal components", "autoencoder", "variational"):
        assert {"frechet_distance", "precision", "recall", "sharpness", "psnr", "ssim"} <= set(first[name])
    assert "psnr" not in first["GAN"]
    assert first["variational"]["bound"] < 0
    assert first["autoencoder"] != second["autoencoder"]
    assert first["autoencoder"]["steps"] == first["GAN"]["steps"] == 2
    both = [run["variational"]["psnr"] for run in (first, second)]
    assert report["mean"]["variational"]["psnr"] == pytest.approx(np.mean(both))
    assert report["deviation"]["variational"]["psnr"] == pytest.approx(np.std(both, ddof=1))
    # what is written down is what principal components of the data do
    test = datasets.load("mnist", "test")[0]
    principal = PrincipalComponents(datasets.load("mnist")[0], 5)
    made = datasets.to_uint8(principal.decode(principal.encode(test)))
    assert first["principal components"]["psnr"] == pytest.approx(image_metrics.psnr(made, test).mean())
    assert Image.open("made/pictures.png").size[0] > 300


def test_colour_with_and_without_a_judge(capsys, few):
    words = ["--dataset", "coloured", "--variational", "--steps", 1, "--latent-dim", 4, "--quiet"]
    code, out, _ = call(capsys, autoencode, *words, "--out", "a")
    assert code == 0
    assert "train a judge with `python -m minigan.classify --dataset coloured`" in out
    report = json.loads(Path("a/metrics.json").read_text())
    assert (report["judge"], report["likelihood"]) == (None, "gaussian")
    assert list(report["runs"][0]["metrics"]) == ["real", "principal components", "variational"]
    Classifier((16, 12, 3)).save("judge.npz", {})
    assert call(capsys, autoencode, *words, "--judge", "judge.npz", "--out", "b")[0] == 0
    metrics = json.loads(Path("b/metrics.json").read_text())["runs"][0]["metrics"]
    assert metrics["variational"]["frechet_distance"] > 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--steps", "1", "--minutes", "1"], "give one of them"),
        (["--steps", "0"], "--steps is 0"),
        (["--minutes", "nan"], "--minutes is nan"),
        (["--minutes", "0"], "--minutes is 0"),
        (["--latent-dim", "1"], "--latent-dim is 1"),
        (["--seed", "-1"], "--seed is -1, expected a whole number of at least 0"),
        (["--seeds", "2", "--run", "gan", "gan", "gan"], "--run names 3 runs"),
        (["--run", "gan", "--dataset", "cifar10"], "trained on mnist, not on other data; leave out --dataset"),
        (["--run", "gan", "--image-size", "20"], "trained on mnist, not on other data; leave out --image-size"),
        (["--run", "nothing"], "there is no checkpoint"),
        (["--likelihood", "poisson"], "invalid choice"),
        (["--dataset", "mnits"], 'did you mean "mnist"'),
        (["--dataset", "ring"], "expected pictures of 11 pixels or more"),
        (["--judge", "nothing.npz"], "there is no checkpoint nothing.npz"),
        (["--judge", "judge.npz"], "knows pictures of (16, 12, 3), these are (28, 28, 1); train a judge with"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_use_is_one_sentence(capsys, few, tmp_path, words, expected):
    with samples_for_pictures():
        begin(Path("gan"), "--preset", "mlp", "--batch-size", "4", "--steps", "1")
    Classifier((16, 12, 3)).save("judge.npz", {})
    before = contents(tmp_path)
    assert expected in refused(capsys, autoencode, "--quiet", *words)
    assert contents(tmp_path) == before
