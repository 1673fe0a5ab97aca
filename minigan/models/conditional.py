"""Conditional GANs on the dcgan networks; how D is given the label is in conditioning.py."""

from minigan.models.base import Preset
from minigan.models.dcgan import FAST, build_dcgan

# with FAST's own 1,400 batches of 128, cgan was recognised as asked in 95.9 % instead of 97.7 %, acgan in 93.3 %
LONGER = {**FAST, "lr": 1e-3, "batch_size": 64, "epochs": 4}

CGAN = Preset(
    name="cgan",
    summary="G and D conditional on the label: beside z, and as ten more channels of the picture",
    source="Mirza and Osindero 2014",
    build=build_dcgan,
    defaults={**LONGER, "condition": "labels", "conditioning": "concatenation"},
    minutes=4,
)

ACGAN = Preset(
    name="acgan",
    summary="G given the label, D asked for it: both also minimise the cross-entropy of D's classifier",
    source="Odena et al. 2017",
    build=build_dcgan,
    defaults={**LONGER, "condition": "labels", "conditioning": "auxiliary", "epochs": 6},
    minutes=4.5,
)
