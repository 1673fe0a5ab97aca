"""What a discriminator has learnt: a linear probe on its features (Radford et al. 2016, section 5.1).

A probe is multinomial logistic regression: one dense layer, trained by the cross-entropy. How well it recognises says
how far the features have already pulled the classes apart. Beside it the same probe on raw pixels, and on the features
of the same network as it was before training.
"""

from dataclasses import replace

import numpy as np

from minigan import metrics, optim
from minigan.base.errors import InputError
from minigan.gan import GAN
from minigan.layers import Dense, Flatten, Sequential
from minigan.losses import softmax_cross_entropy
from minigan.models.base import as_it_is
from minigan.recognition.common import Outcome, accuracy, batches, learn
from minigan.tools import plotting
from minigan.tools.inference import outputs
from minigan.tools.training_loop import descend

STEPS = 2000
BATCH_SIZE = 128
LR = 1e-3
MEASURED = 2000  # pictures from which the features' mean and scale are taken


def run(data, gan, steps, seed, follow):
    """-> the Outcome for one seed: of the probes, and of the network that was never trained."""
    untrained = GAN(replace(gan.config, seed=seed), gan.sample_shape, gan.conditions.shares)
    bodies = {"pixels": Flatten(), "untrained D": features(untrained), "trained D": features(gan)}
    accuracies = {}
    for name, body in bodies.items():
        probe = Probe(body, data, seed)
        probe.fit(data, steps, f"seed {seed}, {name}", follow)
        logits = outputs(probe, data.test)
        accuracies[name] = accuracy(logits, data.test_labels)
    matrix = metrics.confusion(data.test_labels, logits.argmax(axis=1), logits.shape[1])
    return Outcome(accuracies, {"confusion.png": lambda path: plotting.save_confusion(path, matrix, data.names)})


def features(gan):
    """All of the discriminator but its last layer, as one network from pictures to vectors (N, D).

    InputError for a discriminator that is no chain of layers, or judges something else than the picture alone.
    """
    network = gan.discriminator.network
    seen = gan.discriminator.channels(gan.conditions.count)
    if type(network) is not Sequential or seen or gan.preset.to_discriminator is not as_it_is:
        raise InputError(
            f"the discriminator of the preset {gan.config.preset} does not judge a picture by itself in a chain of "
            "layers; name a --run of another, such as digits."
        )
    return Sequential([*network.layers[:-1], Flatten()])


class Probe:
    """A dense layer on what `body` gives, which is shifted and scaled so that its mean is 0 and its mean square 1."""

    def __init__(self, body, data, seed):
        self.body, rng = body, np.random.default_rng([seed, 1])
        seen = outputs(body, data.images[rng.permutation(len(data.images))[:MEASURED]])
        self.mean = seen.mean(axis=0)
        self.scale = 1 / max(float(np.sqrt(np.square(seen - self.mean).mean())), 1e-12)
        self.head = Dense(seen.shape[1], data.classes, rng=rng)
        self.head.params["weight"][...] = 0  # the loss is convex: there is nothing to break
        self.order_rng = rng

    def forward(self, x, training=True):
        """Logits (N, classes) of pictures in [-1, 1]. The body is only used, never trained."""
        features = self.body.forward(x, training=False)
        return self.head.forward((features - self.mean) * features.dtype.type(self.scale), training)

    def fit(self, data, steps, title, follow):
        labelled = batches(data.images, data.labels, BATCH_SIZE, self.order_rng)
        optimizer = optim.Adam(self.head, LR)

        def step(t):
            x, labels = next(labelled)
            value, grad = softmax_cross_entropy(self.forward(x), labels)
            descend(self.head, grad, optimizer)
            return value

        learn(title, steps, [optimizer], step, follow)
