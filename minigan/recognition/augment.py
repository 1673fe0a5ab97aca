"""Samples of a conditional GAN as more training pictures: is a classifier better with them than without?

Both classifiers make as many steps. What the GAN knows it has from its own training pictures, usually with all their
labels: beside few labels its samples bring what those pictures showed, beside all of them they bring nothing new.
"""

import numpy as np

from minigan import datasets
from minigan.base.errors import InputError
from minigan.metrics.judge import Classifier
from minigan.recognition.common import Outcome, balanced
from minigan.tools import plotting

STEPS = 600
BATCH_SIZE = 128
FEW = 1000  # labels
TIMES = 10  # as many samples as real pictures, up to as many as there are training pictures
SHOWN = 10  # samples of each class


def run(data, gan, steps, seed, follow):
    """-> the Outcome for one seed: of the few labels, the samples, and the classifier."""
    check(gan, data)
    rng = np.random.default_rng([seed, 3])
    few = balanced(data.labels, FEW, rng)
    accuracies = {}
    for name, chosen in ((f"{FEW:,} labels", few), (f"all {len(data.labels):,} labels", np.arange(len(data.labels)))):
        images, labels = data.images[chosen], data.labels[chosen]
        asked = rng.choice(labels, min(TIMES * len(labels), len(data.labels)))
        samples = datasets.to_uint8(gan.sample(len(asked), rng, asked))
        more = np.concatenate([images, samples]), np.concatenate([labels, asked])
        accuracies[name] = learnt(data, images, labels, steps, seed, f"seed {seed}, {name}", follow)
        accuracies[f"{name} + samples"] = learnt(data, *more, steps, seed, f"seed {seed}, {name} + samples", follow)
    shown = np.repeat(np.arange(data.classes), SHOWN)
    grid = gan.sample(len(shown), rng, shown)
    return Outcome(accuracies, {"samples.png": lambda path: plotting.save_samples(path, grid, columns=SHOWN)})


def check(gan, data):
    """InputError unless the generator can be asked for the classes of this data set."""
    if gan.conditions.classes != data.classes:
        raise InputError(
            f"the generator knows {gan.conditions.classes} labels, the data set {data.classes}; name a --run that was "
            "trained on it with --condition labels."
        )


def learnt(data, images, labels, steps, seed, title, follow):
    """The accuracy on the test pictures of a classifier that was trained on these."""
    classifier = Classifier(data.sample_shape, data.classes, seed)
    with follow(title, steps) as watch:
        rng, epochs = np.random.default_rng([seed, 4]), steps * BATCH_SIZE / len(images)
        classifier.fit(images, labels, epochs, rng, BATCH_SIZE, watch=watch)
    return classifier.accuracy(data.test, data.test_labels)
