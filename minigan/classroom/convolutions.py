"""The exercises on convolutions."""

import numpy as np

from minigan.classroom.exercise import Case, Exercise, normals
from minigan.classroom.layers import ONE_SAMPLE
from minigan.layers.conv import (
    add_windows,
    conv2d_forward,
    conv2d_output_size,
    conv_transpose2d_forward,
    conv_transpose2d_output_size,
)

GEOMETRIES = [  # n, size, kernel, stride, padding, channels: the general convolution and the special ones
    ((3, (6, 5), (3, 2), (2, 1), (2, 1), (2, 3)), "", ""),
    ((3, (6, 5), (3, 2), (2, 1), (0, 1), (2, 2)), "another padding", ""),
    ((2, (5, 5), (3, 3), (2, 2), (1, 1), (2, 3)), "square kernels and pictures", "are height and width swapped?"),
    ((2, (6, 5), (3, 2), (1, 1), (2, 1), (2, 3)), "stride 1", "is the stride forgotten somewhere?"),
    ((2, (6, 5), (3, 2), (2, 1), (0, 0), (2, 3)), "padding 0", "is the padding forgotten somewhere?"),
    ((1, (6, 5), (3, 2), (2, 1), (2, 1), (2, 3)), "N = 1", ONE_SAMPLE),
    ((2, (4, 4), (3, 3), (1, 1), (0, 0), (2, 3)), "stride 1, padding 0", "start with the indices of one window."),
    ((2, (4, 4), (2, 2), (2, 2), (0, 0), (2, 3)), "windows side by side", "where they overlap, is = written for +=?"),
]
OF_BIAS = "the gradient of the bias is the sum."


def convolve(x, weight, bias, stride, padding):
    return conv2d_forward(x, weight, bias, stride, padding)[0]


def flipped(weight):
    return weight[::-1, ::-1]


class ConvExercise(Exercise):
    """arguments(n, size, kernel, stride, padding, channels) -> those of a case."""

    def cases(self):
        return [Case(self.arguments(*geometry), what, hint) for geometry, what, hint in GEOMETRIES]

    def formula(self, a):
        return convolve(*(a[name] for name in ("x", "weight", "bias", "stride", "padding")))


class ConvForwardExercise(ConvExercise):
    name, notebook, paper = "conv_forward", 4, "LeCun et al. 1989; Dumoulin and Visin 2016, chapter 2"
    signatures = ("conv_forward(x, weight, bias, stride, padding) -> out",)

    def arguments(self, n, size, kernel, stride, padding, channels):
        given = normals(x=(n, *size, channels[0]), weight=(*kernel, *channels), bias=(channels[1],))
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

    def arguments(self, n, size, kernel, stride, padding, channels):
        out = conv2d_output_size(size, kernel, stride, padding)
        given = normals(grad_output=(n, *out, channels[1]), x=(n, *size, channels[0]), weight=(*kernel, *channels))
        return given | {"stride": stride, "padding": padding, "bias": np.zeros(channels[1])}

    def common_mistakes(self, a):
        g, x, weight, stride, padding, _ = a.values()
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

    def arguments(self, n, size, kernel, stride, padding, channels):
        size = tuple(s - 2 for s in size)  # small: what comes out is large
        out = conv_transpose2d_output_size(size, kernel, stride, padding, (0, 0))
        given = normals(
            x=(n, *size, channels[0]),
            weight=(*kernel, *channels[::-1]),
            bias=(channels[1],),
            grad_output=(n, *out, channels[1]),
        )
        return given | {"stride": stride, "padding": padding}

    def formula(self, a):
        return conv_transpose2d_forward(a["x"], a["weight"], a["bias"], a["stride"], a["padding"], (0, 0))[0]

    def common_mistakes(self, a):
        _, weight, _, g, stride, padding = a.values()
        turned = self.formula({**a, "weight": flipped(weight)})
        turned_back = convolve(g, flipped(weight), 0, stride, padding)
        return {
            "out": [
                (turned, "The kernel is rotated by 180°: each input pixel adds its value times the kernel as it is."),
                (self.formula({**a, "bias": 0}), "The bias is not added."),
            ],
            "grad_input": [(turned_back, "The kernel is rotated by 180°: it is the plain convolution of grad_output.")],
            "grad_bias": [(g.mean(axis=(0, 1, 2)), f"It is the mean over batch and pixels: {OF_BIAS}")],
        }


EXERCISES = [ConvForwardExercise(), ConvBackwardExercise(), ConvTransposeExercise()]
