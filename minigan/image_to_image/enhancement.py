"""Enhancement: pictures made larger, or free of noise."""

from dataclasses import dataclass

from minigan.base.errors import InputError
from minigan.image_to_image import filters, training
from minigan.models.enhancer import enhancer

FACTORS = (2, 4)
SIGMAS, SIZES = (0.5, 0.75, 1.0, 1.25, 1.5), (3, 5)  # of the Gaussian and the median filters, the best of which is kept


@dataclass(frozen=True)
class EnhancementTask(training.ImageToImageTask):
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

    @property
    def multiple(self):
        return 2 if self.factor == 1 else 1

    def network(self, channels, rng, dtype):
        return enhancer(channels, self.factor, rng, dtype)

    def degrade(self, images, rng):
        """Pictures uint8 -> the input that they are to be made from again, uint8."""
        return filters.add_noise(images, self.noise, rng) if self.noise else filters.shrink(images, self.factor)

    def baselines(self, images, rng):
        """The simple methods, name -> function of uint8 inputs; where one has a setting, the best on these pictures."""
        if not self.noise:
            return {
                "nearest": lambda degraded: filters.nearest(degraded, self.factor),
                "bicubic": lambda degraded: filters.bicubic(degraded, self.factor),
            }
        truth = images[: training.TUNED_ON]
        degraded = self.degrade(truth, rng)
        sigma = training.best_setting(SIGMAS, filters.gaussian, degraded, truth)
        size = training.best_setting(SIZES, filters.median, degraded, truth)
        return {
            "input": lambda degraded: degraded,
            f"median {size}x{size}": lambda degraded: filters.median(degraded, size),
            f"Gaussian σ {sigma:g}": lambda degraded: filters.gaussian(degraded, sigma),
        }


class Enhancer(training.ImageToImageModel):
    """A network that enhances pictures."""

    noun, command, task_type = "enhancer", "enhance", EnhancementTask
