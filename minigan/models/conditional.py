"""Conditional GANs on the dcgan networks; how D is told the label is in told.py."""

from minigan.models.base import Preset
from minigan.models.dcgan import FAST, build_dcgan

CGAN = Preset(
    name="cgan",
    summary="G and D told the label: beside z, and as ten more channels of the picture",
    source="Mirza and Osindero 2014",
    build=build_dcgan,
    defaults={**FAST, "condition": "labels", "told_by": "concatenation"},
)

ACGAN = Preset(
    name="acgan",
    summary="G told the label, D asked for it: both also minimise the cross-entropy of D's classifier",
    source="Odena et al. 2017",
    build=build_dcgan,
    defaults={**FAST, "condition": "labels", "told_by": "auxiliary"},
)
