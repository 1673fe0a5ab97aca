"""python -m minigan.sample RUN: pictures from a trained generator."""

from pathlib import Path

import numpy as np

from minigan.base.errors import InputError, shorten
from minigan.base.files import save_array
from minigan.gan import latent_space
from minigan.gan.latent_space import COLUMNS, walks
from minigan.gan.run import load_gan
from minigan.kernels.parallel import threads
from minigan.tools import cli, plotting

ENDINGS = (".png", ".npy")
MOST = 1_000_000  # samples at once
DRAWN, SUM = "samples of drawn z", "--arithmetic"  # ways of running


def parse(argv):
    parser = cli.Parser("sample", "Draw samples from a trained generator.")
    parser.add_argument("run", metavar="RUN", help="a run's folder, or a checkpoint file")
    drawn = {"only": (DRAWN,)}
    parser.add_argument("--n", type=int, default=100, metavar="N", help="how many samples (default: 100)", **drawn)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the samples' z (default: 0)")
    parser.add_argument(
        "--label",
        metavar="NAME",
        help="draw this class only (default: one a row, where trained with labels)",
        **drawn,
    )
    parser.add_argument(
        "--interpolate",
        action="store_true",
        help="each row of ten walks from one z to another (default: independent)",
        **drawn,
    )
    parser.add_argument(
        "--arithmetic", metavar="SUM", help="add and subtract the mean z of digits, such as 7-1+2, and see what G draws"
    )
    parser.add_argument(
        "--truncation",
        type=float,
        metavar="X",
        help="draw z from within plus or minus this (default: all of N(0, 1))",
        **drawn,
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help="a .png grid, or a .npy array (n, H, W, C) in [-1, 1] (default: samples.png or arithmetic.png beside the "
        "checkpoint)",
    )
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
    if not 1 <= arguments.n <= MOST:
        raise InputError(f"--n is {arguments.n}, expected a whole number from 1 to {MOST}.")
    if arguments.seed < 0:
        raise InputError(f"--seed is {arguments.seed}, expected a whole number of at least 0.")
    terms = None if arguments.arithmetic is None else latent_space.parse_terms(arguments.arithmetic)
    cli.check_ways(arguments, DRAWN if terms is None else SUM)
    source = Path(arguments.run)
    name = "samples.png" if terms is None else "arithmetic.png"
    default = (source if source.is_dir() else source.parent) / name
    out = Path(arguments.out or default)
    if out.suffix not in ENDINGS:
        raise InputError(f"--out is {out}, expected a name that ends in {' or '.join(ENDINGS)}.")
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
    gan, _, _ = load_gan(source)
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
