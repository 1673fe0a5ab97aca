"""Every preset with every kind of data, way of conditioning and setting of the game: trained, or refused in a sentence.

    python tests/scripts/combinations.py                                  # the full product, an hour or two on one core
    python tests/scripts/combinations.py --preset cogan,lapgan --data "grey 28" --game "r1 1.0" --every 23

A script to run by hand; test_combinations.py runs all pairs of choices. Each game makes a few steps with a few samples,
and then draws some. A fault is anything but finite losses, finite samples in the data's shape and range and networks
that have moved, or a refusal before the first step in the words expected here. Exit status 1 if there was one.
"""

import argparse
import itertools
import random
import sys
import traceback
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from minigan import datasets
from minigan.base.errors import InputError
from minigan.gan import GAN
from minigan.gan.conditioning import CONDITIONING as WAYS
from minigan.gan.conditions import of_samples
from minigan.gan.config import Config
from minigan.kernels.parallel import threads
from minigan.losses import LOSSES
from minigan.models import PRESETS
from minigan.optim import OPTIMIZERS

COUNT, BATCH, CLASSES = 12, 4, 3
SHAPES = {
    "grey 28": (28, 28, 1),
    "colour 32": (32, 32, 3),
    "30 x 30": (30, 30, 1),
    "16 x 24": (16, 24, 1),
    "unlabelled": (8, 8, 1),
    "one pixel": (1, 1, 1),
    "points": (2,),
}
CONDITIONING = {"no condition": {"condition": "none"}} | {
    f"{condition} by {conditioning}": {"condition": condition, "conditioning": conditioning, "clusters": clusters}
    for conditioning in WAYS
    for condition, clusters in (("labels", 1), ("clusters", 2))
}
CONDITIONING["labels and clusters"] = {"condition": "labels", "clusters": 2}
CONDITIONING["one cluster"] = {"condition": "clusters", "clusters": 1}
GAME = {  # setting -> its values, the first of which does nothing unless it is one of several ways
    "loss": list(LOSSES),
    "optimizer": list(OPTIMIZERS),
    "label_smoothing": [0.0, 0.1],
    "n_critic": [1, 2],
    "l1": [0.0, 1e-4],
    "l2": [0.0, 1e-4],
    "orthogonal": [0.0, 1e-4],
    "clip_norm": [None, 1.0],
    "weight_clip": [None, 0.1],
    "gradient_penalty": [0.0, 10.0],
    "r1": [0.0, 1.0],
    "feature_matching": [0.0, 1.0],
    "instance_noise": [0.0, 0.1],
    "ema_decay": [0.0, 0.9],
    "latent_dim": [8, 1],
    "grow_steps": [600, 1],
}
AXES = {"preset": list(PRESETS), "data": list(SHAPES), "conditioning": list(CONDITIONING), **GAME}

# what is to be refused, written down apart from the code that refuses it
ANY_SHAPE, ANY_SIZE, ANY_HEIGHT = {"mlp", "toy"}, {"mlp", "toy", "listing", "listing-fixed"}, {"wavegan"}
PENALISED = {"mlp", "toy", "listing", "listing-fixed", "wgan-gp"}
IN_PARTS = {"biggan", "lapgan"}


def settings_of(choices):
    """What choices, of some of AXES, set."""
    settings = {name: value for name, value in choices.items() if name not in ("data", "conditioning")}
    return settings | CONDITIONING.get(choices.get("conditioning"), {})


def reasons(choices, settings):
    """What the sentence must say, for each reason to refuse these: a game needs none, a refusal one of them."""
    preset, data, set_to = settings.get("preset"), choices.get("data"), settings.get
    shape, said = SHAPES.get(data, (4, 4, 1)), []
    if preset and len(shape) == 1 and preset not in ANY_SHAPE:
        said.append(f"preset {preset}: samples of shape {shape} do not fit")
    divides = [n % 4 == 0 or (i == 0 and preset in ANY_HEIGHT) for i, n in enumerate(shape[:2])]
    if preset and len(shape) == 3 and preset not in ANY_SIZE and not all(divides):
        said.append(f"preset {preset}: {shape[0]} x {shape[1]} pixels do not divide by 4")
    if preset in IN_PARTS and set_to("latent_dim", 8) < 3:
        said.append(f"preset {preset}: latent_dim is {set_to('latent_dim')}, expected at least 3")
    flat = preset == "wavegan" and (data is None or shape[-2:-1] != (32,))  # too few levels for its batch norm
    for penalty in ("gradient_penalty", "r1"):
        if preset and set_to(penalty) and preset not in PENALISED and not flat:
            said.append(f"{penalty} does not go with the preset {preset}")
    if set_to("label_smoothing") and set_to("loss", "non_saturating") != "non_saturating":
        said.append(f"label_smoothing goes with the loss non_saturating, not with {set_to('loss')}")
    if set_to("condition") == "labels" and data == "unlabelled":
        said.append("the data set unlabelled has no labels; use --condition clusters or none")
    if (set_to("condition"), set_to("clusters")) == ("clusters", 1):
        said.append("clusters is 1, expected at least 2 with condition clusters")
    return said


def samples_of(data):
    """-> a few samples of the kind, as `datasets.load` gives them, and their labels or None."""
    rng, shape = np.random.default_rng(1), SHAPES[data]
    samples = rng.integers(0, 256, (COUNT, *shape), np.uint8)
    if len(shape) == 1:
        samples = rng.uniform(-1, 1, (COUNT, *shape)).astype(np.float32)
    return samples, None if data == "unlabelled" else np.arange(COUNT) % CLASSES


def play(choices, settings):
    """A few steps of the game, as `train` makes them, and samples. -> the sentence where it is refused, or None.

    Raises whatever went wrong, AssertionError where nothing but the outcome shows it.
    """
    samples, labels = samples_of(choices["data"])
    try:
        config = Config.for_preset(**{"dataset": choices["data"], "batch_size": BATCH, **settings})
        conditions, shares = of_samples(config, samples, labels)
        gan = GAN(config, samples.shape[1:], shares)
    except InputError as error:
        return str(error)
    networks = (gan.generator, gan.discriminator)
    before = [{name: param.copy() for name, param in network.params.items()} for network in networks]
    for step in range(max(2, config.n_critic)):
        chosen = np.arange(step, step + BATCH) % COUNT
        real = datasets.to_float(samples[chosen])
        metrics = gan.train_step(real, None if conditions is None else conditions[chosen])
        assert np.isfinite(list(metrics.values())).all(), metrics
    for network, old in zip(networks, before, strict=True):
        assert any(not np.array_equal(old[name], param) for name, param in network.params.items()), "it stayed"
        assert all(np.isfinite(param).all() for param in network.params.values()), "weights are not finite"
    asked = np.arange(CLASSES) if gan.conditions.classes else None
    drawn = gan.sample(CLASSES, np.random.default_rng(2), asked)
    assert (drawn.shape, drawn.dtype) == ((CLASSES, *samples.shape[1:]), np.float32), (drawn.shape, drawn.dtype)
    assert np.isfinite(drawn).all(), "samples are not finite"
    assert drawn.ndim == 2 or abs(drawn).max() <= 1, "samples are out of range"
    return None


def fault(choices, settings=None):
    """What is wrong with these choices, or None: with settings, those are played and the choices only name the data."""
    settings = settings_of(choices) if settings is None else settings
    config = {"condition": "none", **PRESETS[settings["preset"]].defaults, **settings}
    expected = reasons(choices, config)
    try:
        with np.errstate(all="ignore"):
            sentence = play(choices, settings)
    except Exception:
        return traceback.format_exc(limit=-2).strip()
    if sentence is None:
        return f"was trained, expected {expected[0]!r}" if expected else None
    if "\n" in sentence or not any(said in sentence for said in expected):
        return f"refused: {sentence!r}, expected {expected or 'a game'}"
    return None


def pairs(choices):
    return {frozenset(two) for two in itertools.combinations(choices.items(), 2)}


def is_refused(choices):
    return bool(reasons(choices, settings_of(choices)))


def every_pair():
    """-> the pairs of choices that are to be played, and those that are to be refused: dicts of two choices."""
    possible, refused = [], []
    for (one, values), (two, others) in itertools.combinations(AXES.items(), 2):
        for choices in ({one: a, two: b} for a in values for b in others):
            (refused if is_refused(choices) else possible).append(choices)
    return possible, refused


def covering():
    """Few combinations, dicts of all AXES, none of which is refused, that hold every possible pair of choices.

    Greedily: from a pair not met yet, choice after choice that meets most others.
    """
    rng, possible = random.Random(0), every_pair()[0]
    left = {frozenset(choices.items()) for choices in possible}
    rows = []
    for choices in possible:
        if frozenset(choices.items()) not in left:
            continue
        row = dict(choices)
        for axis in rng.sample([name for name in AXES if name not in row], len(AXES) - 2):
            fitting = [value for value in AXES[axis] if not is_refused({**row, axis: value})]
            gains = [sum(frozenset([(axis, value), item]) in left for item in row.items()) for value in fitting]
            row[axis] = rng.choice([v for v, gain in zip(fitting, gains, strict=True) if gain == max(gains)])
        left -= pairs(row)
        rows.append(row)
    return rows


def product(wanted):
    """Every preset, kind of data, way of conditioning and single setting of the game: choices, what they set, names.

    wanted: axis -> the names that are to be tried, None for all.
    """
    own = "as the preset has it"
    games = {own: {}} | {
        f"{name} {value}": {name: value} for name, values in GAME.items() for value in values[len(values) == 2 :]
    }
    conditionings = {own: {"clusters": 2}} | {name: {"clusters": 2, **way} for name, way in CONDITIONING.items()}
    axes = {"preset": PRESETS, "data": SHAPES, "conditioning": conditionings, "game": games}
    for axis, names in wanted.items():
        if unknown := set(names or ()) - set(axes[axis]):
            sys.exit(f"there is no {axis} {unknown.pop()!r}; there are {', '.join(axes[axis])}")
    for names in itertools.product(*(wanted[axis] or axes[axis] for axis in axes)):
        preset, data, conditioning, game = names
        yield {"data": data}, {"preset": preset, **conditionings[conditioning], **games[game]}, names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    axes = ("preset", "data", "conditioning", "game")
    for axis in axes:
        parser.add_argument(f"--{axis}", type=lambda text: text.split(","), help="names with commas between")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th combination")
    arguments = parser.parse_args()
    faults = 0
    with threads.threads(1):
        wanted = list(product({axis: getattr(arguments, axis) for axis in axes}))
        bar = tqdm(wanted[:: arguments.every], mininterval=1)
        for choices, settings, names in bar:
            if wrong := fault(choices, settings):
                faults += 1
                bar.write(f"{', '.join(names)}: {wrong}")
    print(f"{len(bar)} combinations, {faults} faults")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
