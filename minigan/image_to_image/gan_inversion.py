"""Restoration by searching what an already trained generator can draw (Yeh et al. 2017).

Of a true picture x no more is known than y = A x: A hides what is in the holes, or blurs. That z is sought for which
G(z) agrees with y and is real to D,
    L(z) = Σ w |A G(z) - y| + λ L_G(D(G(z))),    Σ w = 1,
by Adam along the gradient that comes back through A, D and G. What is known then corrects what was found: blending.
"""

import numpy as np

from minigan import datasets, optim
from minigan.base.errors import InputError
from minigan.image_to_image import filters, inpainting, restoration
from minigan.layers import Layer
from minigan.models.base import as_it_is

BATCH = 100  # pictures searched for at a time; G makes as many in one piece, and remembers how
DRAWN = 1000  # samples, the nearest of which is where a search begins
NEARBY = 7  # pixels: those next to a hole count, the more of it lies in the NEARBY x NEARBY around them
LR = 0.05
PRIOR = 0.03  # λ
SHARPNESS = 0.01  # of a blended picture: how much G's gradients count beside the blurred picture


class MaskOperator:
    """Pictures with holes, as `RestorationTask.degrade` gives them: A x = x, and what is in the hole has no weight.

    w is the share of hole around a known pixel (Yeh et al. 2017, equation 3), divided by its sum.
    """

    def __init__(self, degraded, dtype):
        self.pictures, self.hole = restoration.split(degraded)
        self.target, edge = datasets.to_float(self.pictures, dtype), NEARBY // 2
        around = np.pad(self.hole, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(around, (NEARBY, NEARBY), axis=(1, 2))
        weight = windows.mean(axis=(4, 5)) * ~self.hole
        total = weight.sum(axis=(1, 2, 3), keepdims=True) * self.pictures.shape[3]
        self.weight = (weight / np.maximum(total, np.finfo(dtype).tiny)).astype(dtype)

    def apply(self, x):
        """A x."""
        return x

    def adjoint(self, grad):
        """Aᵀ grad."""
        return grad

    def blend(self, made):
        """Poisson blending of what was made, floats in 0..255, into the holes."""
        return inpainting.poisson(self.pictures.astype(np.float32), self.hole, made)

    def paste(self, made):
        return np.where(self.hole, made, self.pictures)


class BlurOperator:
    """Blurred pictures: A x = R x Cᵀ with the matrices of the blur, and all pixels count the same."""

    def __init__(self, degraded, dtype, blur):
        self.target = datasets.to_float(degraded, dtype)
        self.rows, self.columns = (filters.gaussian_weights(size, blur).astype(dtype) for size in degraded.shape[1:3])
        self.weight = dtype.type(1 / np.prod(degraded.shape[1:]))

    def apply(self, x):
        return filters.apply_along(x, self.rows, self.columns)

    def adjoint(self, grad):
        return filters.apply_along(grad, self.rows.T, self.columns.T)

    def blend(self, made):
        """x = G(z) + d where ‖A x - y‖² + SHARPNESS ‖∇d‖² is smallest: (Aᵀ A + SHARPNESS L) d = Aᵀ (y - A G(z))."""
        missing = (self.target + 1) * 127.5 - self.apply(made)

        def matrix(v):
            return self.adjoint(self.apply(v)) + v.dtype.type(SHARPNESS) * inpainting.laplacian(v)

        return made + inpainting.conjugate_gradients(matrix, self.adjoint(missing))

    def paste(self, made):
        return made


class GanInversion:
    """Restores pictures by a search through a trained GAN. steps: of Adam. rng: draws where searches may begin.

    progress(title, total) gives, in a `with`, watch(step, metrics), called after each step.
    Raises InputError for a GAN whose G does not draw pictures of one kind.
    """

    def __init__(self, gan, task, steps, rng, progress):
        check(gan)
        self.gan, self.task, self.steps, self.progress = gan, task, steps, progress
        self.z = gan.draw_z(DRAWN, rng)
        self.conditions = gan.conditions.draw(DRAWN, rng)
        self.drawn = gan.make(self.z, self.conditions)

    def outputs(self, degraded):
        """Inputs uint8 -> {"G(z)": what G makes, in the holes only; "search": the same blended} uint8."""
        found = {"G(z)": [], "search": []}
        batches = [degraded[first : first + BATCH] for first in range(0, len(degraded), BATCH)]
        with self.progress("searching", len(batches) * self.steps) as watch:
            for batch in batches:
                operator = self.operator(batch)
                made = (np.clip(self.search(operator, watch), -1, 1) + 1) * np.float32(127.5)
                found["G(z)"].append(operator.paste(made))
                found["search"].append(operator.blend(made))
        return {name: np.rint(np.clip(np.concatenate(x), 0, 255)).astype(np.uint8) for name, x in found.items()}

    def operator(self, degraded):
        """What is known of these inputs."""
        if self.task.holes:
            return MaskOperator(degraded, self.gan.dtype)
        return BlurOperator(degraded, self.gan.dtype, self.task.blur)

    def search(self, operator, watch):
        """-> G(z) of the best z found for each picture that an operator knows of."""
        nearest = self.begin(operator)
        z, conditions = self.z[nearest], None if self.conditions is None else self.conditions[nearest]
        codes = Layer()
        codes.params["z"], codes.grads["z"] = z, np.zeros_like(z)
        optimizer = optim.Adam(codes, LR)
        longest = np.sqrt(z.dtype.type(z.shape[1]))
        for step in range(self.steps):
            value, codes.grads["z"] = self.loss(z, conditions, operator)
            optimizer.step()
            z *= np.minimum(1, longest / np.linalg.norm(z, axis=1, keepdims=True))  # or it leaves where G has learned
            watch(step + 1, {"loss": value})
        return self.gan.make(z, conditions)

    def begin(self, operator):
        """Which of the drawn samples agrees best with each picture that an operator knows of."""
        samples = operator.apply(self.drawn)
        weights = np.broadcast_to(operator.weight, operator.target.shape)
        return np.array(
            [
                (weight * np.abs(samples - target)).sum(axis=(1, 2, 3)).argmin()
                for weight, target in zip(weights, operator.target, strict=True)
            ]
        )

    def loss(self, z, conditions, operator):
        """-> the mean of L(z) over the operator's pictures, and its gradient by z (N, Z)."""
        made = self.gan.make(z, conditions)
        gap = operator.apply(made) - operator.target
        share = z.dtype.type(1 / len(z))
        value = float((operator.weight * np.abs(gap)).sum(dtype=np.float64)) / len(z)
        grad = operator.adjoint(operator.weight * np.sign(gap)) * share
        prior, grad_prior = self.gan.g_loss(made, conditions, training=False)
        grad = grad + z.dtype.type(PRIOR) * grad_prior
        return value + PRIOR * prior, self.gan.averaged.backward(np.ascontiguousarray(grad), need_param_grads=False)


def check(gan):
    """InputError where G's outputs are not the pictures themselves."""
    if gan.preset.to_samples is not as_it_is or len(gan.sample_shape) != 3:
        raise InputError(
            f"a generator of {gan.config.preset} does not draw the pictures themselves, so they cannot be searched "
            "for; train another preset, such as digits or dcgan."
        )
