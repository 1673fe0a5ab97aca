"""Enhancement: networks that learn to undo what was done to pictures, by an L1 and an adversarial loss.

With x the spoilt and y the true picture, and D a judge of pairs (Goodfellow et al. 2014; Isola et al. 2017):
    G minimises mean |G(x) - y| + a · L_G(D(x, G(x))),    D tells (x, y) from (x, G(x)).
The first term alone gives the median of all pictures that x may come from, which is blurred; the second asks for a
picture that may be real.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np

from minigan import checkpoint, datasets, filters, image_metrics, losses, optim
from minigan.errors import InputError, RunError, brief
from minigan.kernels import threads
from minigan.models.enhancer import enhancer, pair_discriminator

FACTORS = (2, 4)
SMALLEST = 4  # pixels a side
CHUNK = 2**17  # pixels made at a time
LARGEST = 2**20  # pixels of one picture made; the network remembers about 2.5 KiB for each meanwhile
HIGHEST_PSNR = 100.0  # what a picture without any error counts as in a mean
TUNED_ON = 1000  # training pictures
SIGMAS, SIZES = (0.5, 0.75, 1.0, 1.25, 1.5), (3, 5)  # of the Gaussian and the median filters, the best of which is kept
BATCH_SIZE = 32
LR, BETA1 = 1e-3, 0.5


@dataclass(frozen=True)
class Task:
    """What is to be undone: pictures were made smaller by `factor`, or (factor 1) given noise of σ = 255 · noise."""

    factor: int = 2
    noise: float = 0.0

    def __post_init__(self):
        if self.factor == 1 and not 0 < self.noise <= 1:
            raise InputError(f"noise is {self.noise}, expected a share of the range from black to white, up to 1.")
        if self.factor != 1 and (self.factor not in FACTORS or self.noise):
            raise InputError(f"factor is {self.factor} and noise {self.noise}, expected a factor of 2 or 4, no noise.")

    def __str__(self):
        return f"noise {self.noise:g}" if self.noise else f"{self.factor} times larger"

    def check(self, images):
        """InputError where these training pictures do not suit the task."""
        if images.ndim != 4:
            raise InputError("points in the plane cannot be enhanced; choose a data set of pictures.")
        h, w = images.shape[1:3]
        step, least = max(self.factor, 2), max(SMALLEST * self.factor, image_metrics.WINDOW)
        if h % step or w % step or min(h, w) < least:
            raise InputError(
                f"pictures of {h} x {w} pixels do not suit: their sides must divide by {step} and be at least {least}."
            )

    def spoil(self, images, rng):
        """Pictures uint8 -> the input that they are to be made from again, uint8."""
        return filters.add_noise(images, self.noise, rng) if self.noise else filters.shrink(images, self.factor)

    def baselines(self, images, rng):
        """The simple methods, name -> function of uint8 inputs; where one has a setting, the best on these pictures."""
        if not self.noise:
            return {
                "nearest": lambda spoilt: filters.nearest(spoilt, self.factor),
                "bicubic": lambda spoilt: filters.bicubic(spoilt, self.factor),
            }
        truth = images[:TUNED_ON]
        spoilt = self.spoil(truth, rng)

        def quality(method, setting):
            return image_metrics.psnr(method(spoilt, setting), truth).mean()

        sigma = max(SIGMAS, key=lambda value: quality(filters.gaussian, value))
        size = max(SIZES, key=lambda value: quality(filters.median, value))
        return {
            "input": lambda spoilt: spoilt,
            f"median {size}x{size}": lambda spoilt: filters.median(spoilt, size),
            f"Gaussian σ {sigma:g}": lambda spoilt: filters.gaussian(spoilt, sigma),
        }


class Enhancer:
    """A network that does a task on pictures of `channels` channels. seed: of its first weights."""

    def __init__(self, channels, task, seed=0):
        self.channels, self.task = channels, task
        self.network = enhancer(channels, task.factor, np.random.default_rng(seed), np.float32)

    def apply(self, images):
        """Pictures (N, H, W, C) uint8 -> (N, factor·H, factor·W, C) uint8, each by itself.

        Raises InputError for another C and for pictures that are too small or too large.
        """
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] != self.channels:
            raise InputError(
                f"Enhancer.apply: images are {images.dtype} {images.shape}, expected uint8 (N, H, W, {self.channels})."
            )
        _, h, w, _ = images.shape
        area = h * w * self.task.factor**2
        if min(h, w) < SMALLEST or area > LARGEST:
            raise InputError(
                f"the picture has {w} x {h} pixels, expected at least {SMALLEST} x {SMALLEST} and at most "
                f"{LARGEST // self.task.factor**2:,} in all; cut or shrink it."
            )
        odd = (h % 2, w % 2) if self.task.factor == 1 else (0, 0)
        x = np.pad(images, ((0, 0), (0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        each = max(1, CHUNK // area)
        made = []
        with threads.one_blas_thread:
            for first in range(0, len(x), each):
                out = self.network.forward(datasets.to_float(x[first : first + each]), training=False)
                made.append(datasets.to_uint8(out))
        return np.concatenate(made)[:, : h * self.task.factor, : w * self.task.factor]

    def save(self, path, about):
        """Write the weights to `path` with `about`, a dict that says where they come from."""
        kind = {"channels": self.channels, **asdict(self.task)}
        checkpoint.save(path, dict(self.network.params), {"enhancer": kind, **about})

    @classmethod
    def load(cls, path):
        """The enhancer in `path`; InputError where there is none, or a damaged or foreign file."""
        arrays, about = checkpoint.load(path)
        try:
            known = about["enhancer"]
            if known["channels"] > sum(array.size for array in arrays.values()):  # before such a network is made
                raise InputError(f"it has too few weights for {known['channels']} channels")
            made = cls(known["channels"], Task(known["factor"], known["noise"]))
            checkpoint.fill(made.network.params, arrays)
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} holds no enhancer of this version ({brief(error)}); make one with enhance."
            ) from None
        return made


class PairGame:
    """The game of an enhancer with a discriminator of pairs. adversarial: its weight a; 0 for the L1 loss alone."""

    def __init__(self, made_by, adversarial, seed=0):
        self.factor, self.channels, self.generator = made_by.task.factor, made_by.channels, made_by.network
        self.discriminator = pair_discriminator(self.channels, np.random.default_rng(seed), np.float32)
        self.adversarial, self.loss = adversarial, losses.NonSaturating()
        self.g_optimizer = optim.Adam(self.generator, LR, beta1=BETA1)
        self.d_optimizer = optim.Adam(self.discriminator, LR, beta1=BETA1)

    def pairs(self, x, y):
        """[x, y] as D sees them: x (N, H, W, C), y (N, factor·H, factor·W, C) -> y's size with 2C channels."""
        return np.concatenate([filters.nearest(x, self.factor), y], axis=3)

    def d_loss(self, x, made, truth):
        """-> what D minimises; adds its gradient to D's."""
        logits = self.discriminator.forward(np.concatenate([self.pairs(x, truth), self.pairs(x, made)]))
        real, fake = np.split(logits.reshape(-1, 1), 2)  # every patch counts as a sample
        value, grad_real, grad_fake = self.loss.discriminator(real, fake)
        grad = np.concatenate([grad_real, grad_fake]).reshape(logits.shape)
        self.discriminator.backward(grad, need_input_grad=False)
        return value

    def g_loss(self, x, made, truth):
        """-> what G minimises, its gradient by `made`, and the L1 part of the value. D's gradients stay."""
        distance, grad = losses.l1(made, truth)
        if not self.adversarial:
            return distance, grad, distance
        logits = self.discriminator.forward(self.pairs(x, made))
        value, grad_logits = self.loss.generator(logits.reshape(-1, 1))
        grad_pairs = self.discriminator.backward(grad_logits.reshape(logits.shape), need_param_grads=False)
        grad += made.dtype.type(self.adversarial) * grad_pairs[..., self.channels :]
        return distance + self.adversarial * value, grad, distance

    def step(self, x, truth):
        """Move D, then G, once on inputs x and the true pictures, both in [-1, 1]. -> figures, name -> float."""
        made, figures = self.generator.forward(x), {}
        if self.adversarial:
            self.discriminator.zero_grad()
            figures["d_loss"] = self.d_loss(x, made, truth)
            self.d_optimizer.step()
        figures["g_loss"], grad, figures["l1"] = self.g_loss(x, made, truth)
        self.generator.backward(grad, need_input_grad=False, replace_grads=True)
        self.g_optimizer.step()
        return figures


def fit(made_by, images, steps, adversarial, rng, watch=lambda step, figures: None):
    """Train an Enhancer on pictures (N, H, W, C) uint8, each spoilt anew; the learning rate falls to 0 along a cosine.

    watch(step, figures) is called after each step. The same rng state gives the same weights. Raises RunError where a
    loss is no longer finite.
    """
    order_rng, spoil_rng, game_rng = rng.spawn(3)
    game = PairGame(made_by, adversarial, game_rng)
    batches = datasets.BatchIterator(len(images), BATCH_SIZE, order_rng)
    for step in range(steps):
        truth = images[batches.next_indices()]
        x = made_by.task.spoil(truth, spoil_rng)
        for optimizer in (game.g_optimizer, game.d_optimizer):
            optimizer.lr = LR * (1 + math.cos(math.pi * step / steps)) / 2
        with np.errstate(all="ignore"), threads.one_blas_thread:
            figures = game.step(datasets.to_float(x), datasets.to_float(truth))
        if not all(math.isfinite(value) for value in figures.values()):
            raise RunError(f"training diverged at step {step + 1}: {figures}; try a smaller --adversarial.")
        watch(step + 1, figures)


def measure(images, truth, labels=None, judge=None):
    """How near pictures are to the true ones on average, and, with a judge, the share whose label it recognises."""
    figures = {
        "psnr": float(np.minimum(image_metrics.psnr(images, truth), HIGHEST_PSNR).mean()),
        "ssim": float(image_metrics.ssim(images, truth).mean()),
    }
    return figures if judge is None else figures | recognised(images, labels, judge)


def recognised(images, labels, judge):
    """{"recognised": the share of pictures whose label the judge recognises}."""
    return {"recognised": float((judge.judge(images)[1].argmax(axis=1) == labels).mean())}
