"""python -m minigan.classify: train the classifier that recognises digits and judges generated ones."""

import time
from pathlib import Path

import numpy as np

from minigan import cli, datasets, metrics, plotting
from minigan.classifier import BODIES, Classifier
from minigan.errors import InputError
from minigan.files import write_json
from minigan.kernels import threads

MISTAKES = 30


def parse(argv):
    parser = cli.Parser(
        "classify", "Train a convolutional classifier, and show what it recognises and what it does not."
    )
    parser.add_argument(
        "--dataset", default="mnist", metavar="NAME", help="data set with labels, as for train (default: mnist)"
    )
    parser.add_argument("--image-size", type=int, metavar="N", help="of a folder's pictures (default: 28, 32 or 64)")
    kinds = ", ".join(BODIES)
    parser.add_argument("--network", default="plain", metavar="NAME", help=f"{kinds} (default: plain)")
    parser.add_argument("--epochs", type=float, default=6, metavar="X", help="passes over the data (default: 6)")
    cli.add_seed_flags(parser)
    parser.add_argument(
        "--out", default="runs/classify", metavar="FOLDER", help="for the files (default: runs/classify)"
    )
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    _check(arguments)
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    data, test = (datasets.load(arguments.dataset, split, arguments.image_size) for split in datasets.SPLITS)
    if data[1] is None:
        raise InputError(f"--dataset {arguments.dataset} has no labels; choose one that has.")
    names = datasets.class_names(arguments.dataset, arguments.image_size)
    results = []
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        classifier, seconds = _train(data, names, arguments.network, arguments.epochs, seed, arguments.quiet)
        _, probabilities = classifier.judge(test[0])
        accuracy = float((probabilities.argmax(axis=1) == test[1]).mean())
        results.append({"seed": seed, "accuracy": accuracy, "seconds": seconds, "judge": classifier.name})
        print(
            f"seed {seed}: {accuracy:.2%} of {len(test[1])} test pictures, {seconds:.0f} s, weights {classifier.name}"
        )
        if seed == arguments.seed:
            about = {"dataset": arguments.dataset, "epochs": arguments.epochs, "seed": seed, "accuracy": accuracy}
            classifier.save(out / "classifier.npz", about)
            _show(out, test[0], test[1], probabilities, names)
    if len(results) > 1:
        values = [100 * result["accuracy"] for result in results]
        print(f"mean {np.mean(values):.2f} %, standard deviation {np.std(values, ddof=1):.2f} over {len(values)} seeds")
    write_json(out / "report.json", results)
    print(f"done: look at {out / 'confusion.png'} and {out / 'mistakes.png'}; the weights are {out / 'classifier.npz'}")
    return 0


def _check(arguments):
    if not 0 < arguments.epochs <= 1000:
        raise InputError(f"--epochs is {arguments.epochs}, expected a number above 0 and at most 1000.")
    cli.check_numbers(arguments)


def _train(data, names, kind, epochs, seed, quiet):
    images, labels = data
    classifier = Classifier(images.shape[1:], len(names), seed, kind, names)
    batch_size = 128
    total = max(1, round(epochs * len(images) / batch_size))
    started = time.perf_counter()
    with cli.watched(total, f"seed {seed}", quiet) as watch:
        rng = np.random.default_rng([seed, 1])
        classifier.fit(images, labels, epochs, rng, batch_size, watch=watch)
    return classifier, time.perf_counter() - started


def _show(out, images, labels, probabilities, names):
    guesses = probabilities.argmax(axis=1)
    plotting.save_confusion(out / "confusion.png", metrics.confusion(labels, guesses, len(names)), names)
    wrong = np.flatnonzero(guesses != labels)
    worst = wrong[np.argsort(-probabilities[wrong, guesses[wrong]], kind="stable")][:MISTAKES]
    captions = [f"{names[labels[i]]} taken for {names[guesses[i]]} ({probabilities[i, guesses[i]]:.0%})" for i in worst]
    plotting.save_captioned(out / "mistakes.png", images[worst], captions)


if __name__ == "__main__":
    cli.main("classify", run)
