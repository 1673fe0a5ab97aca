"""python -m minigan.sample RUN: pictures from a trained generator."""

from pathlib import Path

import numpy as np

from minigan.base.errors import InputError, shorten
from minigan.base.files import save_array
from minigan.gan import latent_space
from minigan.gan.latent_space import COLUMNS, walks
from minigan.gan.run import LoadedRun
from minigan.tools import cli, plotting

ENDINGS = (".png", ".npy")
MOST = 1_000_000  # samples at once
DRAWN, SUM = "samples of drawn z", "--arithmetic"  # ways of running


def parse(argv):
    parser = cli.Parser("sample", "Draw samples from a trained generator.")
    parser.add_shared("run", "--seed")
    number = {"type": int, "default": 100, "least": 1, "most": MOST, "metavar": "N"}
    parser.add_argument("--n", **number, help="how many samples", only=(DRAWN,))
    label = {"by_default": "one a row, where trained with labels", "help": "draw this class only"}
    parser.add_argument("--label", metavar="NAME", **label, only=(DRAWN,))
    walk = {"by_default": "independent", "help": "each row of ten walks from one z to another"}
    parser.add_argument("--interpolate", action="store_true", **walk, only=(DRAWN,))
    arithmetic = "add and subtract the mean z of digits, such as 7-1+2, and see what G draws"
    parser.add_argument("--arithmetic", metavar="SUM", help=arithmetic)
    truncation = {"by_default": "all of N(0, 1)", "help": "draw z from within plus or minus this"}
    parser.add_argument("--truncation", type=float, metavar="X", **truncation, only=(DRAWN,))
    out = "a .png grid, or a .npy array (n, H, W, C) in [-1, 1]"
    parser.add_argument("--out", metavar="FILE", help=out, by_default="samples.png or arithmetic.png in RUN")
    return parser.parse_args(argv)


def _labels(gan, rows, label):
    """What each row is to show, or None where the generator cannot be asked."""
    classes = gan.conditions.classes
    if label is not None and not classes:
        raise InputError(
            f"--label is {label}, but this generator was trained without labels; train one with --condition labels."
        )
    if not classes:
        return None
    return np.arange(rows) % classes if label is None else np.full(rows, gan.conditions.label(label))


def run(argv=None):
    arguments = parse(argv)
    terms = None if arguments.arithmetic is None else latent_space.parse_terms(arguments.arithmetic)
    cli.check_ways(arguments, DRAWN if terms is None else SUM)
    out = None if arguments.out is None else Path(arguments.out)
    if out is not None and out.suffix not in ENDINGS:
        raise InputError(f"--out is {out}, expected a name that ends in {' or '.join(ENDINGS)}.")
    trained = LoadedRun(arguments.run)
    gan = trained.gan
    out = out or trained.default_out("samples.png" if terms is None else "arithmetic.png")
    if not out.absolute().parent.is_dir():
        raise InputError(f"--out is {out}, but there is no folder {out.parent}; make it first.")
    rng = np.random.default_rng(arguments.seed)
    if terms:
        latent_space.draw_sum(gan, terms, rng, out)
        return 0
    rows = -(-arguments.n // COLUMNS)
    labels = _labels(gan, rows, arguments.label)
    names = None if labels is None else gan.conditions.captions(labels)
    if arguments.interpolate:
        samples = walks(gan, rows, rng, labels, arguments.truncation)[: arguments.n]
    else:
        labels = None if labels is None else np.repeat(labels, COLUMNS)[: arguments.n]
        samples = gan.sample(arguments.n, rng, labels, arguments.truncation)
    if out.suffix == ".npy":
        save_array(out, samples)
    else:
        columns = COLUMNS if arguments.interpolate or labels is not None else None
        plotting.save_samples(out, samples, columns=columns, rows=names)
    shown = f", a row each of {shorten(', '.join(dict.fromkeys(names)))}" if names else ""
    print(f"{arguments.n} samples in {out}{shown}")
    return 0


if __name__ == "__main__":
    cli.main("sample", run)
