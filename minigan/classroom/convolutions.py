"""The exercises on convolutions."""

import numpy as np

from minigan.classroom.exercise import Case, Exercise
from minigan.classroom.layers import ONE_SAMPLE
from minigan.layers.conv import (
    add_windows,
    conv2d_forward,
    conv2d_output_size,
    conv_transpose2d_forward,
    conv_transpose2d_output_size,
)

GEOMETRIES = [  # size, kernel, stride, padding: the general convolution and the special ones
    (((6, 5), (3, 2), (2, 1), (2, 1)), "", ""),
    (((5, 5), (3, 3), (2, 2), (1, 1)), "square kernels and pictures", "are height and width swapped?"),
    (((6, 5), (3, 2), (1, 1), (2, 1)), "stride 1", "is the stride forgotten somewhere?"),
    (((6, 5), (3, 2), (2, 1), (0, 0)), "padding 0", "is the padding forgotten somewhere?"),
    (((6, 5), (3, 2), (2, 1), (0, 1)), "padding in one direction only", "x[:, ph:-ph] is empty for ph = 0."),
    (((6, 5), (3, 2), (2, 1), (1, 0)), "padding in the other direction only", "x[:, pw:-pw] is empty for pw = 0."),
    (((6, 5), (3, 2), (2, 1), (2, 1)), "N = 1", ONE_SAMPLE),
    (((4, 4), (3, 3), (1, 1), (0, 0)), "stride 1, padding 0", "start with the indices of one window."),
    (((4, 4), (2, 2), (2, 2), (0, 0)), "windows side by side", "where they overlap, is = written for +=?"),
    (((5, 8), (2, 3), (1, 3), (1, 2)), "KW > KH and SW > SH", "are height and width swapped?"),
    (((6, 6), (3, 3), (2, 2), (0, 0)), "rows and columns that no window reaches", "OH and OW are rounded down."),
    (((7, 8), (2, 2), (3, 3), (0, 0)), "a stride above the kernel", "some pixels are in no window."),
    (((3, 4), (1, 1), (1, 1), (0, 0)), "kernels of 1 × 1", "no axis of length 1 goes away by itself (squeeze)."),
    (((6, 6), (5, 4), (1, 2), (1, 1)), "kernels of 5 × 4", "is a size of the kernel a constant?"),
    (((3, 3), (2, 2), (1, 1), (2, 2)), "a padding above K - 1", "such windows see zeros only, and count."),
    (((3, 2), (3, 2), (1, 1), (0, 0)), "an output of 1 × 1", "no axis of length 1 goes away by itself (squeeze)."),
    (((6, 5), (3, 2), (2, 1), (1, 1)), "C = F = 1", "no axis of length 1 goes away by itself (squeeze)."),
]
OF_BIAS = "the gradient of the bias is the sum."


def convolve(x, weight, bias, stride, padding):
    return conv2d_forward(x, weight, bias, stride, padding)[0]


def flipped(weight):
    return weight[::-1, ::-1]


class ConvExercise(Exercise):
    """arguments(draw, n, size, kernel, stride, padding, channels) -> those of a case."""

    def cases(self, draw):
        n, *channels = draw.sizes(3, high=5)  # small, since there are many of them
        found = []
        for geometry, what, hint in GEOMETRIES:
            batch, pair = 1 if what == "N = 1" else n, (1, 1) if what.startswith("C = F") else channels
            found.append(Case(self.arguments(draw, batch, *geometry, pair), what, hint))
        return found


class ConvForwardExercise(ConvExercise):
    name, notebook, paper = "conv_forward", 4, "LeCun et al. 1989; Dumoulin and Visin 2016, chapter 2"
    signatures = ("conv_forward(x, weight, bias, stride, padding) -> out",)

    def arguments(self, draw, n, size, kernel, stride, padding, channels):
        given = draw.normals(x=(n, *size, channels[0]), weight=(*kernel, *channels), bias=(channels[1],))
        return given | {"stride": stride, "padding": padding}

    def common_mistakes(self, a):
        x, weight, bias, *geometry = a.values()
        each_entry = bias * weight[..., 0].size
        return {
            "out": [
                (convolve(x, flipped(weight), bias, *geometry), "The kernel is rotated by 180°: no flip here."),
                (convolve(x, weight, 0, *geometry), "The bias is not added."),
                (convolve(x, weight, -bias, *geometry), "The bias has the wrong sign."),
                (convolve(x, weight, each_entry, *geometry), "The bias is added for every entry of the window: once."),
            ]
        }


class ConvBackwardExercise(ConvExercise):
    name, notebook, paper = "conv_backward", 4, "LeCun et al. 1989; Dumoulin and Visin 2016, chapter 4"
    signatures = ("conv_backward(grad_output, x, weight, stride, padding) -> grad_input, grad_weight, grad_bias",)

    def arguments(self, draw, n, size, kernel, stride, padding, channels):
        out = conv2d_output_size(size, kernel, stride, padding)
        given = draw.normals(grad_output=(n, *out, channels[1]), x=(n, *size, channels[0]), weight=(*kernel, *channels))
        return given | {"stride": stride, "padding": padding}

    def common_mistakes(self, a):
        g, x, weight, stride, padding = a.values()
        turned = add_windows(g, flipped(weight), x.shape[1:3], stride, padding)
        return {
            "grad_input": [(turned, "The kernel is rotated by 180° once too often, or not at all.")],
            "grad_bias": [
                (g.mean(axis=(0, 1, 2)), f"It is the mean over batch and pixels: {OF_BIAS}"),
                (g.sum(axis=(1, 2)).mean(axis=0), f"It is the mean over the batch: {OF_BIAS}"),
            ],
        }


class ConvTransposeExercise(ConvExercise):
    name, notebook = "conv_transpose", 5
    paper = "Dumoulin and Visin 2016, chapter 4; Radford, Metz and Chintala 2016"
    signatures = (
        "conv_transpose_forward(x, weight, bias, stride, padding) -> out, cache",
        "conv_transpose_backward(grad_output, cache) -> grad_input, grad_weight, grad_bias",
    )

    def arguments(self, draw, n, size, kernel, stride, padding, channels):
        size = tuple(max(s - 2, 2) for s in size)  # small: what comes out is large
        padding = tuple(
            min(p, (s - 1) * t + k - 1) // 2 if s <= 2 else p
            for s, t, k, p in zip(size, stride, kernel, padding, strict=True)
        )
        out = conv_transpose2d_output_size(size, kernel, stride, padding, (0, 0))
        given = draw.normals(
            x=(n, *size, channels[0]),
            weight=(*kernel, *channels[::-1]),
            bias=(channels[1],),
            grad_output=(n, *out, channels[1]),
        )
        return given | {"stride": stride, "padding": padding}

    def common_mistakes(self, a):
        x, weight, bias, g, stride, padding = a.values()

        def transposed(weight, bias):
            return conv_transpose2d_forward(x, weight, bias, stride, padding, (0, 0))[0]

        ones = np.ones((*weight.shape[:3], 1))
        reached = conv_transpose2d_forward(np.ones_like(x[..., :1]), ones, 0, stride, padding, (0, 0))[0]
        turned_back = convolve(g, flipped(weight), 0, stride, padding)
        return {
            "out": [
                (
                    transposed(flipped(weight), bias),
                    "The kernel is rotated by 180°: each input pixel adds its value times the kernel as it is.",
                ),
                (transposed(weight, 0), "The bias is not added."),
                (transposed(weight, 0) + bias * reached, "The bias is added once for each input pixel: once in all."),
            ],
            "grad_input": [(turned_back, "The kernel is rotated by 180°: it is the plain convolution of grad_output.")],
            "grad_bias": [(g.mean(axis=(0, 1, 2)), f"It is the mean over batch and pixels: {OF_BIAS}")],
        }


EXERCISES = [ConvForwardExercise(), ConvBackwardExercise(), ConvTransposeExercise()]
