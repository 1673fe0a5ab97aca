"""python -m minigan.enhance: train a network that makes pictures larger or free of noise, or use it on a picture."""

import time
from pathlib import Path

import numpy as np

from minigan import cli, datasets, enhancement, pictures, plotting
from minigan.classifier import shipped_judge
from minigan.enhancement import Enhancer, Task
from minigan.errors import InputError
from minigan.files import write_json
from minigan.kernels import threads

SHOWN = 8  # pictures on the page
OUT = "runs/enhance"
STEPS = 2000
ADVERSARIAL = 0.01


def parse(argv):
    parser = cli.Parser(
        "enhance",
        "Train a network that makes pictures larger (--factor) or takes noise away (--noise), and compare it with\n"
        "simple filters on the test pictures; or, given IN and OUT, use a network that was trained on a picture.",
    )
    parser.add_argument("input", metavar="IN", nargs="?", help="a picture to enhance; without it a network is trained")
    parser.add_argument("output", metavar="OUT", nargs="?", help="where the enhanced picture goes")
    parser.add_argument(
        "--network", metavar="FILE", help=f"what enhances IN, as training saved it (default: {OUT}/network.npz)"
    )
    factors = " or ".join(map(str, enhancement.FACTORS))
    parser.add_argument("--factor", type=int, metavar="N", help=f"learn to make N times larger, {factors} (default: 2)")
    parser.add_argument(
        "--noise", type=float, metavar="X", help="learn to take away noise of so much of the range from black to white"
    )
    parser.add_argument("--dataset", default="mnist", metavar="NAME", help="pictures to learn from (default: mnist)")
    parser.add_argument("--steps", type=int, default=STEPS, metavar="N", help=f"training steps (default: {STEPS})")
    parser.add_argument(
        "--adversarial",
        type=float,
        default=ADVERSARIAL,
        metavar="X",
        help=f"weight of the adversarial loss beside L1; 0: L1 alone (default: {ADVERSARIAL})",
    )
    cli.add_seed_flags(parser)
    parser.add_argument("--out", default=OUT, metavar="FOLDER", help=f"for the files of training (default: {OUT})")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    task = _check(arguments)
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
    return _use(arguments) if arguments.input is not None else _train(arguments, task)


def _check(arguments):
    if arguments.input is not None and arguments.output is None:
        raise InputError(f"there is nowhere to put the enhanced {arguments.input}; name a second file.")
    if arguments.input is None and arguments.network is not None:
        raise InputError("--network goes with a picture to enhance; name it and a file for the result.")
    if arguments.factor is not None and arguments.noise is not None:
        raise InputError("--factor and --noise are two tasks; give one of them.")
    cli.check_seeds(arguments)
    if arguments.steps < 1:
        raise InputError(f"--steps is {arguments.steps}, expected a whole number of at least 1.")
    if not 0 <= arguments.adversarial <= 100:
        raise InputError(f"--adversarial is {arguments.adversarial}, expected a number from 0 to 100.")
    if arguments.noise is None:
        return Task(2 if arguments.factor is None else arguments.factor)
    return Task(1, arguments.noise)


# ---- using a network


def _use(arguments):
    source, target = Path(arguments.input), Path(arguments.output)
    if target.exists() and source.exists() and target.samefile(source):
        raise InputError(f"{target} is the picture to enhance and would be lost; name another file for the result.")
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {target.parent} for the enhanced picture; make it first.")
    pictures.check_format(target)
    network = Path(OUT) / "network.npz" if arguments.network is None else Path(arguments.network)
    if arguments.network is None and not network.exists():
        raise InputError(f"there is no {network} yet; train it with python -m minigan.enhance, or name a --network.")
    enhancer = Enhancer.load(network)
    picture = pictures.read(source, enhancer.channels)
    made = enhancer.apply(picture[None])[0]
    pictures.write(target, made)
    (h, w, _), (more_h, more_w, _) = picture.shape, made.shape
    print(f"{target}: {w} x {h} pixels made {more_w} x {more_h} ({enhancer.task})")
    return 0


# ---- training one


def _train(arguments, task):
    out = Path(arguments.out)
    (images, _), (test, labels) = (datasets.load(arguments.dataset, split) for split in ("train", "test"))
    task.check(images)
    out.mkdir(parents=True, exist_ok=True)
    judge = shipped_judge() if arguments.dataset == "mnist" else None
    runs, kept = [], None
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        enhancer, seconds = _fit(arguments, task, images, seed)
        spoil_rng, tune_rng = (np.random.default_rng([seed, i]) for i in (1, 2))
        spoilt = task.spoil(test, spoil_rng)
        outputs = {name: method(spoilt) for name, method in task.baselines(images, tune_rng).items()}
        outputs["network"] = enhancer.apply(spoilt)
        figures = {name: enhancement.measure(made, test, labels, judge) for name, made in outputs.items()}
        if judge is not None:
            figures["truth"] = enhancement.recognised(test, labels, judge)
        runs.append({"seed": seed, "seconds": round(seconds, 1), "figures": figures})
        print(f"seed {seed}, {seconds:.0f} s of training, {len(test)} test pictures:\n{_table(figures)}")
        if kept is None:
            columns = {"input": spoilt, **outputs, "truth": test}
            kept = enhancer, spoilt[0], {name: made[:SHOWN] for name, made in columns.items()}
    report = {
        "task": str(task),
        "dataset": arguments.dataset,
        "steps": arguments.steps,
        "adversarial": arguments.adversarial,
        "test_pictures": len(test),
        "judge": judge.name if judge else None,
        "runs": runs,
    }
    if len(runs) > 1:
        for name, figures in cli.over_seeds(runs).items():
            report[name] = figures
            print(f"{name} of {len(runs)} seeds:\n{_table(figures)}")
    _save(out, report, *kept)
    print(f"done: look at {out / 'pictures.png'}; the figures are in {out / 'figures.json'}; try")
    print(f"  python -m minigan.enhance {out / 'example.png'} enhanced.png --network {out / 'network.npz'}")
    return 0


def _fit(arguments, task, images, seed):
    enhancer = Enhancer(images.shape[3], task, seed)
    started = time.perf_counter()
    with cli.watched(arguments.steps, f"seed {seed}", arguments.quiet) as watch:
        rng = np.random.default_rng([seed, 0])
        enhancement.fit(enhancer, images, arguments.steps, arguments.adversarial, rng, watch)
    return enhancer, time.perf_counter() - started


def _save(out, report, enhancer, example, columns):
    about = {key: report[key] for key in ("dataset", "steps", "adversarial")} | {"seed": report["runs"][0]["seed"]}
    enhancer.save(out / "network.npz", about)
    plotting.save_comparison(out / "pictures.png", columns)
    pictures.write(out / "example.png", example)
    write_json(out / "figures.json", report)


def _table(figures):
    names = {"psnr": ("PSNR, dB", ".2f"), "ssim": ("SSIM", ".4f"), "recognised": ("recognised", ".2%")}
    keys = list(figures["network"])
    lines = [" " * 16 + "".join(f"{names[key][0]:>12}" for key in keys)]
    for name, row in figures.items():
        cells = (format(row[key], names[key][1]) if key in row else "" for key in keys)
        lines.append(f"{name:16}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)


if __name__ == "__main__":
    cli.main("enhance", run)
