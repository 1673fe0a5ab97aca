"""python -m minigan.recognise EXPERIMENT: what generative adversarial networks do for recognition, measured."""

import time
from pathlib import Path

import numpy as np

from minigan import cli, datasets, plotting
from minigan.errors import InputError
from minigan.files import write_json
from minigan.kernels import threads
from minigan.recognition import augment, domain, probe, semi
from minigan.recognition.common import load
from minigan.run import load_gan

EXPERIMENTS = {"probe": probe, "semi": semi, "augment": augment, "domain": domain}
NEED_RUN = ("probe", "augment")
RUN = "runs/digits"


def parse(argv):
    lines = "\n".join(f"  {name:10}{module.__doc__.splitlines()[0]}" for name, module in EXPERIMENTS.items())
    parser = cli.Parser("recognise", f"Measure what a GAN does for recognition.\n\nexperiments:\n{lines}")
    names = ", ".join(EXPERIMENTS)
    parser.add_argument("experiment", metavar="EXPERIMENT", choices=EXPERIMENTS, help=f"one of {names}")
    parser.add_argument(
        "--run", metavar="RUN", help=f"the trained GAN that probe and augment look at, a folder (default: {RUN})"
    )
    parser.add_argument(
        "--dataset", metavar="NAME", help="data set with labels, as for train (default: the run's, or mnist)"
    )
    parser.add_argument(
        "--image-size", type=int, metavar="N", help="pixels each way of a folder's pictures (default: the run's)"
    )
    steps = ", ".join(f"{name} {module.STEPS}" for name, module in EXPERIMENTS.items())
    parser.add_argument("--steps", type=int, metavar="N", help=f"training steps of each network (default: {steps})")
    cli.add_seed_flags(parser)
    parser.add_argument("--out", metavar="FOLDER", help="for the files (default: runs/<experiment>)")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    name, experiment = arguments.experiment, EXPERIMENTS[arguments.experiment]
    _check(arguments)
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
    steps = experiment.STEPS if arguments.steps is None else arguments.steps
    gan = load_gan(arguments.run or RUN)[0] if name in NEED_RUN else None
    dataset, size = arguments.dataset or (gan.config.dataset if gan else "mnist"), arguments.image_size
    if gan is not None and size is None and datasets.located(dataset) == datasets.located(gan.config.dataset):
        size = gan.config.image_size
    data = load(dataset, size)
    if gan is not None and gan.sample_shape != data.sample_shape:
        raise InputError(
            f"the run was trained on samples of {gan.sample_shape}, the pictures of {dataset} are {data.sample_shape}; "
            "name its own --dataset or another --run."
        )
    out = Path(arguments.out or f"runs/{name}")
    out.mkdir(parents=True, exist_ok=True)
    runs, drawings = [], None
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        started = time.perf_counter()
        outcome = experiment.run(data, gan, steps, seed, lambda title, n: cli.watched(n, title, arguments.quiet))
        seconds = time.perf_counter() - started
        figures = {name: {"accuracy": value} for name, value in outcome.figures.items()}
        runs.append({"seed": seed, "seconds": round(seconds, 1), "figures": figures})
        drawings = drawings or outcome.drawings
        print(f"seed {seed}, {seconds:.0f} s, {len(data.test)} test pictures:\n{_table(runs[-1:])}")
    report = {
        "experiment": name,
        "dataset": dataset,
        "steps": steps,
        "run": str(arguments.run or RUN) if gan else None,
        "condition": gan.config.condition if gan else None,
        "test_pictures": len(data.test),
        "runs": runs,
    }
    _save(out, report, drawings)
    return 0


def _check(arguments):
    cli.check_numbers(arguments)
    if arguments.run is not None and arguments.experiment not in NEED_RUN:
        raise InputError(f"--run goes with {' and '.join(NEED_RUN)}; {arguments.experiment} trains all it needs.")


def _save(out, report, drawings):
    runs = report["runs"]
    if len(runs) > 1:
        report |= cli.over_seeds(runs)
        print(f"{len(runs)} seeds:\n{_table(runs)}")
    for name, draw in drawings.items():
        draw(out / name)
    plotting.save_accuracies(out / "accuracy.png", _accuracies(runs))
    write_json(out / "figures.json", report)
    print(
        f"done: look at {', '.join(str(out / name) for name in ['accuracy.png', *drawings])}; the figures are in "
        f"{out / 'figures.json'}"
    )


def _accuracies(runs):
    """What was tried -> its accuracies, one a run."""
    return {name: [run["figures"][name]["accuracy"] for run in runs] for name in runs[0]["figures"]}


def _table(runs):
    """Accuracy and error of each thing tried, as text: their means and the deviation where there are several runs."""
    tried = _accuracies(runs)
    width = max(map(len, tried))
    lines = [f"  {'':{width}}  accuracy     error" + ("  deviation" if len(runs) > 1 else "")]
    for name, values in tried.items():
        mean, spread = np.mean(values), f"{np.std(values, ddof=1):11.2%}" if len(values) > 1 else ""
        lines.append(f"  {name:{width}}{mean:10.2%}{1 - mean:10.2%}{spread}")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.main("recognise", run)
