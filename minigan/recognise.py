"""python -m minigan.recognise EXPERIMENT: what generative adversarial networks do for recognition, measured."""

import time

from minigan import datasets
from minigan.base.errors import InputError
from minigan.base.files import new_folder
from minigan.gan.run import load_gan
from minigan.kernels.parallel import threads
from minigan.recognition import augment, domain, probe, semi
from minigan.recognition.common import load
from minigan.tools import cli, plotting
from minigan.tools.seeds import METRICS, run_seeds

EXPERIMENTS = {"probe": probe, "semi": semi, "augment": augment, "domain": domain}
NEED_RUN = ("probe", "augment")
RUN = "runs/digits"
COLUMNS = {"accuracy": ("accuracy", ".2%")}


def parse(argv):
    lines = "\n".join(f"  {name:10}{module.__doc__.splitlines()[0]}" for name, module in EXPERIMENTS.items())
    parser = cli.Parser("recognise", f"Measure what a GAN does for recognition.\n\nexperiments:\n{lines}")
    names = ", ".join(EXPERIMENTS)
    parser.add_argument("experiment", metavar="EXPERIMENT", choices=EXPERIMENTS, help=f"one of {names}")
    parser.add_argument(
        "--run", metavar="RUN", only=NEED_RUN, help=f"the trained GAN to look at, a folder (default: {RUN})"
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
    cli.add_out_flag(parser, "runs/<experiment>")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    name, experiment = arguments.experiment, EXPERIMENTS[arguments.experiment]
    cli.check_ways(arguments, name)
    cli.check_numbers(arguments)
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
    out = new_folder(arguments.out, f"runs/{name}")
    about = {
        "experiment": name,
        "dataset": dataset,
        "steps": steps,
        "run": str(arguments.run or RUN) if gan else None,
        "condition": gan.config.condition if gan else None,
        "test_pictures": len(data.test),
    }
    drawn = ["accuracy.png"]

    def one(seed):
        started = time.perf_counter()
        outcome = experiment.run(data, gan, steps, seed, lambda title, n: cli.progress_bar(n, title, arguments.quiet))
        seconds = time.perf_counter() - started

        def draw():
            for file, save in outcome.drawings.items():
                save(out / file)
                drawn.append(file)

        metrics = {tried: {"accuracy": value} for tried, value in outcome.accuracies.items()}
        return {"seconds": round(seconds, 1), "metrics": metrics}, draw

    runs = run_seeds(arguments, out, about, one, COLUMNS)["runs"]
    accuracies = {tried: [run["metrics"][tried]["accuracy"] for run in runs] for tried in runs[0]["metrics"]}
    plotting.save_accuracies(out / "accuracy.png", accuracies)
    print(f"done: look at {', '.join(str(out / file) for file in drawn)}; the metrics are in {out / METRICS}")
    return 0


if __name__ == "__main__":
    cli.main("recognise", run)
