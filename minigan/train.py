"""python -m minigan.train: train a GAN and leave a folder of pictures, curves and a checkpoint."""

import sys
from dataclasses import fields

from minigan.gan import build_gan, session
from minigan.gan.config import Config, add_flags
from minigan.models import PRESETS
from minigan.tools import cli
from minigan.tools.tables import text_table

LIST, NEW, RESUMED = "--list", "a new run", "--resume"  # ways of running


def parse(argv):
    lines = "\n".join(f"  {preset.name:22}{preset.summary}" for preset in PRESETS.values())
    parser = cli.Parser("train", f"Train a GAN. With no arguments: on MNIST, in a few minutes.\n\npresets:\n{lines}")
    add_flags(parser, (NEW, RESUMED))
    parser.add_argument("--list", action="store_true", help="list the presets with paper, size and minutes, and end")
    parser.add_shared("--out", action="store", by_default="runs/<preset>, numbered if that is taken", only=(NEW,))
    resumed = "continue the run in this folder, bit for bit"
    parser.add_argument("--resume", metavar="FOLDER", only=(RESUMED,), help=resumed)
    parser.add_shared("--quiet")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    cli.check_ways(arguments, LIST if arguments.list else NEW if arguments.resume is None else RESUMED)
    cli.give_one(arguments, "both say how long to train", "--steps", "--epochs")
    if arguments.list:
        print(_list())
        return 0
    given = {item.name: getattr(arguments, item.name) for item in fields(Config) if hasattr(arguments, item.name)}
    quiet = arguments.quiet
    if arguments.resume is None:
        training = session.begin(given, arguments.out, quiet)
    else:
        training = session.resume(arguments.resume, given, quiet)
    with training as trainer:
        return _fit(trainer, quiet)


def _fit(trainer, quiet):
    gan, folder = trainer.gan, trainer.run.folder
    if not quiet:
        config = gan.config
        print(
            f"{config.preset} on {config.dataset}: {trainer.total_steps} steps of {config.batch_size}, seed "
            f"{config.seed}, into {folder}",
            file=sys.stderr,
        )
    stopped = trainer.fit()
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
    rows = [["preset", "parameters", "minutes", "what it is (paper)"]]
    for preset in PRESETS.values():
        gan = build_gan(preset.name)
        count = sum(p.size for network in (gan.generator, gan.discriminator) for p in network.params.values())
        rows.append([preset.name, f"{count:,}", f"{preset.minutes:g}", f"{preset.summary} ({preset.source})"])
    return text_table(rows, "<>><")


if __name__ == "__main__":
    cli.main("train", run)
