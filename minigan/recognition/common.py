"""What the experiments of recognition share: their data, the loop that trains, and what is measured."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minigan import datasets
from minigan.base.errors import InputError
from minigan.tools.training_loop import fit

WARM = 0.5  # of the steps, in which the learning rate is constant


@dataclass(frozen=True)
class Data:
    """Pictures (N, H, W, C) uint8 with labels (N,), those to learn from and those that decide."""

    images: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    names: list[str]  # of the classes

    @property
    def sample_shape(self):
        return self.images.shape[1:]

    @property
    def classes(self):
        return len(self.names)


@dataclass(frozen=True)
class Outcome:
    """What an experiment found with one seed.

    accuracies: what was tried -> that on test pictures. drawings: file name -> a function that draws it at a path.
    """

    accuracies: dict[str, float]
    drawings: dict[str, Callable] = field(default_factory=dict)


def load(name, image_size=None):
    """The data set of that name or path; InputError where it has no labels or no pictures."""
    (images, labels), (test, test_labels) = (datasets.load(name, split, image_size) for split in datasets.SPLITS)
    if images.ndim != 4 or labels is None:
        raise InputError(f"--dataset {name} holds no pictures with labels; choose one that does.")
    return Data(images, labels, test, test_labels, datasets.class_names(name, image_size))


def balanced(labels, count, rng):
    """The indices of `count` samples, of each class as many (count / K, one more for some where that leaves a rest).

    InputError where a class has too few.
    """
    classes = np.unique(labels)
    each = np.full(len(classes), count // len(classes))
    each[rng.permutation(len(classes))[: count % len(classes)]] += 1
    chosen = []
    for label, wanted in zip(classes, each, strict=True):
        members = np.flatnonzero(labels == label)
        if len(members) < wanted:
            raise InputError(f"class {label} has {len(members)} pictures, too few to draw {wanted} of them.")
        chosen.append(rng.choice(members, wanted, replace=False))
    return np.concatenate(chosen)


def batches(images, labels, batch_size, rng):
    """Endless batches of pictures (N, H, W, C) uint8 as floats in [-1, 1], with their labels (N,), or None without."""
    order = datasets.BatchIterator(len(images), batch_size, rng)
    while True:
        chosen = order.next_indices()
        yield datasets.to_float(images[chosen]), None if labels is None else labels[chosen]


def falling(t):
    """The learning rate's factor at t of the way: 1 until WARM, then on a line to 0."""
    return min(1, (1 - t) / (1 - WARM))


def learn(title, steps, optimizers, step, follow, schedule=falling):
    """Call `step(t)`, t from 0 to 1, so many times; it computes gradients, moves, and returns the loss.

    schedule(t): the factor of the optimizers' learning rates. follow(title, steps) -> a context that gives a function
    to call with each step, from 1, and its {"loss": …}. RunError where a loss is no longer finite.
    """
    advice = f"this was {title}; try another --seed"
    with follow(title, steps) as watch:
        fit(lambda t: {"loss": step(t)}, steps, optimizers, schedule, watch, advice)


def accuracy(logits, labels):
    """The share of rows of logits (N, K) whose largest is at the label (N,)."""
    return float((logits.argmax(axis=1) == labels).mean())
