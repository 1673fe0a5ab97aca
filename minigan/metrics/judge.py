"""Recognition: a classifier of pictures, which also judges what generators draw."""

import hashlib

import numpy as np

from minigan import datasets, optim
from minigan.base.errors import InputError
from minigan.datasets.labels import names_of
from minigan.layers import Dense, Sequential
from minigan.losses import softmax, softmax_cross_entropy
from minigan.models.classifier import FEATURES, plain_body
from minigan.models.densenet import dense_body
from minigan.models.resnet import residual_body
from minigan.tools import training_loop
from minigan.tools.inference import outputs
from minigan.tools.saved_network import SavedNetwork

BODIES = {"plain": plain_body, "resnet": residual_body, "densenet": dense_body}
SHIPPED = datasets.DATA_DIR / "classifier.npz"
WARM_UP = 0.1  # of the steps, in which the learning rate grows


class Classifier(SavedNetwork):
    """A convolutional classifier of pictures (H, W, C) in [-1, 1] into `classes` classes.

    body: pictures to features (N, 128), one of BODIES by `kind`. network: pictures to logits (N, classes). seed: of its
    first weights. names: of the classes, see datasets.labels.names_of. Raises InputError for an unknown kind.
    """

    noun, command, sizes = "classifier", "classify", ("sample_shape", "classes")

    def __init__(self, sample_shape=(28, 28, 1), classes=10, seed=0, kind="plain", names=None):
        if kind not in BODIES:
            raise InputError(f"there is no classifier {kind!r}; there are {', '.join(BODIES)}.")
        self.sample_shape, self.classes, self.kind = tuple(sample_shape), classes, kind
        self.names = names_of(classes, names)
        rng = np.random.default_rng(seed)
        self.body = BODIES[kind](self.sample_shape, rng, np.float32)
        self.head = Dense(FEATURES, classes, rng=rng)
        self.network = Sequential([*self.body.layers, self.head])

    @property
    def name(self):
        """The first digits of the SHA-256 of its weights: metrics of two judges do not compare."""
        digest = hashlib.sha256()
        for _, array in sorted(self.arrays().items()):
            digest.update(array.tobytes())
        return digest.hexdigest()[:12]

    def fit(self, images, labels, epochs, rng, batch_size=128, lr=3e-3, shift=2, watch=lambda step, metrics: None):
        """Train on images (N, H, W, C) uint8 and labels (N,), each picture moved by up to `shift` pixels, drawn anew.

        Adam on the cross-entropy; the learning rate grows to `lr` and falls to 0 along a cosine. watch(step, metrics)
        is called after each step with the loss. The same rng state gives the same weights. Raises RunError where the
        loss is no longer finite.
        """
        if len(images) != len(labels) or images.shape[1:] != self.sample_shape:
            raise InputError(
                f"Classifier.fit: images {images.shape} and {len(labels)} labels, expected as many labels as images of "
                f"shape {self.sample_shape}."
            )
        order_rng, shift_rng = rng.spawn(2)
        batches = datasets.BatchIterator(len(images), batch_size, order_rng)
        steps = max(1, round(epochs * len(images) / batch_size))
        optimizer = optim.Adam(self.network, lr)

        def step(t):
            chosen = batches.next_indices()
            x = _shifted(datasets.to_float(images[chosen]), shift, shift_rng)
            value, grad = softmax_cross_entropy(self.network.forward(x), labels[chosen])
            training_loop.descend(self.network, grad, optimizer)
            return {"loss": value}

        shares = ((i + 1) / steps for i in range(steps))  # the first step's rate is not to be 0
        training_loop.fit(step, shares, [optimizer], _schedule, watch)

    def predict(self, images):
        """-> features (N, 128) and probabilities (N, classes) of pictures, uint8 or floats in [-1, 1]."""
        if images.shape[1:] != self.sample_shape or not len(images):
            raise InputError(f"Classifier.predict: images are {images.shape}, expected (N, {self.sample_shape}).")
        features = outputs(self.body, images)
        return features, softmax(outputs(self.head, features))

    def accuracy(self, images, labels):
        """The share of pictures whose label (N,) it finds most probable."""
        return float((self.predict(images)[1].argmax(axis=1) == labels).mean())

    def settings(self):
        return {"sample_shape": self.sample_shape, "classes": self.classes, "kind": self.kind, "names": self.names}


def shipped_judge():
    """The classifier of MNIST's digits that comes with the library; InputError where its file is missing or damaged."""
    return Classifier.load(SHIPPED)


def _schedule(t):
    """The learning rate's factor at t of the way, 0 to 1."""
    return t / WARM_UP if t < WARM_UP else training_loop.cosine((t - WARM_UP) / (1 - WARM_UP))


def _shifted(x, most, rng):
    """Each picture of x (N, H, W, C) moved by up to `most` pixels both ways; what comes in is -1, the background."""
    n, h, w, _ = x.shape
    frame = np.pad(x, ((0, 0), (most, most), (most, most), (0, 0)), constant_values=-1)
    top, left = rng.integers(0, 2 * most + 1, (2, n, 1))
    return frame[np.arange(n)[:, None, None], (top + np.arange(h))[:, :, None], (left + np.arange(w))[:, None, :]]
