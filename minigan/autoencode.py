"""python -m minigan.autoencode: a plain and a variational autoencoder from dcgan's layers, beside a GAN."""

import time

import numpy as np

from minigan import datasets
from minigan.autoencoders import autoencoder
from minigan.autoencoders.autoencoder import Autoencoder, PrincipalComponents
from minigan.autoencoders.variational import LIKELIHOODS
from minigan.base.errors import InputError
from minigan.base.files import new_folder
from minigan.gan.run import LoadedRun
from minigan.metrics import evaluation, image_metrics
from minigan.tools import cli, plotting
from minigan.tools.seeds import METRICS, run_seeds

SHOWN = 10  # pictures a row of the page
JUDGED = 10_000  # samples, or as many as there are test pictures
OUT = "runs/autoencode"
STEPS = 2000
LATENT_DIM = 32
MOST_MINUTES = 24 * 60
COLUMNS = {  # key -> its head and format in the table
    "frechet_distance": ("Fréchet", ".3g"),
    "precision": ("precision", ".3f"),
    "recall": ("recall", ".3f"),
    "sharpness": ("sharpness", ".2f"),
    "psnr": ("PSNR, dB", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "bound": ("bound, nats", ".1f"),
    "seconds": ("seconds", ".0f"),
}


def parse(argv):
    parser = cli.Parser(
        "autoencode",
        "Train an autoencoder and a variational one, and compare their samples and reconstructions of test pictures\n"
        "with principal components and, given --run, with GANs that were trained before.",
    )
    parser.add_argument("--variational", action="store_true", help="the variational one alone (default: both)")
    run = "a GAN's folder or checkpoint, to compare with, or one for each seed"
    parser.add_argument("--run", nargs="+", default=[], metavar="RUN", help=run, by_default="none")
    parser.add_shared("--dataset", by_default="the run's, or mnist")
    parser.add_shared("--image-size", by_default="the run's")
    parser.add_shared("--judge", "--seed", "--seeds", "--quiet")
    parser.add_shared("--steps", by_default=f"the seconds that the run took, or {STEPS} steps")
    minutes = {"type": float, "above": 0, "most": MOST_MINUTES, "help": "instead: how long each is trained"}
    parser.add_argument("--minutes", metavar="X", **minutes)
    size = {"type": int, "default": LATENT_DIM, "least": 2, "most": 1024, "help": "size of a code"}
    parser.add_argument("--latent-dim", metavar="N", **size)
    likelihood = {"help": "of pixels given a code", "by_default": "bernoulli for grey pictures, gaussian for colour"}
    parser.add_argument("--likelihood", choices=list(LIKELIHOODS), **likelihood)
    parser.add_out(OUT)
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    cli.give_one(arguments, "both say how long to train", "--steps", "--minutes")
    if len(arguments.run) not in (0, 1, arguments.seeds):
        raise InputError(f"--run names {len(arguments.run)} runs, expected one, or one for each of --seeds.")
    runs = list(map(LoadedRun, arguments.run))
    dataset, image_size = _source(arguments, runs)
    (images, _), (test, labels) = (datasets.load(dataset, split, image_size) for split in datasets.SPLITS)
    if images.ndim != 4 or min(images.shape[1:3]) < image_metrics.WINDOW:
        least = image_metrics.WINDOW
        raise InputError(f"{dataset} holds samples of {images.shape[1:]}, expected pictures of {least} pixels or more.")
    likelihood = arguments.likelihood or ("bernoulli" if images.shape[3] == 1 else "gaussian")
    steps, seconds = _budget(arguments, runs)
    judge = evaluation.judge_for(dataset, image_size, images.shape[1:], arguments.judge, "Fréchet distances")
    n = min(JUDGED, len(images), len(test))
    rng = np.random.default_rng([arguments.seed, 9])
    reference = None if judge is None else evaluation.Reference(images, test, labels, judge, n, rng)
    principal = PrincipalComponents(images, arguments.latent_dim)
    measures = _Measures(test, n, reference)
    out = new_folder(arguments.out, OUT)
    about = {
        "dataset": dataset,
        "latent_dim": arguments.latent_dim,
        "likelihood": likelihood,
        "runs_compared": arguments.run,
        "presets": [run.config.preset for run in runs],
        "test_pictures": len(test),
        "samples": n,
        "judge": judge.name if judge else None,
    }

    def one(seed):
        metrics = {"real": measures.of_samples(test[:n], 0.0)} | {"principal components": measures.of(principal, seed)}
        coders, total = {"principal components": principal}, 0.0
        for name in ("variational",) if arguments.variational else ("autoencoder", "variational"):
            coder = Autoencoder(images.shape[1:], arguments.latent_dim, name == "variational", likelihood, seed)
            started = time.perf_counter()
            with cli.progress_bar(steps, f"{name}, seed {seed}", arguments.quiet) as watch:
                made = autoencoder.fit(coder, images, np.random.default_rng([seed, 1]), steps, seconds, watch)
            spent = time.perf_counter() - started
            total += spent
            coders[name], metrics[name] = coder, measures.of(coder, seed) | {"steps": made, "seconds": spent}
        if runs:
            run = runs[(seed - arguments.seed) % len(runs)]
            samples = run.gan.sample(n, np.random.default_rng([seed, 2]))
            metrics["GAN"] = measures.of_samples(samples, run.progress["seconds"]) | {"steps": run.gan.step}

        def draw():
            plotting.save_gallery(out / "pictures.png", _page(test, coders, runs[0].gan if runs else None, seed))

        return {"seconds": round(total, 1), "metrics": metrics}, draw

    run_seeds(arguments, out, about, one, COLUMNS)
    print(f"done: look at {out / 'pictures.png'}; the metrics are in {out / METRICS}")
    return 0


def _source(arguments, runs):
    """-> the data set and the size of its pictures, which are those of the runs."""
    if not runs:
        return arguments.dataset or "mnist", arguments.image_size
    own, *others = (run.source() for run in runs)
    if any(other != own for other in others):
        raise InputError("the runs were trained on different data; compare runs of one data set.")
    name, size = runs[0].source(arguments.dataset, arguments.image_size)
    if datasets.located(name) != datasets.located(own[0]) or size != own[1]:
        given = " and ".join(flag for flag in ("--dataset", "--image-size") if flag in arguments.given)
        raise InputError(f"--run was trained on {own[0]}, not on other data; leave out {given}.")
    return own


def _budget(arguments, runs):
    """-> steps and seconds of each training, one of them None."""
    if arguments.steps is None and arguments.minutes is None and runs:
        return None, max(1.0, float(np.mean([run.progress["seconds"] for run in runs])))
    return (None, 60 * arguments.minutes) if arguments.minutes else (arguments.steps or STEPS, None)


class _Measures:
    """What is measured of samples, and of reconstructions of the test pictures."""

    def __init__(self, test, n, reference):
        self.test, self.n, self.reference = test, n, reference
        self.sharp = image_metrics.sharpness(test).mean()

    def of_samples(self, samples, seconds):
        """Metrics of samples (n, H, W, C): quality and variety if there is a judge, and sharpness beside real ones',
        which says nothing (NaN, infinite) where those are flat."""
        samples = datasets.to_uint8(samples)
        with np.errstate(divide="ignore", invalid="ignore"):
            sharpness = float(image_metrics.sharpness(samples).mean() / self.sharp)
        metrics = {"sharpness": sharpness, "seconds": seconds}
        if self.reference is None:
            return metrics
        judged = self.reference.quality_and_variety(*self.reference.judge.predict(samples))
        return {key: float(judged[key]) for key in ("frechet_distance", "precision", "recall")} | metrics

    def of(self, coder, seed):
        metrics = self.of_samples(coder.sample(self.n, np.random.default_rng([seed, 2])), 0.0)
        made = datasets.to_uint8(coder.decode(coder.encode(self.test)))
        metrics["psnr"] = image_metrics.mean_psnr(made, self.test)
        metrics["ssim"] = float(image_metrics.ssim(made, self.test).mean())
        if getattr(coder, "variational", False):
            metrics["bound"] = coder.bound(self.test, np.random.default_rng([seed, 3]))
        return metrics


def _page(test, coders, gan, seed):
    """Title -> (pictures, columns): test pictures with their reconstructions, and samples of each."""
    few = test[:SHOWN]
    page = {"test pictures": (few, SHOWN)}
    for name, coder in coders.items():
        page[f"from the codes of {name}"] = coder.decode(coder.encode(few)), SHOWN
    for name, maker in {**coders, **({"GAN": gan} if gan else {})}.items():
        page[f"samples: {name}"] = maker.sample(3 * SHOWN, np.random.default_rng([seed, 2])), SHOWN
    return page


if __name__ == "__main__":
    cli.main("autoencode", run)
