"""The registry of presets, one file per architecture."""

import difflib

from minigan.base.errors import InputError
from minigan.models.base import Preset, Sizes
from minigan.models.biggan import BIGGAN
from minigan.models.cogan import COGAN
from minigan.models.conditional import ACGAN, CGAN
from minigan.models.dcgan import DCGAN, DIGITS, DIGITS_UNCONDITIONAL
from minigan.models.densenet import DENSENET
from minigan.models.lapgan import LAPGAN
from minigan.models.listing import LISTING, LISTING_FIXED
from minigan.models.mlp import MLP, TOY
from minigan.models.progan import PROGAN
from minigan.models.resnet import RESNET
from minigan.models.sngan import SNGAN
from minigan.models.wasserstein import WGAN, WGAN_GP
from minigan.models.wavegan import WAVEGAN

__all__ = ["DEFAULT_PRESET", "PRESETS", "Preset", "Sizes", "get_preset"]

PRESETS = {
    preset.name: preset
    for preset in (
        DIGITS,
        DIGITS_UNCONDITIONAL,
        DCGAN,
        MLP,
        LISTING,
        LISTING_FIXED,
        WGAN,
        WGAN_GP,
        SNGAN,
        CGAN,
        ACGAN,
        COGAN,
        LAPGAN,
        PROGAN,
        BIGGAN,
        RESNET,
        DENSENET,
        WAVEGAN,
        TOY,
    )
}
DEFAULT_PRESET = DIGITS.name


def get_preset(name):
    """The preset of that name; InputError with the known names otherwise."""
    if isinstance(name, str) and name in PRESETS:
        return PRESETS[name]
    close = difflib.get_close_matches(str(name), PRESETS, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(f"there is no preset {name!r}; the presets are {', '.join(PRESETS)}.{hint}")
