"""python -m minigan.classify: train the classifier that recognises digits and judges generated ones."""

import time

import numpy as np

from minigan import datasets, metrics
from minigan.base.errors import InputError
from minigan.base.files import new_folder
from minigan.metrics.judge import BODIES, Classifier
from minigan.tools import cli, plotting
from minigan.tools.seeds import run_seeds

MISTAKES = 30
BATCH_SIZE = 128
OUT = "runs/classify"
COLUMNS = {"accuracy": ("accuracy", ".2%")}


def parse(argv):
    parser = cli.Parser(
        "classify", "Train a convolutional classifier, and show what it recognises and what it does not."
    )
    parser.add_shared("--dataset", default="mnist")
    parser.add_shared("--image-size", by_default="28, 32 or 64")
    parser.add_argument("--network", default="plain", metavar="NAME", help=", ".join(BODIES))
    epochs = {"type": float, "default": 6, "above": 0, "most": 1000}
    parser.add_argument("--epochs", metavar="X", **epochs, help="passes over the data")
    parser.add_shared("--steps", by_default=f"those of the epochs, of {BATCH_SIZE} pictures each")
    parser.add_shared("--seed", "--seeds", "--quiet")
    parser.add_out(OUT)
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    cli.give_one(arguments, "both say how long to train", "--steps", "--epochs")
    data, test = (datasets.load(arguments.dataset, split, arguments.image_size) for split in datasets.SPLITS)
    if data[1] is None:
        raise InputError(f"--dataset {arguments.dataset} has no labels; choose one that has.")
    names = datasets.class_names(arguments.dataset, arguments.image_size)
    epochs = arguments.epochs if arguments.steps is None else arguments.steps * BATCH_SIZE / len(data[0])
    out = new_folder(arguments.out, OUT)

    def one(seed):
        classifier, seconds = _train(data, names, arguments.network, epochs, seed, arguments.quiet)
        kept = out / "classifier.npz"
        about = {"dataset": arguments.dataset, "epochs": epochs, "seed": seed}
        if seed == arguments.seed:
            classifier.save(kept, about)  # before anything that could go wrong
        _, probabilities = classifier.predict(test[0])
        accuracy = float((probabilities.argmax(axis=1) == test[1]).mean())
        if seed == arguments.seed:
            classifier.save(kept, {**about, "accuracy": accuracy})
        found = {"seconds": round(seconds, 1), "metrics": {arguments.network: {"accuracy": accuracy}}}
        return found | {"judge": classifier.name}, lambda: _show(out, *test, probabilities, names)

    about = {"dataset": arguments.dataset, "epochs": epochs, "test_pictures": len(test[1])}
    judge = run_seeds(arguments, out, about, one, COLUMNS)["runs"][0]["judge"]
    print(f"done: look at {out / 'confusion.png'} and {out / 'mistakes.png'}; {out / 'classifier.npz'} is {judge}")
    return 0


def _train(data, names, kind, epochs, seed, quiet):
    images, labels = data
    classifier = Classifier(images.shape[1:], len(names), seed, kind, names)
    total = max(1, round(epochs * len(images) / BATCH_SIZE))
    started = time.perf_counter()
    with cli.progress_bar(total, f"seed {seed}", quiet) as watch:
        rng = np.random.default_rng([seed, 1])
        classifier.fit(images, labels, epochs, rng, BATCH_SIZE, watch=watch)
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
