"""python -m minigan.evaluate RUN: how good a trained generator's samples are, and how varied, beside real pictures."""

import time

import numpy as np
from tqdm import tqdm

from minigan import datasets, metrics
from minigan.base.errors import InputError
from minigan.base.files import new_folder, write_json
from minigan.gan.latent_space import walks
from minigan.gan.run import LoadedRun
from minigan.metrics import evaluation
from minigan.tools import cli, plotting
from minigan.tools.seeds import METRICS
from minigan.tools.tables import text_table

SHOWN = 10  # a row of the page
RANKED = {"rarest_class": np.argmin, "commonest_class": np.argmax}  # of which the table tells the name
SWEPT = ("frechet_distance", "inception_score", "precision", "recall")  # at each truncation


def parse(argv):
    parser = cli.Parser(
        "evaluate", "Measure a trained generator: distances to the data, precision, recall, classes, copies."
    )
    parser.add_shared("run", "--seed")
    parser.add_shared("--judge", only=(cli.PICTURES,))
    number = {"type": int, "default": 10_000, "least": 100, "most": 10_000, "metavar": "N"}
    parser.add_argument("--n", **number, help="samples to judge, at most as many as there are test pictures")
    bounds = "instead: quality against variety with z within plus or minus each of these, such as 0.5,1,2"
    parser.add_argument("--truncations", metavar="LIST", only=(cli.PICTURES,), help=bounds)
    parser.add_shared("--out", by_default="among the run's")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    truncations = None if arguments.truncations is None else _truncations(arguments.truncations)
    started = time.perf_counter()
    trained = LoadedRun(arguments.run)
    gan = trained.gan
    cli.check_ways(arguments, cli.PICTURES if trained.of_pictures else cli.POINTS)
    out = trained.default_out("") if arguments.out is None else new_folder(arguments.out, None)
    rng = np.random.default_rng([arguments.seed, 1])
    report = {
        "run": str(trained.path),
        "dataset": trained.config.dataset,
        "step": gan.step,
        "n": arguments.n,
        "seed": arguments.seed,
    }
    if truncations is not None:
        found, draw = _sweep(trained, truncations, arguments, rng)
    else:
        found, draw = (_pictures if trained.of_pictures else _points)(trained, arguments, rng)
    report |= found | {"seconds": round(time.perf_counter() - started, 1)}
    metrics_path = out / (METRICS if truncations is None else "truncation.json")
    picture = out / ("evaluation.png" if truncations is None else "truncation.png")
    write_json(metrics_path, report)
    draw(picture)
    judge = f", judge {report['judge']}" if "judge" in report else ""
    print(f"{report['n']} samples at step {report['step']} against {report['dataset']}{judge}\n")
    print(_table(report) if truncations is None else _sweep_table(report))
    print(f"\n{report['seconds']} s; saved: {metrics_path} and {picture}")
    return 0


def _truncations(text):
    """The numbers in ascending order; what is too small is said by GAN.draw_z."""
    try:
        found = sorted({float(word) for word in text.split(",")})
    except ValueError:
        found = []
    if not found or not np.isfinite(found).all():
        raise InputError(f"--truncations is {text!r}, expected numbers with commas between, such as 0.5,1,2.")
    return found


def _samples(trained, arguments, truncation=None):
    """-> samples to be judged, the label that each was asked to show and the other pictures of pairs, None without."""
    gan, rng = trained.gan, np.random.default_rng([arguments.seed, 0])
    z = gan.draw_z(arguments.n, rng, truncation)
    conditions = gan.conditions.draw(arguments.n, rng)
    made = gan.make(z, conditions)
    samples, partners = gan.preset.to_samples(made), gan.preset.partner(made) if gan.preset.partner else None
    if not np.isfinite(samples).all():
        raise InputError(f"the generator in {trained.path} makes samples that are not finite; train it again.")
    return samples, gan.conditions.labels(conditions), partners


def _reference(trained, arguments, rng):
    gan = trained.gan
    judge = evaluation.judge_for(*trained.source(), gan.sample_shape, arguments.judge)
    if gan.conditions.classes not in (0, judge.classes):
        raise InputError(
            f"the judge knows {judge.classes} classes and the generator {gan.conditions.classes}; train both on the "
            "data set as it is now."
        )
    (images, _), test = map(trained.data, datasets.SPLITS)
    return evaluation.Reference(images, *test, judge, arguments.n, rng)


# Each gives what it measured, and a function that draws it at a path.


def _sweep(trained, truncations, arguments, rng):
    """The truncation trick (Brock et al. 2019, section 3.1): z near 0 should make better samples, and fewer kinds."""
    for truncation in truncations:
        trained.gan.draw_z(1, np.random.default_rng(0), truncation)  # before the work
    reference = _reference(trained, arguments, rng)

    def look(samples):
        found = reference.quality_and_variety(*reference.judge.predict(datasets.to_uint8(samples)))
        return {key: float(found[key]) for key in SWEPT}

    points = []
    for bound in tqdm((*truncations, None), desc="truncations"):  # the last draws from all of N(0, 1)
        samples, _, _ = _samples(trained, arguments, bound)
        points.append({"truncation": bound} | look(samples))
    real = look(reference.real)
    found = {"judge": reference.judge.name, "points": points, "real": real}
    return found, lambda path: plotting.save_truncation(path, points, real)


def _sweep_table(report):
    rows = [["z within", *(evaluation.LABELS[key][0] for key in SWEPT)]]
    for name, found in [*((_bound(point), point) for point in report["points"]), ("real", report["real"])]:
        rows.append([name, *(_number(found[key]) for key in SWEPT)])
    return text_table(rows)


def _bound(point):
    return "all" if point["truncation"] is None else f"{point['truncation']:g}"


def _points(trained, arguments, rng):
    samples, _, _ = _samples(trained, arguments)
    name, n = trained.config.dataset, len(samples)
    real, others = (datasets.sample_toy(name, n, rng)[0] for _ in range(2))
    found = {"samples": evaluation.points(samples, real, name), "real": evaluation.points(others, real, name)}
    return found, lambda path: plotting.save_samples(path, samples, real)


def _pictures(trained, arguments, rng):
    samples, asked, partners = _samples(trained, arguments)
    reference = _reference(trained, arguments, rng)
    images = reference.images
    found, real = reference.measure(samples, asked, partners), reference.real_metrics()

    def draw(path):
        few = datasets.to_uint8(samples[: 2 * SHOWN])
        nearest, _ = metrics.nearest_neighbours(datasets.to_float(few), datasets.to_float(images))
        grids = {
            "samples": (datasets.to_uint8(samples[: 10 * SHOWN]), SHOWN),
            "above: samples; below: the training picture nearest to each": (_alternate(few, images[nearest]), SHOWN),
            "from one z to another": (datasets.to_uint8(walks(trained.gan, 3, rng)), SHOWN),
        }
        plotting.save_page(path, grids, found["class_shares"], reference.judge.names)

    names = reference.judge.names
    return {"judge": reference.judge.name, "class_names": names, "samples": found, "real": real}, draw


def _alternate(upper, lower):
    """Rows of SHOWN pictures of the one, each followed by a row of the other."""
    rows = [part[first : first + SHOWN] for first in range(0, len(upper), SHOWN) for part in (upper, lower)]
    return np.concatenate(rows)


def _table(report):
    rows = [["", "samples", "real", "better"]]
    for key, (name, better) in evaluation.LABELS.items():
        if key in report["samples"]:
            if key in RANKED:
                shares = report["samples"]["class_shares"]
                name += f" ({report['class_names'][RANKED[key](shares)]})"
            sides = (report["samples"], report["real"])
            rows.append([name, *(_number(side[key]) if key in side else "" for side in sides), better])
    return text_table(rows, "<>><")


def _number(value):
    return str(value) if isinstance(value, int) else f"{value:.4g}"


if __name__ == "__main__":
    cli.main("evaluate", run)
