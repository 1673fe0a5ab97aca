"""What the commands that mend pictures share: flags, a training and a comparison for each seed, figures, pictures."""

import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from minigan import cli, datasets, evaluation, mending, pictures, plotting
from minigan.errors import InputError
from minigan.files import write_json

SHOWN = 8  # pictures on the page, or a few more where there are several parts
ADVERSARIAL = 0.01
MEASURES = {"psnr": ("PSNR, dB", ".2f"), "ssim": ("SSIM", ".4f"), "recognised": ("recognised", ".2%")}


def make_parser(command, description, steps):
    """The flags that both have; steps: the default. Files go to runs/<command> unless told otherwise."""
    parser = cli.Parser(command, description)
    out = f"runs/{command}"
    parser.add_argument(
        "input", metavar="IN", nargs="?", help=f"a picture to {command}; without it a network is trained"
    )
    parser.add_argument("output", metavar="OUT", nargs="?", help=f"where the {command}d picture goes")
    parser.add_argument(
        "--network", metavar="FILE", help=f"what {command}s IN, as training saved it (default: {out}/network.npz)"
    )
    parser.add_argument(
        "--dataset", default="mnist", metavar="NAME", help="pictures to learn from, as for train (default: mnist)"
    )
    parser.add_argument("--image-size", type=int, metavar="N", help="of a folder's pictures (default: 28, 32 or 64)")
    parser.add_argument(
        "--judge", metavar="FILE", help="a classifier that classify has saved (default: for mnist the one in data/)"
    )
    parser.add_argument("--steps", type=int, default=steps, metavar="N", help=f"training steps (default: {steps})")
    parser.add_argument(
        "--adversarial",
        type=float,
        default=ADVERSARIAL,
        metavar="X",
        help=f"weight of the adversarial loss beside L1; 0: L1 alone (default: {ADVERSARIAL})",
    )
    cli.add_seed_flags(parser)
    parser.add_argument("--out", default=out, metavar="FOLDER", help=f"for the files of training (default: {out})")
    return parser


def check(command, arguments):
    """InputError for what is wrong with these flags whatever the command."""
    if arguments.input is not None and arguments.judge is not None:
        raise InputError("--judge looks at the test pictures after training; leave it out for a picture.")
    if arguments.input is not None and arguments.output is None:
        raise InputError(f"there is nowhere to put the {command}d {arguments.input}; name a second file.")
    cli.check_numbers(arguments)
    if not 0 <= arguments.adversarial <= 100:
        raise InputError(f"--adversarial is {arguments.adversarial}, expected a number from 0 to 100.")


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


def load_network(made_by, arguments):
    """The network that --network names, or that training left where it does unasked; made_by: the Mender's class."""
    network = Path(f"runs/{made_by.command}/network.npz") if arguments.network is None else Path(arguments.network)
    if arguments.network is None and not network.exists():
        raise InputError(
            f"there is no {network} yet; train it with python -m minigan.{made_by.command}, or name a --network."
        )
    return made_by.load(network)


# ---- training one


def train_network(arguments, made_by, task):
    """-> learn(images, seed) for `compare`: a trained Mender of that class, with progress."""

    def learn(images, seed):
        mender = made_by(images.shape[3], task, seed)
        with cli.watched(arguments.steps, f"seed {seed}", arguments.quiet) as watch:
            rng = np.random.default_rng([seed, 0])
            mending.fit(mender, images, arguments.steps, arguments.adversarial, rng, watch)
        return mender

    return learn


def compare(arguments, task, learn, save, about, most=None, check=lambda images: None):
    """For each seed learn(images, seed) -> what mends, and measure it beside the simple methods on the test pictures.

    What mends has outputs(spoilt), name -> pictures. save(out, what mends, its about, an example of the input) writes
    the first seed's files besides figures.json and pictures.png. about: entries for figures.json. most: how many test
    pictures at the most. check(images): InputError where these do not suit what mends. -> the folder.
    """
    out = Path(arguments.out)
    (images, _), (test, labels) = (
        datasets.load(arguments.dataset, split, arguments.image_size) for split in ("train", "test")
    )
    task.check(images)
    check(images)
    test, labels = test[:most], None if labels is None else labels[:most]
    out.mkdir(parents=True, exist_ok=True)
    judge = None
    if labels is None and arguments.judge is not None:
        raise InputError(f"--judge needs labels, and {arguments.dataset} has none; leave it out.")
    if labels is not None:
        judge = evaluation.judge_for(arguments.dataset, arguments.image_size, images.shape[1:], arguments.judge)
        if judge is None:
            remedy = evaluation.training_a_judge(arguments.dataset, arguments.image_size)
            print(f"without the share recognised; for that, {remedy}")
    parts, runs, kept = task.parts() or {"": task}, [], None
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        started = time.perf_counter()
        mends = learn(images, seed)
        seconds = time.perf_counter() - started
        results = {}
        for name, part in tqdm(parts.items(), desc=f"seed {seed}, measuring", disable=arguments.quiet):
            results[name] = _measured(part, mends, images, test, labels, judge, seed)
        figures = {name: rows for name, (rows, _) in results.items()}
        figures = figures if task.parts() else figures[""]
        runs.append({"seed": seed, "seconds": round(seconds, 1), "figures": figures})
        print(f"seed {seed}, {seconds:.0f} s of training, {len(test)} test pictures:\n{_tables(figures)}")
        if kept is None:
            kept = mends, [columns for _, columns in results.values()]
    report = {
        "task": str(task),
        "dataset": arguments.dataset,
        "steps": arguments.steps,
        **about,
        "test_pictures": len(test),
        "judge": judge.name if judge else None,
        "runs": runs,
    }
    cli.add_spread(report, runs, _tables)
    mends, pages = kept
    about = {"dataset": arguments.dataset, "steps": arguments.steps, **about, "seed": arguments.seed}
    save(out, mends, about, pages[0][0])
    plotting.save_comparison(out / "pictures.png", _page([columns for _, columns in pages]))
    write_json(out / "figures.json", report)
    print(f"done: look at {out / 'pictures.png'}; the figures are in {out / 'figures.json'}")
    return out


def _measured(task, mends, images, test, labels, judge, seed):
    """-> figures of each method, and an input with pictures to show."""
    spoil_rng, tune_rng = (np.random.default_rng([seed, i]) for i in (1, 2))
    spoilt = task.spoil(test, spoil_rng)
    outputs = {name: method(spoilt) for name, method in task.baselines(images, tune_rng).items()}
    outputs |= mends.outputs(spoilt)
    figures = {name: mending.measure(made, test, labels, judge) for name, made in outputs.items()}
    if judge is not None:
        figures["truth"] = mending.recognised(test, labels, judge)
    columns = {"input": task.show(spoilt), **outputs, "truth": test}
    return figures, (spoilt[0], {name: made[:SHOWN] for name, made in columns.items()})


def _page(pages):
    """The columns of all parts below each other, some rows of each."""
    rows = -(-SHOWN // len(pages))
    return {name: np.concatenate([columns[name][:rows] for columns in pages]) for name in pages[0]}


def _tables(figures):
    """Figures of methods, or of the methods of each part, as text."""
    if not isinstance(next(iter(next(iter(figures.values())).values())), dict):
        return _table(figures)
    return "\n".join(f"{name}:\n{_table(rows)}" for name, rows in figures.items())


def _table(figures):
    keys = list(next(iter(figures.values())))
    lines = [" " * 16 + "".join(f"{MEASURES[key][0]:>12}" for key in keys)]
    for name, row in figures.items():
        cells = (format(row[key], MEASURES[key][1]) if key in row else "" for key in keys)
        lines.append(f"{name:16}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join(lines)
