"""python -m minigan.train: train a GAN and leave a folder of pictures, curves and a checkpoint."""

import sys
from contextlib import ExitStack
from dataclasses import asdict, fields, replace

import numpy as np

from minigan import choices, cli, datasets, evaluation
from minigan.classifier import shipped_judge
from minigan.conditions import names_of, of_samples
from minigan.config import Config
from minigan.errors import InputError, brief
from minigan.gan import GAN, build_gan
from minigan.kernels import threads
from minigan.models import PRESETS
from minigan.run import Run, load_gan
from minigan.trainer import NOTES, Trainer

MAY_CHANGE = (
    "epochs",
    "steps",
    "sample_every",
    "evaluate_every",
    "checkpoint_every",
)  # on resume: how long and how often, never what


def parse(argv):
    lines = "\n".join(f"  {preset.name:22}{preset.summary}" for preset in PRESETS.values())
    parser = cli.Parser("train", f"Train a GAN. With no arguments: on MNIST, in a few minutes.\n\npresets:\n{lines}")
    cli.add_config_flags(parser, [item.name for item in fields(Config)])
    parser.add_argument("--list", action="store_true", help="list the presets with paper, size and minutes, and end")
    parser.add_argument("--out", metavar="FOLDER", help="where the run's files go (default: runs/<preset>)")
    parser.add_argument("--resume", metavar="FOLDER", help="continue the run in this folder, bit for bit")
    parser.add_argument("--quiet", action="store_true", help="no progress bar (default: shown)")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    if arguments.threads is not None:
        threads.set_threads(arguments.threads)
    if arguments.list:
        print(_list())
        return 0
    given = {item.name: getattr(arguments, item.name) for item in fields(Config) if hasattr(arguments, item.name)}
    with ExitStack() as claim:
        start = _begin if arguments.resume is None else _resume
        return _fit(start(arguments, given, claim), arguments.quiet)


def _fit(trainer, quiet):
    gan, folder = trainer.gan, trainer.run.folder
    if not quiet:
        config = gan.config
        print(
            f"{config.preset} on {config.dataset}: {trainer.total_steps} steps of {config.batch_size}, seed "
            f"{config.seed}, into {folder}",
            file=sys.stderr,
        )
    if gan.config.feature_matching and gan.conditions.count and gan.config.told_by != "concatenation":
        print("note: with feature_matching G follows no condition unless --told-by concatenation", file=sys.stderr)
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


def _begin(arguments, given, claim):
    asked = _located(Config.for_preset(**given))
    sized = choices.image_size(asked)
    samples, labels, names = _data(sized)
    config = choices.conditioning(sized, given, labels, len(samples))
    choices.say(asked, config, names, len(samples))
    conditions, shares = of_samples(config, samples, labels, len(names))
    gan = GAN(config, samples.shape[1:], shares, names=names)
    run = Run.create(arguments.out, config.preset)
    claim.enter_context(run.claimed())
    run.write_config(config)
    run.start_log()
    return _trainer(arguments, gan, samples, conditions, run, None, None)


def _resume(arguments, given, claim):
    if arguments.out is not None:
        raise InputError("--resume continues in the run's own folder, so --out does not go with it; leave one out.")
    run = Run(arguments.resume)
    begun = _located(run.read_config())
    claim.enter_context(run.claimed())
    wanted = _located(Config(**{**asdict(begun), **given}))
    if "epochs" in given and "steps" not in given:
        wanted = replace(wanted, steps=None)  # or an earlier --steps would still rule
    _refuse(run, begun, begun.differences(wanted, but=MAY_CHANGE))
    samples, labels, names = _data(wanted)
    conditions, shares = of_samples(wanted, samples, labels, len(names))
    if run.ended_before_first_checkpoint(begun):
        print(f"the run in {run.folder} has no checkpoint yet and begins again at step 0", file=sys.stderr)
        gan, arrays, progress = GAN(wanted, samples.shape[1:], shares, names=names), None, None
    else:
        gan, arrays, progress = load_gan(run.folder)
        trained = _located(gan.config)
        _refuse(run, trained, trained.differences(wanted, but=MAY_CHANGE))
        _same_conditions(run, gan, names, shares)
        gan.config = wanted
    trainer = _trainer(arguments, gan, samples, conditions, run, arrays, progress)
    if gan.step >= trainer.total_steps and run.has_its_film():
        raise InputError(f"the run in {run.folder} is complete at step {gan.step}; for more give --steps or --epochs.")
    run.write_config(wanted)
    run.go_back_to(gan.step)
    return trainer


def _refuse(run, begun, names):
    if names:
        was = ", ".join(f"{name} {getattr(begun, name)!r}" for name in names)
        raise InputError(f"the run in {run.folder} was begun with {was}; resume it without changing that.")


def _same_conditions(run, gan, names, shares):
    """InputError where the data now has other classes than those that the networks know."""
    if gan.conditions.count != (0 if shares is None else len(shares)):
        raise InputError(
            f"the run in {run.folder} knows {gan.conditions.count} conditions, its data set now has "
            f"{0 if shares is None else len(shares)}; bring the data back, or begin a new run."
        )
    if gan.conditions.names not in (names, names_of(gan.conditions.classes)):
        raise InputError(
            f"the run in {run.folder} knows the labels {brief(', '.join(gan.conditions.names))}, its data set now has "
            f"{brief(', '.join(names))}; bring the data back, or begin a new run."
        )


def _located(config):
    """Own data by its absolute path, so that the run finds it from any folder."""
    return replace(config, dataset=datasets.located(config.dataset))


def _data(config):
    """-> samples and labels to learn from, and the names of all classes."""
    samples, labels = datasets.load(config.dataset, "train", config.image_size)
    return samples, labels, datasets.class_names(config.dataset, config.image_size)


def _trainer(arguments, gan, samples, conditions, run, arrays, progress):
    config = gan.config
    batches = datasets.BatchIterator(len(samples), config.batch_size, np.random.default_rng([config.seed, 2]))
    if arrays is not None:
        batches.restore({key.removeprefix("batches."): arrays[key] for key in arrays if key.startswith("batches.")})
    return Trainer(
        gan,
        samples,
        conditions,
        batches,
        run,
        config.total_steps(len(samples)),
        quiet=arguments.quiet,
        progress=progress,
        follower=_follower(config, samples),
    )


def _follower(config, samples):
    if config.evaluate_every is None:
        return None
    if config.dataset != "mnist":
        raise InputError(
            f"evaluate_every goes with the data set mnist, which the classifier in data/ knows, not with "
            f"{config.dataset}; leave it out, and use evaluate with --judge afterwards."
        )
    test = datasets.load(config.dataset, "test")[0]
    return evaluation.Follower(samples, test, shipped_judge(), config.seed)


if __name__ == "__main__":
    cli.main("train", run)
