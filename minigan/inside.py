"""python -m minigan.inside RUN: walks between z, what D's filters see, and the gradient of D(x) as a picture."""

import numpy as np

from minigan import datasets
from minigan.base.errors import InputError
from minigan.base.files import new_folder, write_json
from minigan.gan import interpretability, latent_space
from minigan.gan.latent_space import COLUMNS, draw_sum, walks
from minigan.gan.run import LoadedRun
from minigan.metrics import evaluation
from minigan.tools import cli, plotting
from minigan.tools.seeds import METRICS

ROWS = 10  # of walks
SHOWN = 10  # pictures with their gradients
JUDGED = 500  # samples and test pictures whose gradients are measured
SEARCHED = 1000  # test pictures in which to look for what excites a filter
SUM = "7-1+2"
CELLS = 20  # each way of the field of D over the plane


def parse(argv):
    parser = cli.Parser(
        "inside",
        "Look into a trained GAN: walks from one z to another, what the filters of D's first layers see, and the\n"
        "gradient of D(x) by the pixels, as pictures; and metrics that say what they are worth.",
    )
    parser.add_shared("run", "--seed")
    parser.add_shared("--judge", only=(cli.PICTURES,))
    arithmetic = {"help": "with the mean z of digits, for unconditional networks", "by_default": f"{SUM} if it can be"}
    parser.add_argument("--arithmetic", metavar="SUM", only=(cli.PICTURES,), **arithmetic)
    parser.add_out("inside, beside the checkpoint")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    terms = latent_space.parse_terms(SUM if arguments.arithmetic is None else arguments.arithmetic)
    trained = LoadedRun(arguments.run)
    gan, config = trained.gan, trained.config
    cli.check_ways(arguments, cli.PICTURES if trained.of_pictures else cli.POINTS)
    images, labels = trained.data("test")
    labels = labels if gan.conditions.classes else None
    judge = None
    if trained.of_pictures:
        judge = evaluation.judge_for(*trained.source(), gan.sample_shape, arguments.judge, "the judge's confidence")
    out = new_folder(arguments.out, trained.default_out("inside"))
    rng = np.random.default_rng([arguments.seed, 0])
    report = {"run": str(trained.path), "preset": config.preset, "dataset": config.dataset, "step": gan.step}
    parts = {"gradient": lambda: _gradients(gan, images, labels, rng, out)}
    if trained.of_pictures:
        parts["walks"] = lambda: _walks(gan, rng, judge, out)
        parts["filters"] = lambda: _filters(gan, images, labels, rng, out)
    else:
        parts["walks"] = lambda: _paths(gan, images, rng, out)
    parts["arithmetic"] = lambda: _sum(gan, terms, arguments, rng, out)
    for name, part in parts.items():
        report[name] = part()
        write_json(out / METRICS, report)  # as they come: a later part may fail
    print(_lines(report))
    print(f"done: look at the pictures in {out}; the metrics are in {out / METRICS}")
    return 0


# ---- the gradient of D(x)


def _gradients(gan, images, labels, rng, out):
    """Of test pictures and of samples: metrics, and gradient.png, for points field.png."""
    chosen = np.sort(rng.choice(len(images), min(JUDGED, len(images)), replace=False))
    x = interpretability.encoded(gan, images[chosen])
    known = interpretability.likeliest(gan, x, None if labels is None else labels[chosen])
    asked = gan.conditions.draw(len(x), rng)
    made = gan.make(gan.draw_z(len(x), rng), asked)
    if images.ndim == 2:
        axis = np.linspace(-plotting.LIMIT, plotting.LIMIT, CELLS, dtype=gan.dtype)
        places = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        logits, grad = interpretability.saliency(gan, places, interpretability.likeliest(gan, places))
        plotting.save_field(out / "field.png", places, logits, grad, images[:1000])
    else:
        page = {}
        for title, samples, conditions in (("test pictures", x, known), ("samples", made, asked)):
            few = samples[:SHOWN], None if conditions is None else conditions[:SHOWN]
            page[title] = gan.preset.to_samples(few[0]), SHOWN
            page[f"gradient of D(x) of {title}: white is to be lighter"] = _as_pictures(gan, *few), SHOWN
        plotting.save_gallery(out / "gradient.png", page)
    pairs = {"real": (x, known), "samples": (made, asked)}
    return {name: interpretability.steps_along(gan, *pair, rng) for name, pair in pairs.items()}


def _as_pictures(gan, x, conditions):
    """The gradient by the pixels (N, H, W, C), its largest entry 1 in each picture, grey where there is none. Where D
    judges more than the picture, such as a coarser one, by the picture's own pixels."""
    _, grad = interpretability.saliency(gan, x, conditions)
    grad = grad[..., : gan.sample_shape[-1]]
    largest = np.abs(grad).max(axis=(1, 2, 3), keepdims=True)
    return grad / np.where(largest > 0, largest, 1)


# ---- walks and sums of z


def _labels(gan, rows):
    """What each row is to show, or None."""
    return np.arange(rows) % gan.conditions.classes if gan.conditions.classes else None


def _walks(gan, rng, judge, out):
    plotting.save_samples(out / "walks.png", walks(gan, ROWS, rng, _labels(gan, ROWS)), columns=COLUMNS)
    return interpretability.compare_walks(gan, rng, _labels(gan, interpretability.MEASURED_WALKS), judge)


def _paths(gan, points, rng, out):
    """Walks of points: where G goes on them, over the data."""
    rows = 10 * ROWS
    plotting.save_samples(out / "walks.png", walks(gan, rows, rng, _labels(gan, rows)), points[:1000])


def _sum(gan, terms, arguments, rng, out):
    """{"sum", "seen": [...]} with the judge's words for each part and for the sum, and arithmetic.png; or why not."""
    try:
        seen = draw_sum(gan, terms, rng, out / "arithmetic.png")
    except InputError as error:
        if arguments.arithmetic is not None:
            raise
        return {"left_out": str(error)}
    names = [*(("-" if sign < 0 else "+") + str(digit) for sign, digit in terms), "sum"]
    words = [{"of": name, "seen": digit, "confidence": sure} for name, (digit, sure) in zip(names, seen, strict=False)]
    return {"sum": arguments.arithmetic or SUM, "seen": words, "around": [digit for digit, _ in seen[len(names) :]]}


# ---- filters


def _filters(gan, images, labels, rng, out):
    """Of D's first two layers: filters1.png and filters2.png, and metrics."""
    chosen = rng.choice(len(images), min(SEARCHED, len(images)), replace=False)
    x = interpretability.encoded(gan, images[chosen])
    conditions = interpretability.likeliest(gan, x, None if labels is None else labels[chosen])
    # the second layer of pairs is the first one again, for the other pictures
    layers = interpretability.first_filters(gan, x[:2], count=1 if gan.preset.partner else 2)
    report = []
    for number, layer in enumerate(layers, 1):
        filters = interpretability.Filters(gan, layer, x, conditions)
        ascended, answers = filters.ascend()
        every = np.arange(len(filters.chosen))
        found = filters.cut(gan.preset.to_samples(ascended)[:, None], every)
        patches = filters.cut(datasets.to_float(images[chosen])[filters.best], every)
        tiles = np.concatenate([found, patches, np.ones_like(found)], axis=1)
        columns = 4 * tiles.shape[1]
        plotting.save_samples(out / f"filters{number}.png", tiles.reshape(-1, *tiles.shape[2:]), columns=columns)
        answering = filters.deviation > 0
        best = filters.answers[filters.best[:, 0], every]
        above = [(a - filters.mean)[answering] / filters.deviation[answering] for a in (best, answers)]
        report.append(
            {
                "layer": repr(layer),
                "filters": filters.count,
                "shown": len(every),
                "silent": int((~answering).sum()),
                "sees": list(filters.patch),
                "best_patch_deviations_above_mean": float(np.median(above[0])) if answering.any() else None,
                "ascent_deviations_above_mean": float(np.median(above[1])) if answering.any() else None,
            }
        )
    return report


def _lines(report):
    """The report in words."""
    lines = [f"{report['preset']} on {report['dataset']}, step {report['step']}"]
    for name, metrics in report["gradient"].items():
        lines.append(
            f"  D's logit of {name}: {metrics['logit']:.2f}; a step of {interpretability.STEP:g} along its gradient "
            f"adds {metrics['rise_along_the_gradient']:.3f}, along a random direction "
            f"{metrics['rise_along_a_random_direction']:.3f}"
        )
    for name, metrics in (report["walks"] or {}).items():
        sure = f", the judge {metrics['confidence']:.1%} sure" if "confidence" in metrics else ""
        lines.append(f"  half-way by {name}: sharpness {metrics['sharpness']:.2f} of that of the ends{sure}")
    for metrics in report.get("filters", []):
        lines.append("  {filters} filters of {layer} see {sees[0]} x {sees[1]} pixels".format(**metrics))
    return "\n".join(lines)


if __name__ == "__main__":
    cli.main("inside", run)
