"""Few labels: a semi-supervised GAN beside the same network trained on the labels alone (Salimans et al. 2016).

D sorts pictures into K classes, and by the sum of its logits tells pictures from made-up ones (losses.semi_supervised).
What separates the two also separates the classes, so pictures without a label teach it too. G matches the mean of D's
last hidden layer: a G that is not perfect is what D learns most from (section 3.1).
"""

from functools import partial

import numpy as np

from minigan import losses, optim
from minigan.layers import Sequential
from minigan.models.semi import LATENT, semi_discriminator, semi_generator
from minigan.recognition.common import Outcome, accuracy, balanced, batches, learn
from minigan.tools import plotting
from minigan.tools.inference import outputs
from minigan.tools.training_loop import descend

STEPS = 5000
LABELS = (100, 1000)
BATCH_SIZE = 100
LR, BETA1 = 1e-3, 0.5
SHOWN = 100  # samples


class SemiSupervised:
    """The game of a classifier with a generator. seed: of the weights, the noise and z."""

    def __init__(self, sample_shape, classes, seed, dtype=np.float32):
        weights, noise, self.rng = np.random.default_rng(seed).spawn(3)
        self.discriminator = semi_discriminator(sample_shape, classes, weights, noise, dtype)
        self.generator = semi_generator(sample_shape, weights, dtype)
        *body, self.head = self.discriminator.layers
        self.features = Sequential(body)
        self.d_optimizer = optim.Adam(self.discriminator, LR, beta1=BETA1)
        self.g_optimizer = optim.Adam(self.generator, LR, beta1=BETA1)

    def d_loss(self, labelled, labels, unlabelled, made):
        """-> what D minimises on pictures (N, H, W, C), each N its own, and the mean features of those unlabelled; its
        gradient replaces D's."""
        ends = len(labelled), len(labelled) + len(unlabelled)
        features = self.features.forward(np.concatenate([labelled, unlabelled, made]))
        known, real, fake = np.split(self.head.forward(features), ends)
        value, *grads = losses.semi_supervised(known, labels, real, fake)
        self.head.zero_grad()
        grad = self.head.backward(np.concatenate(grads))
        self.features.zero_grad()
        self.features.backward(grad, need_input_grad=False)
        return value, features[slice(*ends)].mean(axis=0)

    def g_loss(self, target, made):
        """-> what G minimises, and its gradient by `made` (N, H, W, C): its mean features shall be `target` (D,), those
        of real pictures. D's gradients stay."""
        value, grad = losses.feature_matching(self.features.forward(made), target)
        return value, self.features.backward(grad, need_param_grads=False)

    def step(self, labelled, labels, unlabelled):
        """Move D, then G, once. -> D's loss."""
        made = self.generator.forward(self.draw(len(unlabelled)))
        value, target = self.d_loss(labelled, labels, unlabelled, made)
        self.d_optimizer.step()
        _, grad = self.g_loss(target, made)
        descend(self.generator, grad, self.g_optimizer)
        return value

    def step_alone(self, labelled, labels):
        """Move D once by the labels alone. -> its loss."""
        value, grad = losses.softmax_cross_entropy(self.discriminator.forward(labelled), labels)
        descend(self.discriminator, grad, self.d_optimizer)
        return value

    def draw(self, n):
        """z ~ U(0, 1), (n, LATENT), as the paper's program has it."""
        return self.rng.random((n, LATENT), dtype=self.generator.params["0.weight"].dtype)


def run(data, gan, steps, seed, follow):
    """-> the Outcome for one draw of the labels: with 100 and with 1,000 of them, alone and beside all pictures."""
    accuracies, drawings = {}, {}
    for count in LABELS:
        chosen = balanced(data.labels, count, np.random.default_rng([seed, count]))
        for name, unlabelled in ((f"{count:,} labels alone", False), (f"{count:,} labels and a GAN", True)):
            game = SemiSupervised(data.sample_shape, data.classes, [seed, count])
            fit(game, data, chosen, unlabelled, steps, seed, f"seed {seed}, {name}", follow)
            accuracies[name] = accuracy(outputs(game.discriminator, data.test), data.test_labels)
        samples = game.generator.forward(game.draw(SHOWN), training=False)
        drawings[f"samples_{count}.png"] = partial(plotting.save_samples, samples=samples)
    return Outcome(accuracies, drawings)


def fit(game, data, chosen, unlabelled, steps, seed, title, follow):
    """Train on the pictures `chosen` (indices) with their labels, and, if `unlabelled`, on all pictures without."""
    few_rng, all_rng = np.random.default_rng([seed, 5]).spawn(2)
    few = batches(data.images[chosen], data.labels[chosen], BATCH_SIZE, few_rng)
    every = batches(data.images, None, BATCH_SIZE, all_rng)

    def step(t):
        return game.step(*next(few), next(every)[0]) if unlabelled else game.step_alone(*next(few))

    learn(title, steps, [game.d_optimizer, game.g_optimizer], step, follow)
