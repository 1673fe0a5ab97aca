"""Layers that only rearrange: from images to vectors and back."""

import math

from minigan.base.errors import InputError
from minigan.layers.base import Layer, positive_int
from minigan.layers.formula import Formula


def reshape_forward(x, *shape):
    """(N, …) -> (N, *shape), the same numbers in the same order."""
    out = x.reshape(len(x), *shape)
    return out, (x.shape, out.shape)


def reshape_backward(grad_output, cache):
    """∂L/∂x: the same numbers again, in the shape of x."""
    return grad_output.reshape(cache[0])


def reshape_jvp(t, cache):
    """J t: t in the shape of y."""
    return t.reshape(cache[1])


reshape = Formula(reshape_forward, reshape_backward, reshape_jvp)


class Reshape(Layer):
    """(N, …) -> (N, *shape), the same numbers in the same order."""

    formula = reshape
    shown = ("shape",)

    def __init__(self, shape):
        super().__init__()
        axes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
        self.shape = tuple(positive_int("Reshape", "shape", axis) for axis in axes)

    def output_shape(self, input_shape):
        if math.prod(input_shape) != math.prod(self.shape):
            raise InputError(
                f"{self!r}: a sample of shape {tuple(input_shape)} has {math.prod(input_shape)} entries, expected "
                f"{math.prod(self.shape)}."
            )
        return self.shape

    def arguments(self):
        return self.shape


class Flatten(Layer):
    """(N, …) -> (N, D), the same numbers in the same order."""

    formula = reshape

    def output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def arguments(self):
        return (-1,)
