"""The exercises on convolutions."""

import numpy as np

from minigan.classroom.exercise import Case, Exercise, normal
from minigan.classroom.layers import ONE_SAMPLE, Pair
from minigan.layers.conv import (
    add_windows,
    conv2d_forward,
    conv2d_output_size,
    conv_transpose2d_forward,
    conv_transpose2d_output_size,
)


def geometries(build):
    """The general convolution and the special ones: build(n, size, kernel, stride, padding, channels) -> arguments."""
    return [
        Case(build(3, (6, 5), (3, 2), (2, 1), (2, 1), (2, 3))),
        Case(build(3, (6, 5), (3, 2), (2, 1), (0, 1), (2, 2)), "another padding"),
        Case(
            build(2, (5, 5), (3, 3), (2, 2), (1, 1), (2, 3)),
            "square kernels and pictures",
            "are height and width swapped?",
        ),
        Case(build(2, (6, 5), (3, 2), (1, 1), (2, 1), (2, 3)), "stride 1", "is the stride forgotten somewhere?"),
        Case(build(2, (6, 5), (3, 2), (2, 1), (0, 0), (2, 3)), "padding 0", "is the padding forgotten somewhere?"),
        Case(build(1, (6, 5), (3, 2), (2, 1), (2, 1), (2, 3)), "N = 1", ONE_SAMPLE),
        Case(
            build(2, (4, 4), (3, 3), (1, 1), (0, 0), (2, 3)),
            "square kernels, stride 1 and padding 0",
            "start with the indices of one window.",
        ),
        Case(
            build(2, (4, 4), (2, 2), (2, 2), (0, 0), (2, 3)),
            "windows that do not overlap",
            "where they do, is = written for +=?",
        ),
    ]


def convolve(x, weight, bias, stride, padding):
    return conv2d_forward(x, weight, bias, stride, padding)[0]


def flipped(weight):
    return weight[::-1, ::-1]


class ConvForwardExercise(Exercise):
    name, functions, notebook = "conv_forward", ("conv_forward",), 4
    paper = "LeCun et al. 1989; Dumoulin and Visin 2016, chapter 2"

    def cases(self):
        def build(n, size, kernel, stride, padding, channels):
            return {
                "x": normal(1, n, *size, channels[0]),
                "weight": normal(2, *kernel, *channels),
                "bias": normal(3, channels[1]),
                "stride": stride,
                "padding": padding,
            }

        return geometries(build)

    def run(self, student, a):
        yield "out", student.call("conv_forward", ("out",), *a.values())

    def right(self, a):
        return {"out": convolve(*a.values())}

    def common_mistakes(self, a):
        x, weight, bias, stride, padding = a.values()
        return {
            "out": [
                (convolve(x, flipped(weight), bias, stride, padding), "The kernel is rotated by 180°: no flip here."),
                (convolve(x, weight, 0, stride, padding), "The bias is not added."),
                (convolve(x, weight, -bias, stride, padding), "The bias has the wrong sign."),
                (
                    convolve(x, weight, bias * weight[..., 0].size, stride, padding),
                    "The bias is added once for every entry of the window: add it once.",
                ),
            ]
        }


class ConvBackwardExercise(Exercise):
    name, functions, notebook = "conv_backward", ("conv_backward",), 4
    paper = "LeCun et al. 1989; Dumoulin and Visin 2016, chapter 4"

    def cases(self):
        def build(n, size, kernel, stride, padding, channels):
            out = conv2d_output_size(size, kernel, stride, padding)
            return {
                "grad_output": normal(1, n, *out, channels[1]),
                "x": normal(2, n, *size, channels[0]),
                "weight": normal(3, *kernel, *channels),
                "stride": stride,
                "padding": padding,
                "bias": np.zeros(channels[1]),
            }

        return geometries(build)

    def run(self, student, a):
        names = ("grad_input", "grad_weight", "grad_bias")
        given = [value for name, value in a.items() if name != "bias"]
        yield from zip(names, student.call("conv_backward", names, *given), strict=True)

    def gradients(self, a):
        def f(m):
            return convolve(m["x"], m["weight"], m["bias"], m["stride"], m["padding"]) * a["grad_output"]

        return {"grad_input": (f, "x"), "grad_weight": (f, "weight"), "grad_bias": (f, "bias")}

    def common_mistakes(self, a):
        g, x, weight, stride, padding, _ = a.values()
        turned = add_windows(g, flipped(weight), x.shape[1:3], stride, padding)
        return {
            "grad_input": [(turned, "The kernel is rotated by 180° once too often, or not at all.")],
            "grad_bias": [
                (g.mean(axis=(0, 1, 2)), "It is the mean over batch and pixels: the bias' gradient is the sum."),
                (g.sum(axis=(1, 2)).mean(axis=0), "It is the mean over the batch: the bias' gradient is the sum."),
            ],
        }


class ConvTransposeExercise(Pair):
    name, notebook, by = "conv_transpose", 5, ("x", "weight", "bias")
    functions = ("conv_transpose_forward", "conv_transpose_backward")
    paper = "Dumoulin and Visin 2016, chapter 4; Radford, Metz and Chintala 2016"

    def cases(self):
        def build(n, size, kernel, stride, padding, channels):
            size = tuple(s - 2 for s in size)  # small: what comes out is large
            out = conv_transpose2d_output_size(size, kernel, stride, padding, (0, 0))
            return {
                "x": normal(1, n, *size, channels[0]),
                "weight": normal(2, *kernel, *channels[::-1]),
                "bias": normal(3, channels[1]),
                "stride": stride,
                "padding": padding,
                "grad_output": normal(4, n, *out, channels[1]),
            }

        return geometries(build)

    def formula(self, a):
        return conv_transpose2d_forward(a["x"], a["weight"], a["bias"], a["stride"], a["padding"], (0, 0))[0]

    def common_mistakes(self, a):
        _, weight, _, stride, padding, g = a.values()
        turned = self.formula({**a, "weight": flipped(weight)})
        turned_back = convolve(g, flipped(weight), 0, stride, padding)
        return {
            "out": [
                (turned, "The kernel is rotated by 180°: each input pixel adds its value times the kernel as it is."),
                (self.formula({**a, "bias": 0}), "The bias is not added."),
            ],
            "grad_input": [(turned_back, "The kernel is rotated by 180°: it is the plain convolution of grad_output.")],
            "grad_bias": [
                (
                    a["grad_output"].mean(axis=(0, 1, 2)),
                    "It is the mean over batch and pixels: the bias' gradient is the sum.",
                )
            ],
        }


EXERCISES = [ConvForwardExercise(), ConvBackwardExercise(), ConvTransposeExercise()]
