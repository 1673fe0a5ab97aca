"""What the commands that mend pictures share: flags, a training and a comparison for each seed, metrics, pictures."""

import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minigan import datasets
from minigan.base import pictures
from minigan.base.errors import InputError
from minigan.base.files import new_folder
from minigan.image_to_image import training
from minigan.metrics import evaluation
from minigan.tools import cli, plotting
from minigan.tools.seeds import METRICS, run_seeds

SHOWN = 8  # pictures on the page, or a few more where there are several parts
ADVERSARIAL = 0.01
COLUMNS = {"psnr": ("PSNR, dB", ".2f"), "ssim": ("SSIM", ".4f"), "recognised": ("recognised", ".2%")}
# ways of running: a picture with or without a search, or a comparison after training or by a search
PICTURE, TRAINING, SEARCH, COMPARISON = "a picture (IN OUT)", "training", "--generator", "a comparison on test pictures"


def make_parser(command, description, steps):
    """The flags that both have; steps: the default. Files go to runs/<command> unless told otherwise."""
    parser = cli.Parser(command, description)
    work, training, comparison = (TRAINING, SEARCH), (TRAINING,), (COMPARISON,)
    where = f"a picture to {command}; without it a network is trained"
    parser.add_argument("input", metavar="IN", nargs="?", help=where)
    parser.add_argument("output", metavar="OUT", nargs="?", help=f"where the {command}d picture goes")
    network = {"help": f"what {command}s IN, as training saved it", "by_default": f"runs/{command}/network.npz"}
    parser.add_argument("--network", metavar="FILE", only=(PICTURE, SEARCH), **network)
    parser.add_shared("--dataset", default="mnist", only=comparison)
    parser.add_shared("--image-size", by_default="28, 32 or 64", only=comparison)
    parser.add_shared("--judge", only=comparison)
    parser.add_shared("--steps", default=steps, only=work)
    weight = {"type": float, "default": ADVERSARIAL, "least": 0, "most": 100}
    loss = "weight of the adversarial loss beside L1; 0: L1 alone"
    parser.add_argument("--adversarial", metavar="X", **weight, only=training, help=loss)
    parser.add_shared("--seed", only=work)
    parser.add_shared("--seeds", only=comparison)
    parser.add_shared("--quiet")
    parser.add_out(f"runs/{command}", only=comparison)
    return parser


def check(command, arguments):
    """InputError for what is wrong with these flags whatever the command."""
    search = [SEARCH] if getattr(arguments, "generator", None) is not None else []
    ways = [PICTURE, *search] if arguments.input is not None else [*(search or [TRAINING]), COMPARISON]
    cli.check_ways(arguments, *ways)
    if arguments.input is not None and arguments.output is None:
        raise InputError(f"there is nowhere to put the {command}d {arguments.input}; name a second file.")


# ---- using a network


def places(command, arguments):
    """-> the paths of IN and OUT; InputError where the result could not be written or would overwrite what is read."""
    source, target = Path(arguments.input), Path(arguments.output)
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError(f"{target} is the picture to {command} and would be lost; name another file for the result.")
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {target.parent} for the {command}d picture; make it first.")
    pictures.check_format(target)
    return source, target


def load_network(model_class, arguments):
    """The network that --network names, or that training left where it does unasked."""
    if arguments.network is not None:
        return model_class.load(Path(arguments.network))
    network = Path(f"runs/{model_class.command}/network.npz")
    if not network.exists():
        raise InputError(
            f"there is no {network} yet; train it with python -m minigan.{model_class.command}, or name a --network."
        )
    print(f"by {network}; --network names another", file=sys.stderr)
    return model_class.load(network)


# ---- training one


def train_and_compare(arguments, model_class, task, save_example):
    """`compare` of networks of that class, trained with progress; the first is saved. -> the folder."""
    (images, _), test = (datasets.load(arguments.dataset, split, arguments.image_size) for split in datasets.SPLITS)
    names = ("dataset", "steps", "adversarial", "seed")

    def learn(images, seed, out):
        model = model_class(images.shape[3], task, seed)
        with cli.progress_bar(arguments.steps, f"seed {seed}", arguments.quiet) as watch:
            rng = np.random.default_rng([seed, 0])
            training.fit(model, images, arguments.steps, arguments.adversarial, rng, watch)
        if seed == arguments.seed:
            model.save(out / "network.npz", {name: getattr(arguments, name) for name in names})
        return model

    about = {"adversarial": arguments.adversarial}
    return compare(model_class.command, arguments, task, learn, save_example, about, (images, *test))


def compare(command, arguments, task, learn, save_example, about, data):
    """For each seed learn(images, seed, out) -> a method, and measure it beside the simple methods on the test
    pictures.

    A method has outputs(degraded), name -> pictures. save_example(out, method, an input) writes the first seed's
    besides metrics.json and pictures.png. about: entries for metrics.json. data: training pictures, test pictures and
    their labels or None. -> the folder.
    """
    images, test, labels = data
    task.check(images)
    judge = None
    if labels is not None:
        where = arguments.dataset, arguments.image_size, images.shape[1:]
        judge = evaluation.judge_for(*where, arguments.judge, "the share recognised")
    elif arguments.judge is not None:
        raise InputError(f"--judge needs labels, and {arguments.dataset} has none; leave it out.")
    out = new_folder(arguments.out, f"runs/{command}")
    parts = task.parts() or {"": task}
    about = {
        "task": str(task),
        "dataset": arguments.dataset,
        "steps": arguments.steps,
        **about,
        "test_pictures": len(test),
        "judge": judge.name if judge else None,
    }

    def one(seed):
        started = time.perf_counter()
        method = learn(images, seed, out)
        seconds = time.perf_counter() - started
        results = {}
        for name, part in tqdm(parts.items(), desc=f"seed {seed}, measuring", disable=arguments.quiet):
            results[name] = _measured(part, method, images, test, labels, judge, seed)
        metrics = {name: rows for name, (rows, _) in results.items()}
        pages = [columns for _, columns in results.values()]

        def draw():
            save_example(out, method, pages[0][0])
            plotting.save_comparison(out / "pictures.png", _page([columns for _, columns in pages]))

        return {"seconds": round(seconds, 1), "metrics": metrics if task.parts() else metrics[""]}, draw

    run_seeds(arguments, out, about, one, COLUMNS)
    print(f"done: look at {out / 'pictures.png'}; the metrics are in {out / METRICS}")
    return out


def _measured(task, method, images, test, labels, judge, seed):
    """-> metrics of each method, and an input with pictures to show."""
    degrade_rng, tune_rng = (np.random.default_rng([seed, i]) for i in (1, 2))
    degraded = task.degrade(test, degrade_rng)
    outputs = {name: baseline(degraded) for name, baseline in task.baselines(images, tune_rng).items()}
    outputs |= method.outputs(degraded)
    metrics = {name: training.measure(made, test, labels, judge) for name, made in outputs.items()}
    if judge is not None:
        metrics["truth"] = training.recognised(test, labels, judge)
    columns = {"input": task.show(degraded), **outputs, "truth": test}
    return metrics, (degraded[0], {name: made[:SHOWN] for name, made in columns.items()})


def _page(pages):
    """The columns of all parts below each other, some rows of each."""
    rows = -(-SHOWN // len(pages))
    return {name: np.concatenate([columns[name][:rows] for columns in pages]) for name in pages[0]}
