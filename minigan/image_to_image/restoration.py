"""Restoration: pictures whose holes are filled, or that are made sharp again, by a context encoder."""

from dataclasses import dataclass

import numpy as np

from minigan.base.errors import InputError
from minigan.image_to_image import filters, inpainting, training
from minigan.models.restorer import restorer

GREY = 127
GRAIN = 0.02  # the noise of blurred pictures, as a share of the range: a camera has some, and filters fear it
MOST_BLUR = 10.0
AMOUNTS = (0.5, 1.0, 2.0, 4.0)  # of unsharp masking, and how much noise the Wiener filter expects: the best is kept
NOISES = (0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True)
class RestorationTask(training.ImageToImageTask):
    """What is to be undone: holes of these kinds, of which each picture has one, or where there are none a blur of σ =
    `blur` pixels, with some noise."""

    holes: tuple = tuple(inpainting.HOLES)
    blur: float = 0.0

    multiple = 4

    def __post_init__(self):
        object.__setattr__(self, "holes", tuple(self.holes))  # JSON knows lists only
        unknown = [kind for kind in self.holes if kind not in inpainting.HOLES]
        if unknown:
            raise InputError(f"there are no holes {unknown[0]!r}; there are {', '.join(inpainting.HOLES)}.")
        if self.holes and self.blur:
            raise InputError("holes and blur are two tasks; choose one of them.")
        if not self.holes and not 0 < self.blur <= MOST_BLUR:
            raise InputError(f"blur is {self.blur}, expected σ in pixels, a number above 0 and at most {MOST_BLUR:g}.")

    def __str__(self):
        return f"holes: {', '.join(self.holes)}" if self.holes else f"blur {self.blur:g}"

    def inputs(self, channels):
        return channels + 1 if self.holes else channels

    def show(self, degraded):
        if not self.holes:
            return degraded
        pictures, hole = split(degraded)
        return np.where(hole, np.uint8(GREY), pictures)

    def parts(self):
        return {kind: RestorationTask((kind,)) for kind in self.holes} if len(self.holes) > 1 else {}

    def network(self, channels, rng, dtype):
        return restorer(channels, bool(self.holes), rng, dtype)

    def degrade(self, images, rng):
        """Pictures uint8 -> blurred and noisy ones; or, with_hole, ones with the biharmonic fill in their holes."""
        if not self.holes:
            return filters.add_noise(filters.gaussian(images, self.blur), GRAIN, rng)
        n, h, w, _ = images.shape
        kinds, hole = rng.integers(len(self.holes), size=n), np.empty((n, h, w, 1), bool)
        for i, kind in enumerate(self.holes):
            hole[kinds == i] = inpainting.HOLES[kind]((kinds == i).sum(), h, w, rng)
        return with_hole(images, hole)

    def baselines(self, images, rng):
        """The simple methods, name -> function of inputs; where one has a setting, the best on these pictures."""
        if self.holes:
            return {
                "mean fill": lambda degraded: _filled(inpainting.mean_fill, *split(degraded)),
                "diffusion": lambda degraded: _filled(inpainting.harmonic, *split(degraded)),
                "biharmonic": lambda degraded: split(degraded)[0],
            }
        truth = images[: training.TUNED_ON]
        degraded = self.degrade(truth, rng)

        def unsharp(pictures, amount):
            return filters.unsharp(pictures, self.blur, amount)

        def wiener(pictures, noise):
            return filters.wiener(pictures, self.blur, noise)

        amount = training.best_setting(AMOUNTS, unsharp, degraded, truth)
        noise = training.best_setting(NOISES, wiener, degraded, truth)
        return {
            "input": lambda degraded: degraded,
            f"unsharp {amount:g}": lambda degraded: unsharp(degraded, amount),
            f"Wiener {noise:g}": lambda degraded: wiener(degraded, noise),
        }


class Restorer(training.ImageToImageModel):
    """A network that restores pictures."""

    noun, command, task_type = "restorer", "restore", RestorationTask


def with_hole(pictures, hole):
    """Pictures (N, H, W, C) uint8 and a hole (N, H, W, 1) bool -> the input (N, H, W, C + 1) uint8: the pictures, in
    their holes the biharmonic fill, and 255 where the holes are, 0 elsewhere."""
    filled = _filled(inpainting.biharmonic, pictures, hole)
    return np.concatenate([filled, np.where(hole, np.uint8(255), np.uint8(0))], axis=3)


def split(degraded):
    """The inverse of with_hole, but for what was in the hole."""
    return degraded[..., :-1], degraded[..., -1:] > GREY


def _filled(fill, pictures, hole):
    return np.rint(np.clip(fill(pictures.astype(np.float32), hole), 0, 255)).astype(np.uint8)
