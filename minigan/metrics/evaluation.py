"""What is measured of a generator: samples against the data, beside real pictures in the samples' place."""

import numpy as np

from minigan import datasets, metrics
from minigan.base.errors import InputError
from minigan.metrics.judge import Classifier, shipped_judge

STUDENT_EPOCHS = 1
FOLLOWED = 2000  # samples of each look while training
FEWEST_LOOKS = 3  # of which a correlation says anything
FOLLOWED_METRICS = ("frechet_distance", "inception_score", "entropy")
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
    "conditional_accuracy": ("recognised as what was asked for", "higher"),
    "pairs": ("pairs recognised as the same digit", "higher"),
    "confident_share": ("recognised with over 95 % confidence", "higher"),
    "nn_median": ("median distance to the nearest training picture", ""),
    "nearest": ("  the nearest one in a hundred", ""),
    "accuracy_score": ("accuracy of a classifier trained on them", "higher"),
    "copies": ("copies of training pictures", "lower"),
    "modes": ("modes covered", "higher"),
    "good": ("share of good samples", "higher"),
    "jensen_shannon": ("Jensen-Shannon divergence, nats", "lower"),
}


class Reference:
    """The data's side of the comparison, worked out once: pictures to compare with, and real ones beside the samples.

    images: the training pictures (N, H, W, C). test, test_labels: real pictures that were not trained on, at least as
    many as samples will be judged. n: how many of each. judge: the Classifier whose features count.
    """

    def __init__(self, images, test, test_labels, judge, n, rng):
        if len(images) < n or len(test) < n:
            raise InputError(
                f"there are {len(images)} training and {len(test)} test pictures, too few to judge {n}; ask for fewer "
                "with --n."
            )
        self.images, self.test, self.test_labels, self.judge = images, test, test_labels, judge
        self.features, _ = judge.predict(images[rng.choice(len(images), n, replace=False)])
        chosen = rng.choice(len(test), n, replace=False)
        self.real, self.real_labels = test[chosen], None if test_labels is None else test_labels[chosen]
        self._real_metrics = None

    def real_metrics(self):
        """The metrics of real test pictures: what the best generator could reach."""
        if self._real_metrics is None:
            self._real_metrics = self.measure(self.real, self.real_labels)
        return self._real_metrics

    def measure(self, samples, asked=None, partners=None):
        """All metrics of samples (n, H, W, C), uint8 or floats in [-1, 1]: dict of floats, keys as in LABELS.

        asked: the label that each is to show (n,), if any; the student learns those, otherwise what the judge sees.
        partners: pictures (n, H, W, C) that make pairs with the samples, if any.
        Under "class_shares" each class's share, as the judge sees it.
        """
        samples = datasets.to_uint8(samples)  # as a file of them would be
        features, probabilities = self.judge.predict(samples)
        labels = probabilities.argmax(axis=1)
        measured = self.quality_and_variety(features, probabilities)
        mean, error = metrics.kernel_distance(self.features, features)
        measured["kernel_distance"] = 1000 * mean
        if error is not None:
            measured["kernel_distance_error"] = 1000 * error
        measured["density"], measured["coverage"] = metrics.density_coverage(self.features, features)
        if asked is not None:
            measured["conditional_accuracy"] = float((labels == asked).mean())
        if partners is not None:
            _, others = self.judge.predict(datasets.to_uint8(partners))
            measured["pairs"] = float((labels == others.argmax(axis=1)).mean())
        if self.test_labels is not None:
            measured["accuracy_score"] = self.accuracy_score(samples, labels if asked is None else asked)
        _, distance = metrics.nearest_neighbours(datasets.to_float(samples), datasets.to_float(self.images))
        measured |= {"nn_median": float(np.median(distance)), "nearest": float(np.quantile(distance, 0.01))}
        measured["copies"] = int((distance < GREY_LEVEL).sum())
        shares, _, _ = metrics.class_balance(labels, self.judge.classes)
        ordered = {key: measured[key] for key in LABELS if key in measured}
        return ordered | {"class_shares": [round(float(share), 4) for share in shares]}

    def quality_and_variety(self, features, probabilities):
        """The main metrics with precision and recall, which tell the two apart."""
        precision, recall = metrics.precision_recall(self.features, features)
        return self.main_metrics(features, probabilities) | {"precision": precision, "recall": recall}

    def main_metrics(self, features, probabilities):
        """The quick ones, from what the judge made of the samples: distance, score and classes."""
        shares, there, entropy = metrics.class_balance(probabilities.argmax(axis=1), self.judge.classes)
        return {
            "frechet_distance": metrics.frechet_distance(self.features, features),
            "inception_score": metrics.inception_score(probabilities),
            "classes": there,
            "entropy": entropy,
            "rarest_class": float(shares.min()),
            "commonest_class": float(shares.max()),
            "confident_share": float((probabilities.max(axis=1) > SURE).mean()),
        }

    def accuracy_score(self, samples, labels):
        """The classification accuracy score (Ravuri and Vinyals 2019): the share of the real test pictures that a
        classifier recognises which was trained on nothing but the samples and these labels."""
        student = Classifier(samples.shape[1:], self.judge.classes)
        student.fit(samples, labels, STUDENT_EPOCHS, np.random.default_rng(0))
        return student.accuracy(self.test, self.test_labels)


def judge_for(dataset, image_size, shape, path=None, without=None):
    """The classifier in `path`, or for digits the one that comes with the library.

    without: what cannot be measured where there is neither; that is said then, and the result is None. InputError where
    that is not given, and where the classifier knows other pictures than those of this shape (H, W, C).
    """
    size = "" if image_size is None else f" --image-size {image_size}"
    remedy = f"train a judge with `python -m minigan.classify --dataset {dataset}{size}` and pass --judge FILE"
    if path is not None:
        judge = Classifier.load(path)
        if judge.sample_shape != shape:
            raise InputError(f"--judge {path} knows pictures of {judge.sample_shape}, these are {shape}; {remedy}.")
        return judge
    if dataset == "mnist":
        return shipped_judge()
    if without is None:
        raise InputError(f"the classifier in data/ knows mnist only, not {dataset}; {remedy}.")
    print(f"without {without}; for that, {remedy}")
    return None


class Follower:
    """Looks at a generator's samples while it is being trained: the quick metrics, on fewer samples.

    images, test: training and test pictures (N, H, W, C) uint8. real_metrics: of test pictures. seed: of the z.
    """

    def __init__(self, images, test, judge, seed):
        self.seed, rng = seed, np.random.default_rng([seed, 3])
        few = min(FOLLOWED, len(test))
        self.reference = Reference(images, test, None, judge, few, rng)
        self.real_metrics = self.reference.main_metrics(*judge.predict(self.reference.real))

    def measure(self, gan):
        """The main metrics of the generator as it is now, always at the same z; training is not disturbed."""
        samples = gan.sample(len(self.reference.real), np.random.default_rng([self.seed, 4]))
        measured = self.reference.main_metrics(*self.reference.judge.predict(datasets.to_uint8(samples)))
        return {key: float(measured[key]) for key in FOLLOWED_METRICS}


def critic_follows(log):
    """Whether a critic's estimate of the distance falls as the samples become better, over a run's looks at them.

    The estimate is that of the Wasserstein distance, mean D(x) - mean D(G(z)), which is -d_loss without penalties, and
    the mean over the logged steps since the look before: that of one batch is noisy. log: its columns.
    -> {"steps": [...], "estimate": [...], "frechet_distance": [...], "pearson", "spearman"}, the correlations of the
    two, or None where fewer than three looks, or an estimate that never moves, say nothing.
    """
    steps, estimates, distances, since = [], [], [], []
    names = ("step", "d_real", "d_fake", "frechet_distance")
    for step, real, fake, distance in zip(*(log[name] for name in names), strict=True):
        since.append(real - fake)
        if distance is not None:
            steps.append(step)
            estimates.append(float(np.mean(since)))
            distances.append(distance)
            since = []
    pearson, spearman = metrics.correlations(estimates, distances) if len(steps) >= FEWEST_LOOKS else (None, None)
    if pearson is None:
        return None
    series = {"steps": steps, "estimate": estimates, "frechet_distance": distances}
    return series | {"pearson": pearson, "spearman": spearman}


def points(samples, real, dataset):
    """The metrics of points in the plane (n, 2) against real ones of the toy data set of that name."""
    centres, deviation = datasets.toy_modes(dataset)
    covered, good = metrics.modes(samples, centres, deviation)
    divergence = metrics.jensen_shannon(real, samples, extent=1.2)
    return {"modes": covered, "good": good, "jensen_shannon": divergence}
