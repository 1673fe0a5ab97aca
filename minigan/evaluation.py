"""What is measured of a generator: samples against the data, beside real pictures in the samples' place."""

import numpy as np

from minigan import datasets, metrics
from minigan.errors import InputError

SURE = 0.95  # the confidence that counts as recognised
GREY_LEVEL = 1 / 127.5  # a sample that differs less from a picture of the data, root mean square, is a copy of it
LABELS = {  # key -> what it is, and which way is better
    "frechet_distance": ("Fréchet distance", "lower"),
    "kernel_distance": ("kernel distance, x 1000", "lower"),
    "kernel_distance_error": ("  its standard error, x 1000", ""),
    "inception_score": ("inception-style score", "higher"),
    "precision": ("precision", "higher"),
    "recall": ("recall", "higher"),
    "density": ("density", "higher"),
    "coverage": ("coverage", "higher"),
    "classes": ("classes covered", "higher"),
    "entropy": ("entropy of the classes", "higher"),
    "rarest_class": ("share of the rarest class", "higher"),
    "commonest_class": ("share of the commonest class", "lower"),
    "sure": ("recognised with over 95 % confidence", "higher"),
    "neighbour": ("median distance to the nearest training picture", ""),
    "nearest": ("  the nearest one in a hundred", ""),
    "copies": ("copies of training pictures", "lower"),
    "modes": ("modes covered", "higher"),
    "good": ("share of good samples", "higher"),
    "jensen_shannon": ("Jensen-Shannon divergence, nats", "lower"),
}


class Reference:
    """The data's side of the comparison, worked out once: pictures to compare with, and real ones beside the samples.

    images: the training pictures (N, H, W, C). test: real pictures that were not trained on, at least as many as
    samples will be judged. n: how many of each. judge: the Classifier whose features count.
    """

    def __init__(self, images, test, judge, n, rng):
        if len(images) < n or len(test) < n:
            raise InputError(f"there are {len(images)} training and {len(test)} test pictures, too few to judge {n}.")
        self.images, self.judge = images, judge
        chosen = rng.choice(len(images), n, replace=False)
        self.features, _ = judge.judge(images[chosen])
        self.test = test[rng.choice(len(test), n, replace=False)]
        self._floor = None

    def floor(self):
        """The figures of the real test pictures: what the best generator could reach."""
        if self._floor is None:
            self._floor = self.figures(self.test)
        return self._floor

    def figures(self, samples):
        """All figures of samples (n, H, W, C), uint8 or floats in [-1, 1]: dict of floats, keys as in LABELS."""
        samples = datasets.to_uint8(samples)  # as a file of them would be
        figures = self.main_figures(samples)
        features, _ = self.judge.judge(samples)
        mean, error = metrics.kernel_distance(self.features, features)
        figures |= {"kernel_distance": 1000 * mean, "kernel_distance_error": 1000 * error}
        figures["precision"], figures["recall"] = metrics.precision_recall(self.features, features)
        figures["density"], figures["coverage"] = metrics.density_coverage(self.features, features)
        _, distance = metrics.nearest_neighbours(datasets.to_float(samples), datasets.to_float(self.images))
        figures |= {"neighbour": float(np.median(distance)), "nearest": float(np.quantile(distance, 0.01))}
        figures["copies"] = int((distance < GREY_LEVEL).sum())
        return {key: figures[key] for key in LABELS if key in figures}

    def main_figures(self, samples):
        """The quick ones: distance, score and classes."""
        features, probabilities = self.judge.judge(datasets.to_uint8(samples))
        shares, there, entropy = metrics.class_balance(probabilities.argmax(axis=1), self.judge.classes)
        return {
            "frechet_distance": metrics.frechet_distance(self.features, features),
            "inception_score": metrics.inception_score(probabilities),
            "classes": there,
            "entropy": entropy,
            "rarest_class": float(shares.min()),
            "commonest_class": float(shares.max()),
            "sure": float((probabilities.max(axis=1) > SURE).mean()),
        }


def points(samples, real, dataset):
    """The figures of points in the plane (n, 2) against real ones of the toy data set of that name."""
    centres, deviation = datasets.toy_modes(dataset)
    covered, good = metrics.modes(samples, centres, deviation)
    divergence = metrics.jensen_shannon(real, samples, extent=1.2)
    return {"modes": covered, "good": good, "jensen_shannon": divergence}
