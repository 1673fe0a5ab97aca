"""python -m minigan.train: train a GAN and leave a folder of pictures, curves and a checkpoint."""

import sys
from contextlib import ExitStack
from dataclasses import fields

from minigan.gan import build_gan, session
from minigan.gan.config import Config, add_flags
from minigan.gan.trainer import NOTES
from minigan.kernels.parallel import threads
from minigan.models import PRESETS
from minigan.tools import cli

LIST, NEW, RESUMED = "--list", "a new run", "--resume"  # ways of running


def parse(argv):
    lines = "\n".join(f"  {preset.name:22}{preset.summary}" for preset in PRESETS.values())
    parser = cli.Parser("train", f"Train a GAN. With no arguments: on MNIST, in a few minutes.\n\npresets:\n{lines}")
    add_flags(parser, [item.name for item in fields(Config)], (NEW, RESUMED))
    parser.add_argument("--list", action="store_true", help="list the presets with paper, size and minutes, and end")
    out = "where the run's files go (default: runs/<preset>, numbered if that is taken)"
    parser.add_argument("--out", metavar="FOLDER", only=(NEW,), help=out)
    resumed = "continue the run in this folder, bit for bit"
    parser.add_argument("--resume", metavar="FOLDER", only=(RESUMED,), help=resumed)
    parser.add_argument("--quiet", action="store_true", help="no progress bar (default: shown)")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    cli.check_ways(arguments, LIST if arguments.list else NEW if arguments.resume is None else RESUMED)
    cli.give_one(arguments, "both say how long to train", "--steps", "--epochs")
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
    if arguments.list:
        print(_list())
        return 0
    given = {item.name: getattr(arguments, item.name) for item in fields(Config) if hasattr(arguments, item.name)}
    with ExitStack() as claim:
        if arguments.resume is None:
            return _fit(session.begin(given, claim, arguments.out, arguments.quiet), arguments.quiet)
        return _fit(session.resume(arguments.resume, given, claim, arguments.quiet), arguments.quiet)


def _fit(trainer, quiet):
    gan, folder = trainer.gan, trainer.run.folder
    if not quiet:
        config = gan.config
        print(
            f"{config.preset} on {config.dataset}: {trainer.total_steps} steps of {config.batch_size}, seed "
            f"{config.seed}, into {folder}",
            file=sys.stderr,
        )
    if gan.config.feature_matching and gan.conditions.count and gan.config.conditioning != "concatenation":
        print("note: with feature_matching G follows no condition unless --conditioning concatenation", file=sys.stderr)
    stopped = trainer.fit()
    for note in trainer.notes():
        print(f"note: {NOTES[note]}", file=sys.stderr)
    if (follows := trainer.critic_follows()) is not None:
        print(
            f"the critic's estimate of the distance against the Fréchet distance, {len(follows['steps'])} looks: "
            f"Pearson {follows['pearson']:.2f}, Spearman {follows['spearman']:.2f}"
        )
    if stopped is not None:
        print(f"stopped and saved at step {gan.step}; resume with: python -m minigan.train --resume {folder}")
        return 128 + stopped
    print(f"done: look at {trainer.run.sample_path(gan.step)} and {trainer.run.gif_path}")
    return 0


def _list():
    """A line for each preset: name, parameters of both networks, minutes of a default run, what it is, its paper."""
    lines = [f"{'preset':22}{'parameters':>12}{'minutes':>9}  what it is (paper)"]
    for preset in PRESETS.values():
        gan = build_gan(preset.name)
        count = sum(p.size for network in (gan.generator, gan.discriminator) for p in network.params.values())
        lines.append(f"{preset.name:22}{count:>12,}{preset.minutes:>9g}  {preset.summary} ({preset.source})")
    return "\n".join(lines)


if __name__ == "__main__":
    cli.main("train", run)
