"""ProGAN (Karras et al. 2018): both networks grow while they are trained, from 7x7 to 14x14 to 28x28 pixels.

A stage adds a block to each network. Its output is faded in: with α from 0 to 1,
    G: α · rgb_s(block_s(h)) + (1 - α) · u(rgb_{s-1}(h)),    D: α · block_s(from_s(x)) + (1 - α) · from_{s-1}(d(x)),
u repeating and d averaging 2x2 pixels. Samples keep their full size throughout: G repeats and D averages what the
present stage has no pixels for, so an early stage is as cheap as its size. Every weight has the equalised learning
rate, G normalises each pixel's features, D sees the batch's standard deviation.
"""

import math

from minigan.layers import (
    AveragePool2D,
    Composite,
    EqualizedRate,
    Flatten,
    LeakyReLU,
    MinibatchStd,
    PixelNorm,
    Reshape,
    Sequential,
    UpsampleNearest2D,
)
from minigan.models.base import Preset, quarter_size
from minigan.models.blocks import Builder
from minigan.models.lapgan import down, up, up_backward

HE = math.sqrt(2)  # the gain before a (leaky) ReLU
LAST = 2  # the stage of full size
WIDTHS = (64, 64, 32)  # features at each stage's size


def stage_and_fade(progress):
    """(s, α) for progress counted in stages: stage 0 alone, then for each stage a fade and a rest of equal length."""
    if progress >= 2 * LAST:
        return LAST, 1.0
    whole = int(progress)
    return (whole + 1) // 2, progress - whole if whole % 2 else 1.0


class Growing(Composite):
    """What the two networks share. stage, fade: s and α, set by `grow`."""

    stage, fade = LAST, 1.0

    def grow(self, progress):
        """progress: how many stages' lengths of training have passed."""
        self.stage, self.fade = stage_and_fade(progress)


class GrowingGenerator(Growing):
    """core: z→7x7 features; block_s: twice the size; edge_s: features to a picture of stage s."""

    def _forward(self, x, training, num_splits):
        h = self._run("core", x, training)
        for s in range(1, self.stage + 1):
            before, h = h, self._run(f"block{s}", h, training)
        out = self._run(f"edge{self.stage}", h, training)
        if self.fade < 1:
            fade = x.dtype.type(self.fade)
            out = fade * out + (1 - fade) * up(self._run(f"edge{self.stage - 1}", before, training))
        return up(out, LAST - self.stage), None

    def _backward(self, grad_output, cache, need):
        grad, fade = up_backward(grad_output, LAST - self.stage), grad_output.dtype.type(self.fade)
        back = self._back(f"edge{self.stage}", fade * grad, need, inner=True)
        for s in range(self.stage, 0, -1):
            back = self._back(f"block{s}", back, need, inner=True)
            if s == self.stage and self.fade < 1:
                back = back + self._back(f"edge{s - 1}", (1 - fade) * up_backward(grad), need, inner=True)
        return self._back("core", back, need)


class GrowingDiscriminator(Growing):
    """edge_s: a picture of stage s to features; block_s: half the size; core: 7x7 features to outputs."""

    heads = ("core",)

    def _forward(self, x, training, num_splits):
        for _ in range(LAST - self.stage):
            x = down(x)
        h = self._run(f"edge{self.stage}", x, training)
        for s in range(self.stage, 0, -1):
            h = self._run(f"block{s}", h, training)
            if s == self.stage and self.fade < 1:
                fade = x.dtype.type(self.fade)
                h = fade * h + (1 - fade) * self._run(f"edge{s - 1}", down(x), training)
        return self._run("core", h, training, num_splits), None

    def _backward(self, grad_output, cache, need):
        back, fade = self._back("core", grad_output, need, inner=True), grad_output.dtype.type(self.fade)
        aside = None
        for s in range(1, self.stage + 1):
            if s == self.stage and self.fade < 1:
                aside = self._back(f"edge{s - 1}", (1 - fade) * back, need)
                back = fade * back
            back = self._back(f"block{s}", back, need, inner=True)
        grad_input = self._back(f"edge{self.stage}", back, need)
        if not need.input:
            return None
        if aside is not None:
            grad_input = grad_input + up(aside) / 4
        return up(grad_input, LAST - self.stage) / 4 ** (LAST - self.stage)


def build_progan(sizes, rng, noise_rng, dtype):
    h, w, channels = quarter_size(sizes.sample_shape)

    make = Builder(rng, dtype, wrap=lambda layer: EqualizedRate(layer, rng, HE))
    last = Builder(rng, dtype, wrap=lambda layer: EqualizedRate(layer, rng, 1))  # no ReLU follows

    def features(inputs, outputs):
        return [make.conv(inputs, outputs), LeakyReLU(0.2), PixelNorm()]

    first, seen = WIDTHS[0], sizes.seen_shape[-1]
    core = [PixelNorm(), make.dense(sizes.inputs, h * w * first), Reshape((h, w, first)), LeakyReLU(0.2), PixelNorm()]
    generator = {"core": Sequential([*core, *features(first, first)]), "edge0": last.conv(first, channels, 1)}
    core = [MinibatchStd(), make.conv(first + 1, first), LeakyReLU(0.2), Flatten()]
    core = Sequential([*core, last.dense(h * w * first, sizes.outputs)])
    discriminator = {"core": core, "edge0": Sequential([make.conv(seen, first, 1), LeakyReLU(0.2)])}
    for s in range(1, LAST + 1):
        wide, narrow = WIDTHS[s - 1], WIDTHS[s]
        generator[f"block{s}"] = Sequential([UpsampleNearest2D(2), *features(wide, narrow), *features(narrow, narrow)])
        generator[f"edge{s}"] = last.conv(narrow, channels, 1)
        block = [make.conv(narrow, narrow), LeakyReLU(0.2), make.conv(narrow, wide), LeakyReLU(0.2), AveragePool2D(2)]
        discriminator[f"block{s}"] = Sequential(block)
        discriminator[f"edge{s}"] = Sequential([make.conv(seen, narrow, 1), LeakyReLU(0.2)])
    return GrowingGenerator(generator), GrowingDiscriminator(discriminator)


PROGAN = Preset(
    name="progan",
    summary="grows from 7x7 to 28x28 while it is trained; equalised learning rate, pixel norm, minibatch deviation",
    source="Karras et al. 2018",
    build=build_progan,
    defaults={"lr": 1e-3, "beta1": 0.0, "ema_decay": 0.999, "epochs": 3, "grow_steps": 550},
    minutes=8,
)
