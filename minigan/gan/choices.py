"""Settings for one's own data that nobody gave: the size of its pictures, what to condition on, and how many clusters.

A preset's own are kept where they fit.
"""

import sys
from dataclasses import replace

import numpy as np

from minigan import datasets
from minigan.base.errors import shorten

ENOUGH = 50  # pictures a cluster
CLUSTERS = 10  # at the most, of a data set without labels


def image_size(config):
    """`config` with a size for the pictures of a folder that has none."""
    if config.image_size is not None or not datasets.is_folder(config.dataset):
        return config
    return replace(config, image_size=datasets.natural_size(config.dataset))


def conditioning(config, given, labels, count):
    """`config` with the conditioning and the clusters that own data of `count` pictures allows.

    given: the settings that were asked for by name; they stay, and so does a preset that conditions on nothing.
    labels: (count,) or None.
    """
    if not datasets.is_own(config.dataset) or config.condition == "none":
        return config
    condition, clusters = config.condition, config.clusters
    if condition == "labels" and labels is None and "condition" not in given:
        condition = "clusters"
    if "clusters" in given:
        pass
    elif condition == "clusters" and (config.condition == "labels" or count < ENOUGH * clusters):
        clusters = min(CLUSTERS, count // ENOUGH)
    elif condition == "labels" and labels is not None:
        fewest = np.bincount(labels)[np.unique(labels)].min()
        clusters = max(1, min(clusters, int(fewest) // ENOUGH))
    if condition == "clusters" and clusters < 2:
        condition, clusters = ("none", 1) if "condition" not in given else (condition, 2)
    return replace(config, condition=condition, clusters=clusters)


def say(before, after, names, count):
    """Say on stderr what was chosen, if anything was, and how to change it. names: of the classes."""
    if not before.differences(after):
        return
    said = [f"{count} pictures"]
    if after.image_size is not None:
        said.append(f"brought to {after.image_size} x {after.image_size}")
    among = f"{after.clusters} clusters"
    if after.condition == "labels":
        among = f"{len(names)} labels ({shorten(', '.join(names))})" + (
            f", {among} of each" if after.clusters > 1 else ""
        )
    said.append("conditioning on " + ("nothing" if after.condition == "none" else among))
    print(f"{after.dataset}: {', '.join(said)}; to change: --image-size, --condition, --clusters", file=sys.stderr)
