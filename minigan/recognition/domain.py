"""From one domain to another without labels there: domain-adversarial training (Ganin et al. 2016).

Features f(x) feed two heads: one recognises the label, on the source domain, the other tells source from target. The
second head's gradient is reversed on its way to f, which so learns features that say what a picture shows and not where
it comes from. The source are clean pictures with labels, the target other pictures on textured backgrounds without.
Each domain is normalised by its own statistics, while training and afterwards.

The optimizer is the paper's, with momentum. Adam's steps have one size however strong a gradient is: with it the
features outrun the second head, whose loss grows far above log 2 for each domain, and come to mix up the classes.
"""

import math

import numpy as np

from minigan import datasets, losses, optim
from minigan.models.domain import domain_features, domain_head, label_head
from minigan.recognition.common import Outcome, accuracy, batches, learn
from minigan.recognition.textures import on_textures
from minigan.tools import plotting
from minigan.tools.inference import outputs

STEPS = 4000
BATCH_SIZE = 64
LR = 0.04
STRENGTH, STEEPNESS = 1.5, 10.0  # of the reversed gradient: the most, and of the way there
SETTLED = 6400  # pictures that say how a domain is to be normalised
SHOWN = 24


class DomainAdversarial:
    """A classifier whose features come from two domains. seed: of the first weights."""

    def __init__(self, sample_shape, classes, seed, dtype=np.float32):
        rng = np.random.default_rng(seed)
        self.features = domain_features(sample_shape, rng, dtype)
        self.labels, self.domains = label_head(classes, rng, dtype), domain_head(rng, dtype)
        self.optimizers = [optim.Momentum(network, LR) for network in (self.features, self.labels, self.domains)]

    def forward(self, x, training=True):
        """Logits (N, classes) of pictures in [-1, 1]."""
        return self.labels.forward(self.features.forward(x, training), training)

    def loss(self, source, labels, target):
        """-> the two heads' losses on pictures of both domains, (N, H, W, C), as many; gradients replace older ones.

        target None: the label's loss alone, and 0.
        """
        if target is None:
            features = self.features.forward(source)
        else:
            features = self.features.forward(np.concatenate([source, target]), num_splits=2)
        value, grad = losses.softmax_cross_entropy(self.labels.forward(features[: len(source)]), labels)
        grad_features = np.zeros_like(features)
        self.labels.zero_grad()
        grad_features[: len(source)] = self.labels.backward(grad)
        confused = 0.0
        if target is not None:
            real, fake = np.split(self.domains.forward(features), [len(source)])
            confused, *grads = losses.NonSaturating().discriminator(real, fake)
            self.domains.zero_grad()
            grad_features += self.domains.backward(np.concatenate(grads))
        self.features.zero_grad()
        self.features.backward(grad_features, need_input_grad=False)
        return value, confused

    def step(self, source, labels, target, strength):
        """Move everything once. strength: λ of the reversed gradient. -> the sum of both losses."""
        self.domains.layers[0].strength = strength
        losses_of_both = self.loss(source, labels, target)
        for optimizer in self.optimizers if target is not None else self.optimizers[:2]:
            optimizer.step()
        return sum(losses_of_both)


def strength(t):
    """λ at t of the way: STRENGTH (2 / (1 + e^(-10 t)) - 1), so that the features first learn something (section 5.2.2,
    where the most is 1)."""
    return STRENGTH * (2 / (1 + math.exp(-STEEPNESS * t)) - 1)


def slowing(t):
    """The learning rate's factor at t of the way: 1 / (1 + 10 t)^0.75 (section 5.2.2)."""
    return (1 + 10 * t) ** -0.75


def fit(network, images, labels, target, steps, rng, title, follow):
    """Train on pictures (N, H, W, C) uint8 with labels (N,), and on those of another domain, or none (None)."""
    order, other = rng.spawn(2)
    labelled = batches(images, labels, BATCH_SIZE, order)
    unlabelled = None if target is None else batches(target, None, BATCH_SIZE, other)

    def step(t):
        return network.step(*next(labelled), None if target is None else next(unlabelled)[0], strength(t))

    learn(title, steps, network.optimizers, step, follow, slowing)


def settle(features, pictures):
    """Let the running statistics of the batch norms be those of one domain, from pictures of it without labels, instead
    of both domains' (AdaBN, Li et al. 2018)."""
    for first in range(0, min(SETTLED, len(pictures)), BATCH_SIZE):
        features.forward(datasets.to_float(pictures[first : first + BATCH_SIZE]))


def run(data, gan, steps, seed, follow):
    """-> the Outcome for one seed. No picture is in both domains: of the training pictures the first half, in an order
    that is drawn, is the source, and the other half is put on textures; of the test pictures all are in both."""
    textures_rng, split_rng, order_rng = np.random.default_rng([seed, 2]).spawn(3)
    first, second = np.array_split(split_rng.permutation(len(data.images)), 2)
    target, target_test = (on_textures(images, textures_rng) for images in (data.images[second], data.test))
    source, source_test = (np.broadcast_to(x, (*x.shape[:3], 3)) for x in (data.images[first], data.test))
    tries = {
        "trained on clean": (source, data.labels[first], None),
        "adversarial": (source, data.labels[first], target),
        "trained on textured": (target, data.labels[second], None),
    }
    accuracies, guesses = {}, {}
    for (name, learnt), rng in zip(tries.items(), order_rng.spawn(len(tries)), strict=True):
        network = DomainAdversarial(target.shape[1:], data.classes, seed)
        fit(network, *learnt, steps, rng, f"seed {seed}, {name}", follow)
        for domain, unlabelled, test in (("clean", source, source_test), ("textured", target, target_test)):
            if name == "adversarial":
                settle(network.features, unlabelled)
            logits = outputs(network, test)
            accuracies[f"{name}: {domain}"] = accuracy(logits, data.test_labels)
        guesses[name] = logits[:SHOWN].argmax(axis=1)
    before, after = guesses["trained on clean"], guesses["adversarial"]
    captions = [
        f"{label}: taken for {old}, then {new}"
        for label, old, new in zip(data.test_labels[:SHOWN], before, after, strict=True)
    ]
    drawings = {"pictures.png": lambda path: plotting.save_captioned(path, target_test[:SHOWN], captions)}
    return Outcome(accuracies, drawings)
