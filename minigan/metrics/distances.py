"""How good samples are, and how varied: distances between sets of pictures. NumPy only.

A picture is judged by its features, a vector (D,) that a classifier makes of it (classifier.py names itself by a hash,
and these metrics mean nothing without it). real (N, D) and fake (M, D) are sets of such vectors; D features each.
Everything is computed in float64, so the same features give the same metrics.
"""

import numpy as np

from minigan.base.errors import InputError

BLOCK = 1000  # rows whose distances to all others are in memory at a time
FEWEST_BLOCKS = 5  # of the kernel distance, whose spread is its standard error


def frechet_distance(real, fake):
    """‖μ_r - μ_f‖² + tr Σ_r + tr Σ_f - 2 tr (Σ_r^½ Σ_f Σ_r^½)^½, of the means and covariances (Heusel et al. 2017).

    The root of a symmetric positive matrix comes from its eigenvalues, so the result is real, and at least 0.
    """
    real, fake = _pair(real, fake)
    mean_r, mean_f = real.mean(axis=0), fake.mean(axis=0)
    cov_r, cov_f = (np.atleast_2d(np.cov(features, rowvar=False)) for features in (real, fake))
    values, vectors = np.linalg.eigh(cov_r)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    between = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_f @ root), 0)).sum()
    distance = np.sum((mean_r - mean_f) ** 2) + np.trace(cov_r) + np.trace(cov_f) - 2 * between
    return float(max(distance, 0))


def kernel_distance(real, fake, block=BLOCK):
    """-> the squared maximum mean discrepancy with k(x, y) = (x·y/D + 1)³, and its standard error (Bińkowski 2018).

    The unbiased estimate, E k(x, x') + E k(y, y') - 2 E k(x, y) without the pairs of one with itself, averaged over as
    many disjoint blocks of `block` samples as there are; it may be negative. Fewer than FEWEST_BLOCKS times as many
    samples are cut into so many smaller blocks, as long as each has two. The error is None with a single block.
    """
    real, fake = _pair(real, fake)
    count = min(len(real), len(fake))
    size = max(2, min(block, count // FEWEST_BLOCKS))
    blocks = count // size
    estimates = [_discrepancy(real[i * size : (i + 1) * size], fake[i * size : (i + 1) * size]) for i in range(blocks)]
    error = float(np.std(estimates, ddof=1) / np.sqrt(blocks)) if blocks > 1 else None
    return float(np.mean(estimates)), error


def _discrepancy(x, y):
    n, features = x.shape

    def kernel(a, b):
        return (a @ b.T / features + 1) ** 3

    within = [(k.sum() - np.trace(k)) / (n * (n - 1)) for k in (kernel(x, x), kernel(y, y))]
    return sum(within) - 2 * kernel(x, y).mean()


def inception_score(probabilities):
    """exp of the mean of KL(p(y|x) ‖ p(y)) over the samples: 1 … number of classes (Salimans et al. 2016).

    probabilities (M, classes): of each class for each sample. "Inception-style": with this library's own classifier.
    """
    p = _checked("probabilities", probabilities)
    return float(np.exp(_kullback_leibler(p, p.mean(axis=0)).mean()))


def precision_recall(real, fake, k=3):
    """-> the share of fake inside the real set's manifold, and of real inside the fake set's (Kynkäänniemi 2019).

    A set's manifold is the union of the balls around its members that reach to their k-th nearest neighbour.
    """
    real, fake = _pair(real, fake, least=k + 1)
    radius_r, radius_f = _radii(real, k), _radii(fake, k)
    inside_real, inside_fake = np.zeros(len(fake), bool), np.zeros(len(real), bool)
    for rows, distance in _distances(fake, real):
        inside_real[rows] = (distance <= radius_r).any(axis=1)
        inside_fake |= (distance <= radius_f[rows, None]).any(axis=0)
    return float(inside_real.mean()), float(inside_fake.mean())


def density_coverage(real, fake, k=5):
    """-> how many balls around real samples, over k, a fake one lies in; and the share of balls that hold one.

    The balls reach to the k-th nearest real neighbour (Naeem et al. 2020, equations 3 and 4). Density may exceed 1.
    """
    real, fake = _pair(real, fake, least=k + 1)
    radius, held, met = _radii(real, k), 0, np.zeros(len(real), bool)
    for _, distance in _distances(fake, real):
        inside = distance <= radius
        held += int(inside.sum())
        met |= inside.any(axis=0)
    return held / (k * len(fake)), float(met.mean())


def class_balance(labels, classes):
    """-> each class's share (classes,), how many classes there are at all, and the entropy over its largest value.

    labels (M,): whole numbers below `classes`. The entropy is 1 when all classes are equally frequent and 0 for one.
    """
    labels = np.asarray(labels)
    whole = labels.dtype.kind in "iu" and labels.ndim == 1
    if not whole or not len(labels) or labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"class_balance: labels must be numbers from 0 to {classes - 1}, at least one.")
    shares = np.bincount(labels, minlength=classes) / len(labels)
    there = shares[shares > 0]
    if classes == 1:  # it is as frequent as all
        return shares, 1, 1.0
    return shares, len(there), float(-(there * np.log(there)).sum() / np.log(classes) + 0.0)


def nearest_neighbours(samples, data):
    """-> for each sample the index of the nearest picture in data, and the root mean square difference of their pixels.

    samples (M, …) and data (N, …): pictures of one shape.
    """
    samples, data = np.asarray(samples), np.asarray(data)
    if samples.shape[1:] != data.shape[1:] or not len(samples) or not len(data):
        raise InputError(
            f"nearest_neighbours: samples are {samples.shape}, data {data.shape}; expected pictures of one shape."
        )
    with np.errstate(over="ignore"):  # what float32 does not hold is refused next
        flat, others = (np.ascontiguousarray(a, np.float32).reshape(len(a), -1) for a in (samples, data))
    if not (np.isfinite(flat).all() and np.isfinite(others).all()):
        raise InputError("nearest_neighbours: the pictures hold NaN or infinite values; what made them is broken.")
    squares, index = np.einsum("ij,ij->i", others, others) / 2, np.empty(len(flat), np.int64)
    for first in range(0, len(flat), BLOCK // 4):
        nearness = flat[first : first + BLOCK // 4] @ others.T  # ‖x - y‖² = ‖x‖² - 2 (x·y - ‖y‖²/2)
        nearness -= squares
        index[first : first + BLOCK // 4] = nearness.argmax(axis=1)
    difference = flat - others[index]
    return index, np.sqrt(np.mean(difference.astype(np.float64) ** 2, axis=1))


def correlations(x, y):
    """-> Pearson's r of the pairs x (N,), y (N,), and Spearman's ρ, which is r of their ranks, equal values sharing the
    mean of theirs: how nearly one is a line in the other, and how nearly it rises with it. None, None where one of them
    is the same throughout."""
    x, y = (np.asarray(series, np.float64) for series in (x, y))
    if x.ndim != 1 or x.shape != y.shape or not _moderate([x, y]):
        raise InputError(
            f"correlations: x and y are {x.shape} and {y.shape}, expected two series of as many finite numbers."
        )
    pairs = np.array([x, y])
    if (pairs == pairs[:, :1]).all(axis=1).any():
        return None, None
    ranks = [np.array([(np.sum(row < value) + np.sum(row <= value)) / 2 for value in row]) for row in pairs]
    return tuple(float(np.corrcoef(both)[0, 1]) for both in (pairs, ranks))


# ---- points in the plane


def modes(points, centres, deviation):
    """-> how many centres have a good sample, and the share of good samples: nearer than 3 deviations to a centre.

    points (M, 2), centres (K, 2).
    """
    points, centres = _pair(points, centres, least=1)
    distance = np.linalg.norm(points[:, None] - centres[None], axis=2)
    good = distance.min(axis=1) <= 3 * deviation
    return len(np.unique(distance.argmin(axis=1)[good])), float(good.mean())


def jensen_shannon(real, fake, extent, cells=50):
    """The Jensen-Shannon divergence of two sets of points, in nats, on a grid of cells x cells over [-extent, extent]².

    Between 0 and log 2. Points outside are counted in the nearest cell. An estimate: it grows with fewer points a cell.
    """
    real, fake = _pair(real, fake, least=1)
    if not extent > 0:
        raise InputError(f"jensen_shannon: extent is {extent!r}, expected a number above 0.")
    shares = []
    for points in (real, fake):
        place = np.clip((points + extent) / (2 * extent) * cells, 0, cells - 1).astype(int)
        shares.append(np.bincount(place[:, 0] * cells + place[:, 1], minlength=cells * cells) / len(points))
    return float(sum(_kullback_leibler(p, sum(shares) / 2) for p in shares) / 2)


def confusion(labels, guesses, classes):
    """How often class i (row) was taken for class j (column): (classes, classes) counts."""
    matrix = np.zeros((classes, classes), int)
    np.add.at(matrix, (labels, guesses), 1)
    return matrix


# ---- shared


def _kullback_leibler(p, q):
    """Σ p log(p / q) over the last axis, where a term with p = 0 is 0."""
    return (p * np.log(np.where(p > 0, p, 1) / np.where(p > 0, q, 1))).sum(axis=-1)


def _checked(name, features, least=2):
    features = np.asarray(features)
    if features.ndim != 2 or len(features) < least or features.shape[1] < 1:
        raise InputError(
            f"{name} has shape {features.shape}, expected (samples, features) with at least {least} samples."
        )
    features = features.astype(np.float64)
    if not _moderate(features):
        raise InputError(
            f"{name} holds NaN or infinite values, or enormous ones; what they were made of or by is broken."
        )
    return features


def _pair(real, fake, least=2):
    real, fake = _checked("real", real, least), _checked("fake", fake, least)
    if real.shape[1] != fake.shape[1]:
        raise InputError(f"real has {real.shape[1]} features and fake {fake.shape[1]}; both need the same network.")
    return real, fake


def _distances(a, b):
    """Squared Euclidean distances block by block: (rows of a, (rows, len(b)))."""
    squares = (b**2).sum(axis=1)
    for first in range(0, len(a), BLOCK):
        rows = slice(first, min(len(a), first + BLOCK))
        yield rows, np.maximum((a[rows] ** 2).sum(axis=1)[:, None] + squares - 2 * a[rows] @ b.T, 0)


def _radii(features, k):
    """The squared distance of each sample to its k-th nearest other sample."""
    radii = np.empty(len(features))
    for rows, distance in _distances(features, features):
        radii[rows] = np.partition(distance, k, axis=1)[:, k]  # itself is the nearest
    return radii


def _moderate(values):
    """Neither NaN nor beyond 1e25, of whose sixth power the kernel distance needs the square."""
    return bool((np.abs(values) <= 1e25).all())
