"""python -m minigan.autoencode: a plain and a variational autoencoder from dcgan's layers, beside a GAN."""

import time

import numpy as np

from minigan import datasets
from minigan.autoencoders import autoencoder
from minigan.autoencoders.autoencoder import Autoencoder, PrincipalComponents
from minigan.autoencoders.variational import LIKELIHOODS
from minigan.base.errors import InputError
from minigan.base.files import new_folder
from minigan.gan.run import load_gan
from minigan.kernels.parallel import threads
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
    parser.add_argument(
        "--run",
        nargs="+",
        default=[],
        metavar="RUN",
        help="a GAN's folder or checkpoint, to compare with, or one for each seed (default: none)",
    )
    parser.add_argument("--dataset", metavar="NAME", help="pictures to learn from (default: the run's, or mnist)")
    parser.add_argument(
        "--image-size", type=int, metavar="N", help="pixels each way of a folder's pictures (default: the run's)"
    )
    parser.add_argument(
        "--judge", metavar="FILE", help="a classifier that classify has saved (default: for mnist the one in data/)"
    )
    parser.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help=f"training steps of each (default: the seconds that the run took, or {STEPS} steps)",
    )
    parser.add_argument("--minutes", type=float, metavar="X", help="instead: how long each is trained")
    parser.add_argument(
        "--latent-dim", type=int, default=LATENT_DIM, metavar="N", help=f"size of a code (default: {LATENT_DIM})"
    )
    parser.add_argument(
        "--likelihood",
        choices=list(LIKELIHOODS),
        help="of pixels given a code (default: bernoulli for grey pictures, gaussian for colour)",
    )
    cli.add_seed_flags(parser)
    cli.add_out_flag(parser, OUT)
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    _check(arguments)
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
    gans = [(gan, progress["seconds"]) for gan, _, progress in map(load_gan, arguments.run)]
    dataset, image_size = _data_of(arguments, [gan.config for gan, _ in gans])
    (images, _), (test, labels) = (datasets.load(dataset, split, image_size) for split in datasets.SPLITS)
    if images.ndim != 4 or min(images.shape[1:3]) < image_metrics.WINDOW:
        least = image_metrics.WINDOW
        raise InputError(f"{dataset} holds samples of {images.shape[1:]}, expected pictures of {least} pixels or more.")
    likelihood = arguments.likelihood or ("bernoulli" if images.shape[3] == 1 else "gaussian")
    steps, seconds = _budget(arguments, gans)
    judge = evaluation.judge_for(dataset, image_size, images.shape[1:], arguments.judge)
    if judge is None:
        print(f"without Fréchet distances; for these, {evaluation.training_a_judge(dataset, image_size)}")
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
        "presets": [gan.config.preset for gan, _ in gans],
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
        if gans:
            gan, spent = gans[(seed - arguments.seed) % len(gans)]
            samples = gan.sample(n, np.random.default_rng([seed, 2]))
            metrics["GAN"] = measures.of_samples(samples, spent) | {"steps": gan.step}

        def draw():
            plotting.save_gallery(out / "pictures.png", _page(test, coders, gans[0][0] if gans else None, seed))

        return {"seconds": round(total, 1), "metrics": metrics}, draw

    run_seeds(arguments, out, about, one, COLUMNS)
    print(f"done: look at {out / 'pictures.png'}; the metrics are in {out / METRICS}")
    return 0


def _check(arguments):
    cli.give_one(arguments, "both say how long to train", "--steps", "--minutes")
    if arguments.minutes is not None and not 0 < arguments.minutes <= MOST_MINUTES:
        raise InputError(f"--minutes is {arguments.minutes}, expected a number above 0, up to {MOST_MINUTES}.")
    cli.check_numbers(arguments)
    if not 2 <= arguments.latent_dim <= 1024:
        raise InputError(f"--latent-dim is {arguments.latent_dim}, expected a whole number from 2 to 1024.")
    if len(arguments.run) not in (0, 1, arguments.seeds):
        raise InputError(f"--run names {len(arguments.run)} runs, expected one, or one for each of --seeds.")


def _data_of(arguments, configs):
    """-> the data set and the size of its pictures, which are those of the runs."""
    asked = arguments.dataset and datasets.located(arguments.dataset), arguments.image_size
    for config in configs:
        own = datasets.located(config.dataset), config.image_size
        for wanted, has in zip(asked, own, strict=True):
            if wanted not in (None, has):
                raise InputError(f"a run was trained on {own[0]}, which {wanted} is not; leave that out.")
        if own != (datasets.located(configs[0].dataset), configs[0].image_size):
            raise InputError("the runs were trained on different data; compare runs of one data set.")
    if configs:
        return configs[0].dataset, configs[0].image_size
    return asked[0] or "mnist", asked[1]


def _budget(arguments, gans):
    """-> steps and seconds of each training, one of them None."""
    if arguments.steps is None and arguments.minutes is None and gans:
        return None, max(1.0, float(np.mean([seconds for _, seconds in gans])))
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
