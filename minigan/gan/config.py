"""Everything that decides what a run computes and leaves, in one place: its names, defaults, help lines and checks.

The command line's flags, config.json and a preset's defaults are all made from the fields of Config.
"""

import argparse
import dataclasses
import json
import math
from dataclasses import dataclass, fields

from minigan.base.errors import InputError
from minigan.base.ranges import check_range, expected
from minigan.gan.conditioning import CONDITIONING
from minigan.losses import LOSSES
from minigan.models import DEFAULT_PRESET, PRESETS, get_preset
from minigan.optim import OPTIMIZERS

CONDITIONS = ("none", "labels", "clusters")
RENAMED = {"told_by": "conditioning"}  # settings by the names that earlier versions saved them under


def _setting(default, help_line, **checks):
    return dataclasses.field(default=default, metadata={"help": help_line, **checks})


@dataclass(frozen=True)
class Config:
    """The settings of one run. InputError for a value of the wrong type or out of range, naming the setting.

    goes_with: another setting, and with which of its values this one has an effect at all.
    """

    preset: str = _setting(DEFAULT_PRESET, "networks and their settings", choices=PRESETS)
    dataset: str = _setting("mnist", "data set: a name, a folder of pictures, or a .npy, .npz or .csv file")
    image_size: int | None = _setting(None, "pixels each way of a folder's pictures", least=1, most=1024)
    epochs: float = _setting(3.0, "passes over the data set", above=0, most=10**6)
    steps: int | None = _setting(None, "training steps, instead of epochs", least=1, most=10**12)
    batch_size: int = _setting(64, "real samples per step", least=2, most=10**6)
    condition: str = _setting(
        "none", "what both networks are conditional on: nothing, a sample's label or its cluster", choices=CONDITIONS
    )
    clusters: int = _setting(
        1,
        "clusters by k-means, of each class with condition labels",
        least=1,
        most=10**4,
        goes_with=("condition", CONDITIONS[1:]),
    )
    conditioning: str = _setting(
        "projection",
        "how the discriminator is given the condition",
        choices=CONDITIONING,
        goes_with=("condition", CONDITIONS[1:]),
    )
    latent_dim: int = _setting(100, "size of the generator's input z", least=1, most=10**6)
    optimizer: str = _setting("adam", "how parameters follow their gradients", choices=OPTIMIZERS)
    lr: float = _setting(2e-4, "learning rate", above=0)
    d_lr: float | None = _setting(None, "the discriminator's learning rate, if not lr", above=0)
    beta1: float = _setting(
        0.5,
        "Adam's decay of the gradient mean (momentum's μ too)",
        least=0,
        below=1,
        goes_with=("optimizer", ("adam", "momentum")),
    )
    loss: str = _setting("non_saturating", "what the two players minimise", choices=LOSSES)
    label_smoothing: float = _setting(0.0, "one-sided: real targets become 1 minus this", least=0, below=1)
    n_critic: int = _setting(1, "discriminator steps per generator step", least=1)
    l1: float = _setting(0.0, "strength of λ Σ|w| on both networks' weights", least=0)
    l2: float = _setting(0.0, "strength of λ/2 Σ w² on both networks' weights", least=0)
    orthogonal: float = _setting(0.0, "strength of the pull of G's weights towards orthogonal columns", least=0)
    clip_norm: float | None = _setting(None, "largest gradient norm per network", above=0)
    weight_clip: float | None = _setting(None, "the discriminator's parameters stay within plus or minus this", above=0)
    gradient_penalty: float = _setting(0.0, "strength of the pull of D's gradient towards length 1", least=0)
    r1: float = _setting(0.0, "strength of the penalty on D's gradient at real samples", least=0)
    feature_matching: float = _setting(0.0, "strength of G's matching of D's features, instead of its loss", least=0)
    grow_steps: int = _setting(
        600, "steps of each stage, for networks that grow", least=1, goes_with=("preset", ("progan",))
    )
    instance_noise: float = _setting(0.0, "deviation of Gaussian noise on what the discriminator sees", least=0)
    ema_decay: float = _setting(0.0, "averaging of G's weights for sampling, 0 for none", least=0, below=1)
    seed: int = _setting(0, "of every random number in the run", least=0)
    sample_every: int | None = _setting(None, "steps between sample pictures, about 30 in all if not given", least=1)
    evaluate_every: int | None = _setting(None, "steps between looks at the samples' quality, if any", least=1)
    checkpoint_every: int = _setting(500, "steps between checkpoints", least=1)

    def __post_init__(self):
        for item in fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))
        if self.condition == "clusters" and self.clusters == 1:
            raise InputError("clusters is 1, expected at least 2 with condition clusters.")

    @classmethod
    def for_preset(cls, preset=DEFAULT_PRESET, **overrides):
        """The preset's own settings with `overrides` on top."""
        known = {item.name for item in fields(cls)}
        unknown = sorted(set(overrides) - known)
        if unknown:
            raise InputError(f"there is no setting {unknown[0]!r}; the settings are {', '.join(sorted(known))}.")
        return cls(**{"preset": preset, **get_preset(preset).defaults, **overrides})

    def differences(self, other, but=()):
        """The names of the settings in which the two differ, `but` left out."""
        names = (item.name for item in fields(self) if item.name not in but)
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    @classmethod
    def from_saved(cls, settings):
        """From the settings (dict) that a run keeps, also one of an earlier version: see RENAMED."""
        return cls.for_preset(**{RENAMED.get(name, name): value for name, value in settings.items()})

    @classmethod
    def from_json(cls, text, source):
        """Read what to_json wrote; InputError naming `source` for anything else."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"{source} is not JSON ({error}); it must be the config.json that training wrote."
            ) from None
        if not isinstance(values, dict):
            raise InputError(f"{source} holds a {type(values).__name__}, expected an object of settings.")
        try:
            return cls.from_saved(values)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None

    def to_json(self):
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    def total_steps(self, dataset_size):
        """How many steps the run takes on so many samples."""
        return self.steps or max(1, math.ceil(self.epochs * dataset_size / self.batch_size))


def add_flags(parser, only):
    """A flag for each field of Config, absent from the result unless given. only: see Parser.add_argument."""
    for item in fields(Config):
        kind, choices = value_type(item), item.metadata.get("choices")
        of_preset = "" if item.name == "preset" or item.default is None else ", unless the preset sets it"
        about = item.metadata["help"] + (f": {', '.join(choices)}" if choices else "")
        parser.add_argument(
            f"--{item.name.replace('_', '-')}",
            dest=item.name,
            type=kind,
            metavar={int: "N", float: "X", str: "NAME"}[kind],
            default=argparse.SUPPRESS,
            only=only,
            help=about.replace("%", "%%"),
            by_default=f"{'none' if item.default is None else item.default}{of_preset}",
        )


def value_type(item):
    """int, float or str: what the field holds when it is not None."""
    return next(kind for kind in (int, float, str) if kind.__name__ in str(item.type).replace("int | None", "int"))


def _checked(item, value):
    kind, checks, name = value_type(item), item.metadata, item.name
    if value is None:
        if item.default is not None:
            raise InputError(f"{name} must be given a value, such as {item.default!r}.")
        return None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 1e300 else math.inf
    if isinstance(value, bool) or not isinstance(value, kind):
        raise InputError(f"{name} is {value!r}, expected {expected(kind, checks)}.")
    if "choices" in checks and value not in checks["choices"]:
        if name == "preset":
            get_preset(value)
        raise InputError(f"there is no {name} {value!r}; there are {', '.join(checks['choices'])}.")
    if kind is not str:
        check_range(name, value, checks, kind)
    return value
