"""CoGAN (Liu and Tuzel 2016): two GANs with common weights learn two kinds of pictures that were never seen in pairs.

The two generators are the same but for their last layer and the two discriminators but for their first, so what is
meant by z is decided in common, and from one z come two pictures that correspond. Here the kinds are a digit and its
negative. A sample is the pair in one array (N, H, W, 2C); D judges each picture by itself. A condition is that of both.
"""

import numpy as np

from minigan.layers import Composite, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Tanh
from minigan.models.base import Preset, quarter_size
from minigan.models.blocks import Builder, redraw_weights


def to_discriminator(x, conditions=None):
    """Unpaired pictures x (N, H, W, C) -> (N, H, W, 2C): each beside the negative of the next one of its condition, not
    of its own unless there is no other."""
    order = np.arange(len(x)) if conditions is None else np.argsort(conditions, kind="stable")
    changes = [] if conditions is None else np.flatnonzero(np.diff(conditions[order])) + 1
    others = np.empty(len(x), int)
    for same in np.split(order, changes):
        others[same] = np.roll(same, -1)
    return np.concatenate([x, -x[others]], axis=3)


def to_samples(x):
    return x[..., : x.shape[3] // 2]


def partner(x):
    """The second pictures as they would be among the first: the negative of the negative."""
    return -x[..., x.shape[3] // 2 :]


def to_display(x):
    """The two beside each other: (N, H, 2W, C)."""
    return np.concatenate(np.split(x, 2, axis=3), axis=2)


class PairGenerator(Composite):
    """y = [last_1(trunk(x)), last_2(trunk(x))]: the gradients of both pictures meet in the trunk."""

    def _forward(self, x, training, num_splits):
        h = self._run("trunk", x, training, num_splits)
        return np.concatenate([self._run(name, h, training) for name in ("last1", "last2")], axis=3), None

    def _backward(self, grad_output, cache, need):
        first, second = np.split(grad_output, 2, axis=3)
        grad = self._back("last1", first, need, inner=True) + self._back("last2", second, need, inner=True)
        return self._back("trunk", grad, need)


class PairDiscriminator(Composite):
    """(N, 2K) outputs trunk(first_1(x_1)), trunk(first_2(x_2)): the trunk judges both in one batch of 2N, which sums
    the gradients of its weights. What comes after the 2C channels of the pair is seen with both pictures."""

    heads = ("trunk",)

    def __init__(self, children, channels):
        super().__init__(children)
        self.channels = channels

    def _forward(self, x, training, num_splits):
        c = self.channels
        first, second = (np.concatenate([own, x[..., 2 * c :]], axis=3) for own in (x[..., :c], x[..., c : 2 * c]))
        h = np.concatenate([self._run("first1", first, training), self._run("first2", second, training)])
        logits = self._run("trunk", h, training, 2 * num_splits)
        return np.concatenate(np.split(logits, 2), axis=1), None

    def _backward(self, grad_output, cache, need):
        grad = self._back("trunk", np.concatenate(np.split(grad_output, 2, axis=1)), need, inner=True)
        first, second = (
            self._back(name, half, need) for name, half in zip(("first1", "first2"), np.split(grad, 2), strict=True)
        )
        if not need.input:
            return None
        c = self.channels
        return np.concatenate([first[..., :c], second[..., :c], first[..., c:] + second[..., c:]], axis=3)


def build_cogan(sizes, rng, noise_rng, dtype):
    """The dcgan networks, cut in two after G's second and D's first convolution."""
    h, w, channels = quarter_size(sizes.sample_shape)
    make = Builder(rng, dtype)
    trunk = [make.dense(sizes.inputs, h * w * 128), Reshape((h, w, 128)), make.batch_norm(128), ReLU()]
    trunk += [make.double(128, 64), make.batch_norm(64), ReLU()]
    last = [Sequential([make.double(64, channels), Tanh()]) for _ in range(2)]
    generator = PairGenerator({"trunk": Sequential(trunk), "last1": last[0], "last2": last[1]})
    first = [Sequential([make.halve(sizes.seen_shape[-1] - channels, 64), LeakyReLU(0.2)]) for _ in range(2)]
    trunk = [make.halve(64, 128), make.batch_norm(128), LeakyReLU(0.2), Flatten()]
    trunk = Sequential([*trunk, make.dense(h * w * 128, sizes.outputs)])
    discriminator = PairDiscriminator({"first1": first[0], "first2": first[1], "trunk": trunk}, channels)
    return redraw_weights(generator, rng), redraw_weights(discriminator, rng)


COGAN = Preset(
    name="cogan",
    summary="two GANs with common weights: a digit and its negative from one z, learned without pairs",
    source="Liu and Tuzel 2016",
    build=build_cogan,
    to_discriminator=to_discriminator,
    to_samples=to_samples,
    to_display=to_display,
    partner=partner,
    defaults={"lr": 5e-4, "beta1": 0.5, "ema_decay": 0.999, "epochs": 3},
    minutes=4.5,
)
