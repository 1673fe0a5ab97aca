"""What the players are given of a sample besides its pixels: its label, the cluster it lies in, or nothing."""

import numpy as np

from minigan.base.errors import InputError, shorten
from minigan.datasets.labels import names_of
from minigan.layers import one_hot

FITTED, FEWEST_FITTED = 100, 1000  # samples for each centre, and at least, from which centres are worked out
BLOCK = 10_000  # samples whose distances to all centres are in memory at a time
ROUNDS = 25  # of moving the centres; later ones hardly change a cluster


def of_samples(config, samples, labels, classes=None):
    """-> the condition of each sample (N,) int64, and the share of each condition (K,), as config.condition says.

    labels: condition label · clusters + i, i being the cluster within the class, so K = classes · clusters, where
    `classes` may be more than these samples have. clusters: the cluster, K = clusters, and `labels` are never looked
    at. none: None, None.
    Raises InputError where there are no labels, or fewer samples than clusters.
    """
    if config.condition == "none":
        return None, None
    rng = np.random.default_rng([config.seed, 5])
    flat = _points(samples)
    if config.condition == "clusters":
        conditions, count = kmeans(flat, config.clusters, rng), config.clusters
    elif labels is None:
        raise InputError(f"the data set {config.dataset} has no labels; use --condition clusters or none.")
    else:
        conditions, count = labels * config.clusters, (classes or labels.max() + 1) * config.clusters
        for label in np.unique(labels) if config.clusters > 1 else ():
            members = np.flatnonzero(labels == label)
            conditions[members] += kmeans(flat[members], config.clusters, rng)
    return conditions, np.bincount(conditions, minlength=count) / len(conditions)


def _points(samples):
    """Samples as points to be clustered (N, D): pictures at half their size, which gives the same kind of clusters in a
    quarter of the time (of MNIST's variance, 100 clusters leave 54.1 % unexplained instead of 53.8 %)."""
    if samples.ndim == 4 and min(samples.shape[1:3]) >= 2:
        h, w = (size // 2 * 2 for size in samples.shape[1:3])
        wide = np.uint16 if samples.dtype == np.uint8 else samples.dtype
        rows = np.add(samples[:, 0:h:2], samples[:, 1:h:2], dtype=wide)
        samples = rows[:, :, 0:w:2] + rows[:, :, 1:w:2]
    return samples.reshape(len(samples), -1).astype(np.float32)


def kmeans(x, count, rng):
    """The index (N,) of the nearest of `count` centres, to each of x (N, D); the centres by Lloyd's algorithm.

    A centre moves to the mean of the points nearest to it until nothing changes or ROUNDS are over. The first centres
    are points, each drawn with a probability that grows with its squared distance to those before (k-means++, Arthur
    and Vassilvitskii 2007).
    """
    if len(x) < count:
        raise InputError(f"there are {len(x)} samples, too few for {count} clusters; ask for fewer with --clusters.")
    some = x[rng.permutation(len(x))[: max(FEWEST_FITTED, FITTED * count)]]
    centres, lengths = some[:count].copy(), np.square(some).sum(axis=1)
    gap = np.full(len(some), np.inf)
    for i in range(1, count):
        last = centres[i - 1]
        gap = np.minimum(gap, np.maximum(lengths - 2 * some @ last + last @ last, 0, dtype=np.float64))
        if gap.any():  # or all points are centres already
            centres[i] = some[rng.choice(len(some), p=gap / gap.sum())]
    nearest = None
    for _ in range(ROUNDS):
        before, nearest = nearest, _nearest(some, centres)
        if before is not None and np.array_equal(before, nearest):
            break
        belongs = one_hot(nearest, count, some.dtype)
        sizes = belongs.sum(axis=0)
        used = sizes > 0
        centres[used] = (belongs.T @ some)[used] / sizes[used, None]
    return _nearest(x, centres)


def _nearest(x, centres):
    """argminᵢ ‖x - cᵢ‖² = argminᵢ ‖cᵢ‖² - 2 x·cᵢ, for each row of x."""
    lengths = (centres**2).sum(axis=1)
    parts = np.split(x, range(BLOCK, len(x), BLOCK))
    return np.concatenate([(lengths - 2 * part @ centres.T).argmin(axis=1) for part in parts])


class Conditions:
    """The conditions that a pair of networks knows, and how to draw them.

    kind: "none", "labels" or "clusters". clusters: of each class. shares: how often each condition occurs (K,), or None
    without any. count: K, or 0. classes: how many labels can be asked for, or 0. names: of these, see names_of.
    """

    def __init__(self, config, shares, names=None):
        self.kind, self.clusters = config.condition, config.clusters
        self.shares = None if self.kind == "none" else np.asarray(shares, np.float64)
        if self.shares is not None and not _are_shares(self.shares, self.clusters):
            raise InputError(f"the conditions' shares are {shorten(shares)}, expected one of at least 0 for each.")
        self.count = 0 if self.shares is None else len(self.shares)
        self.classes = self.count // self.clusters if self.kind == "labels" else 0
        self.names = names_of(self.classes, names if self.classes else None)

    def draw(self, n, rng, labels=None):
        """n conditions (n,) as frequent as in the data, or for given labels (n,) as within each class; None without.

        Raises InputError for labels that the networks were not trained with.
        """
        if labels is None:
            return None if not self.count else rng.choice(self.count, n, p=self.shares / self.shares.sum())
        if not self.classes:
            raise InputError("the generator was trained without labels, so it cannot be asked for one.")
        labels = np.asarray(labels)
        if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= self.classes:
            raise InputError(f"the labels are {labels!r}, expected {n} whole numbers from 0 to {self.classes - 1}.")
        within = self.shares.reshape(self.classes, self.clusters)[labels].cumsum(axis=1)
        return labels * self.clusters + (within < rng.random((n, 1)) * within[:, -1:]).sum(axis=1)

    def label(self, name):
        """The class of that name, or of that number where the names are no numbers; InputError where there is none."""
        if name in self.names:
            return self.names.index(name)
        numbers = {str(label): label for label in range(self.classes)}
        if name in numbers and not any(one.lstrip("-").isdecimal() for one in self.names):
            return numbers[name]
        raise InputError(f"there is no label {shorten(name, 100)!r}, expected one of {shorten(', '.join(self.names))}.")

    def captions(self, labels):
        """The names of these labels for people, or None where they say no more than that labels are counted."""
        return None if self.names == names_of(self.classes) else [self.names[label] for label in labels]

    def labels(self, conditions):
        """The labels that belong to these conditions, or None where conditions are not of labels."""
        return conditions // self.clusters if self.classes else None

    def check(self, method, n, conditions):
        """InputError unless `conditions` are n of these, or None where the networks know none."""
        if conditions is None and not self.count:
            return
        wanted = f"({n},) whole numbers from 0 to {self.count - 1}" if self.count else "none: the networks know none"
        if (
            not isinstance(conditions, np.ndarray)
            or not self.count
            or conditions.shape != (n,)
            or conditions.dtype.kind not in "iu"
            or conditions.min() < 0
            or conditions.max() >= self.count
        ):
            got = f"{conditions.dtype} {conditions.shape}" if isinstance(conditions, np.ndarray) else repr(conditions)
            raise InputError(f"{method}: conditions are {got}, expected {wanted}.")


def _are_shares(shares, clusters):
    if shares.ndim != 1 or not len(shares) or len(shares) % clusters:
        return False
    return bool(np.isfinite(shares).all() and shares.min() >= 0 and shares.sum() > 0)
