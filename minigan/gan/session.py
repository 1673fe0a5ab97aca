"""How a training is begun, gone on with, and found again: for the command and for Python."""

import sys
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np

from minigan import datasets
from minigan.base.errors import InputError, shorten
from minigan.datasets.labels import names_of
from minigan.gan import GAN, choices
from minigan.gan.conditions import of_samples
from minigan.gan.config import Config
from minigan.gan.run import Run, load_gan
from minigan.gan.trainer import Trainer
from minigan.metrics import evaluation
from minigan.metrics.judge import shipped_judge
from minigan.models import PRESETS

# on resume: how long and how often, never what
MAY_CHANGE = ("epochs", "steps", "sample_every", "evaluate_every", "checkpoint_every")


def load(path):
    """The GAN of a run's folder or checkpoint file, as it was saved. InputError where there is no good one."""
    return load_gan(path)[0]


def fit(preset, dataset=None, out=None, quiet=False, **settings):
    """Train a GAN as python -m minigan.train does, with progress, pictures, log and checkpoints -> the GAN.

    preset: its name, or the folder of a run to go on with, bit for bit. dataset: as in datasets.load; the preset's own
    unless given. out: a new folder for the run, runs/<preset> unless given. settings: other fields of Config, such as
    steps. On Ctrl-C the step is finished and saved. Raises InputError for what does not fit, RunError where training
    diverges.
    """
    given = {"preset": preset, "dataset": dataset, **settings}
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(preset, str | Path) and preset not in PRESETS and Run(preset).config_path.exists():
        if out is not None:
            raise InputError(f"{preset} is a run, which goes on in its own folder; leave out={str(out)!r} out.")
        del given["preset"]
        training = resume(preset, given, quiet)
    else:
        training = begin(given, out, quiet)
    with training as trainer:
        trainer.fit()
    return trainer.gan


@contextmanager
def begin(given, out=None, quiet=False):
    """`with begin(settings) as trainer:` a new run with these settings (dict) in the folder `out`, locked meanwhile."""
    if out is not None:
        Run.check_free(out)  # before any work
    asked = _located(Config.for_preset(**given))
    sized = choices.image_size(asked)
    samples, labels, names = _data(sized)
    config = choices.conditioning(sized, given, labels, len(samples))
    _check_partners(config, given)
    choices.say(asked, config, names, len(samples))
    conditions, shares = of_samples(config, samples, labels, len(names))
    gan = GAN(config, samples.shape[1:], shares, names=names)
    run = Run.create(out, config.preset)
    with run.lock():
        run.write_config(config)
        run.start_log()
        yield _trainer(gan, samples, conditions, run, quiet)


@contextmanager
def resume(folder, given, quiet=False):
    """`with resume(folder, {}) as trainer:` goes on with a run, locked meanwhile. given: settings that may change."""
    run = Run(folder)
    begun = _located(run.read_config())
    with run.lock():
        yield _resumed(run, begun, given, quiet)


def _resumed(run, begun, given, quiet):
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
    trainer = _trainer(gan, samples, conditions, run, quiet, arrays, progress)
    if gan.step >= trainer.total_steps and run.has_its_film():
        raise InputError(f"the run in {run.folder} is complete at step {gan.step}; for more give --steps or --epochs.")
    run.write_config(wanted)
    run.rewind(gan.step)
    return trainer


def _check_partners(config, given):
    """InputError for a setting that was given and that the others leave without effect."""
    for item in fields(Config):
        partner, wanted = item.metadata.get("goes_with", (None, ()))
        if partner and given.get(item.name, item.default) != item.default and getattr(config, partner) not in wanted:
            flag, other = (f"--{name.replace('_', '-')}" for name in (item.name, partner))
            raise InputError(
                f"{flag} goes with {other} {' or '.join(wanted)}, not with {getattr(config, partner)}; leave it out."
            )


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
            f"the run in {run.folder} knows the labels {shorten(', '.join(gan.conditions.names))}, its data set now "
            f"has {shorten(', '.join(names))}; bring the data back, or begin a new run."
        )


def _located(config):
    """Own data by its absolute path, so that the run finds it from any folder."""
    return replace(config, dataset=datasets.located(config.dataset))


def _data(config):
    """-> samples and labels to learn from, and the names of all classes."""
    samples, labels = datasets.load(config.dataset, "train", config.image_size)
    return samples, labels, datasets.class_names(config.dataset, config.image_size)


def _trainer(gan, samples, conditions, run, quiet, arrays=None, progress=None):
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
        quiet=quiet,
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
