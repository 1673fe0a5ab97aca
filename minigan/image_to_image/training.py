"""Networks that learn to undo what was done to pictures, by an L1 and an adversarial loss, and how well they do it.

With x the degraded and y the true picture, and D a discriminator of pairs (Goodfellow et al. 2014; Isola et al. 2017):
    G minimises mean |G(x) - y| + a · L_G(D(x, G(x))),    D tells (x, y) from (x, G(x)).
The first term alone gives the median of all pictures that x may come from, which is blurred; the second asks for a
picture that may be real. What is to be undone is a task's matter: enhancement.py, restoration.py.
"""

from dataclasses import asdict

import numpy as np

from minigan import datasets, losses, optim
from minigan.base.errors import InputError
from minigan.image_to_image import filters
from minigan.metrics import image_metrics
from minigan.models.enhancer import pair_discriminator
from minigan.tools import training_loop
from minigan.tools.inference import outputs
from minigan.tools.saved_network import SavedNetwork

SMALLEST = 4  # pixels a side
CHUNK = 2**17  # pixels made at a time
LARGEST = 2**20  # pixels of one picture made; the network remembers about 2.5 KiB for each meanwhile
TUNED_ON = 1000  # training pictures
BATCH_SIZE = 32
LR, BETA1 = 1e-3, 0.5


class ImageToImageTask:
    """What is to be undone. A subclass is a frozen dataclass, whose fields say it all.

    factor: how many times larger the true picture is. multiple: what the sides of the network's input divide by.
    A subclass writes `network(channels, rng, dtype)`, a layer from degraded pictures in [-1, 1] to true ones;
    `degrade(images, rng)`, (N, H, W, C) uint8 to the input (N, H/factor, W/factor, inputs(C)) uint8;
    `baselines(images, rng)`, the simple methods, name -> function of such inputs, their settings tuned on these
    pictures; and where the input is no picture, `inputs` and `show`.
    """

    factor, multiple = 1, 1

    def inputs(self, channels):
        """How many channels the input has for pictures of so many."""
        return channels

    def show(self, degraded):
        """The input as pictures for people."""
        return degraded

    def parts(self):
        """Name -> task, where this one is several that are to be measured apart; else empty."""
        return {}

    def check(self, images):
        """InputError where these training pictures do not suit the task."""
        if images.ndim != 4:
            raise InputError("points in the plane are no pictures; choose a data set of pictures.")
        h, w = images.shape[1:3]
        step, least = self.factor * self.multiple, max(SMALLEST * self.factor, image_metrics.WINDOW)
        if h % step or w % step or min(h, w) < least:
            raise InputError(
                f"pictures of {h} x {w} pixels do not suit: their sides must divide by {step} and be at least {least}."
            )


def best_setting(settings, method, degraded, truth):
    """The setting with which method(degraded, setting) is nearest to the true pictures by its mean PSNR."""
    return max(settings, key=lambda setting: image_metrics.mean_psnr(method(degraded, setting), truth))


class ImageToImageModel(SavedNetwork):
    """A network that does a task on pictures of `channels` channels. seed: of its first weights.

    A subclass gives `task_type`, its task's class, besides `noun` and `command`.
    """

    task_type, sizes = ImageToImageTask, ("channels",)

    def __init__(self, channels, task, seed=0):
        self.channels, self.task = channels, task
        self.network = task.network(channels, np.random.default_rng(seed), np.float32)

    def apply(self, images):
        """Inputs (N, H, W, inputs) uint8 -> pictures (N, factor·H, factor·W, C) uint8, each by itself.

        Raises InputError for another number of channels and for pictures that are too small or too large.
        """
        inputs, factor = self.task.inputs(self.channels), self.task.factor
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[3] != inputs:
            raise InputError(
                f"{type(self).__name__}.apply: images are {images.dtype} {images.shape}, expected uint8 (N, H, W, "
                f"{inputs})."
            )
        _, h, w, _ = images.shape
        area = h * w * factor**2
        if min(h, w) < SMALLEST or area > LARGEST:
            raise InputError(
                f"the picture has {w} x {h} pixels, expected at least {SMALLEST} x {SMALLEST} and at most "
                f"{LARGEST // factor**2:,} in all; cut or shrink it."
            )
        more = [(0, -size % self.task.multiple) for size in (h, w)]
        x = np.pad(images, ((0, 0), *more, (0, 0)), mode="edge")
        made = datasets.to_uint8(outputs(self.network, x, max(1, CHUNK // area)))
        return made[:, : h * factor, : w * factor]

    def outputs(self, images):
        """{"network": what it makes of them}, as a method among others."""
        return {"network": self.apply(images)}

    def settings(self):
        return {"channels": self.channels, **asdict(self.task)}

    @classmethod
    def from_settings(cls, channels, **task):
        return cls(channels, cls.task_type(**task))


class Pix2PixTrainer:
    """Moves a model and a discriminator of pairs. adversarial: its weight a; 0 for the L1 loss alone."""

    def __init__(self, model, adversarial, seed=0):
        self.factor, self.channels, self.generator = model.task.factor, model.channels, model.network
        both = model.task.inputs(self.channels) + self.channels
        self.discriminator = pair_discriminator(both, np.random.default_rng(seed), np.float32)
        self.adversarial, self.loss = adversarial, losses.NonSaturating()
        self.g_optimizer = optim.Adam(self.generator, LR, beta1=BETA1)
        self.d_optimizer = optim.Adam(self.discriminator, LR, beta1=BETA1)

    def pairs(self, x, y):
        """[x, y] as D sees them: x (N, H, W, inputs), y (N, factor·H, factor·W, C) -> y's size with inputs + C
        channels."""
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
        grad += made.dtype.type(self.adversarial) * grad_pairs[..., -self.channels :]
        return distance + self.adversarial * value, grad, distance

    def step(self, x, truth):
        """Move D, then G, once on inputs x and the true pictures, both in [-1, 1]. -> metrics, name -> float."""
        made, metrics = self.generator.forward(x), {}
        if self.adversarial:
            self.discriminator.zero_grad()
            metrics["d_loss"] = self.d_loss(x, made, truth)
            self.d_optimizer.step()
        metrics["g_loss"], grad, metrics["l1"] = self.g_loss(x, made, truth)
        training_loop.descend(self.generator, grad, self.g_optimizer)
        return metrics


def fit(model, images, steps, adversarial, rng, watch=lambda step, metrics: None):
    """Train a model on pictures (N, H, W, C) uint8, each degraded anew; the learning rate falls to 0 along a cosine.

    watch(step, metrics) is called after each step. The same rng state gives the same weights. Raises RunError where a
    loss is no longer finite.
    """
    order_rng, degrade_rng, trainer_rng = rng.spawn(3)
    trainer = Pix2PixTrainer(model, adversarial, trainer_rng)
    batches = datasets.BatchIterator(len(images), BATCH_SIZE, order_rng)

    def step(t):
        truth = images[batches.next_indices()]
        x = model.task.degrade(truth, degrade_rng)
        return trainer.step(datasets.to_float(x), datasets.to_float(truth))

    optimizers = trainer.g_optimizer, trainer.d_optimizer
    training_loop.fit(step, steps, optimizers, watch=watch, advice="try a smaller --adversarial")


def measure(images, truth, labels=None, judge=None):
    """How near pictures are to the true ones on average, and, with a judge, the share whose label it recognises."""
    metrics = {"psnr": image_metrics.mean_psnr(images, truth), "ssim": float(image_metrics.ssim(images, truth).mean())}
    return metrics if judge is None else metrics | recognised(images, labels, judge)


def recognised(images, labels, judge):
    """{"recognised": the share of pictures whose label the judge recognises}."""
    return {"recognised": judge.accuracy(images, labels)}
