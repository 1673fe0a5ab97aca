"""python -m minigan.recognise EXPERIMENT: what generative adversarial networks do for recognition, measured."""

import time

from minigan.base.files import new_folder
from minigan.gan.run import LoadedRun
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
    run = "the trained GAN to look at, a folder or a checkpoint"
    parser.add_argument("--run", metavar="RUN", only=NEED_RUN, help=run, by_default=RUN)
    parser.add_shared("--dataset", by_default="the run's, or mnist")
    parser.add_shared("--image-size", by_default="the run's")
    steps = ", ".join(f"{name} {module.STEPS}" for name, module in EXPERIMENTS.items())
    parser.add_shared("--steps", by_default=steps)
    parser.add_shared("--seed", "--seeds", "--quiet")
    parser.add_out("runs/<experiment>")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    name, experiment = arguments.experiment, EXPERIMENTS[arguments.experiment]
    cli.check_ways(arguments, name)
    steps = experiment.STEPS if arguments.steps is None else arguments.steps
    trained = LoadedRun(arguments.run or RUN) if name in NEED_RUN else None
    gan = trained.gan if trained else None
    if trained:
        dataset, size = trained.source(arguments.dataset, arguments.image_size)
    else:
        dataset, size = arguments.dataset or "mnist", arguments.image_size
    data = load(dataset, size)
    if trained:
        trained.check_fits(data.images, dataset)
    out = new_folder(arguments.out, f"runs/{name}")
    about = {
        "experiment": name,
        "dataset": dataset,
        "steps": steps,
        "run": str(trained.path) if trained else None,
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
