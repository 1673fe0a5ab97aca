"""Layers that only rearrange: from images to vectors and back."""

import math

from minigan.errors import InputError
from minigan.layers.base import Layer, positive_int


class Reshape(Layer):
    """(N, …) -> (N, *shape), the same numbers in the same order."""

    def __init__(self, shape):
        super().__init__()
        axes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
        self.shape = tuple(positive_int("Reshape", "shape", axis) for axis in axes)

    def __repr__(self):
        return f"Reshape({self.shape})"

    def output_shape(self, input_shape):
        if math.prod(input_shape) != math.prod(self.shape):
            raise InputError(
                f"{self!r}: a sample of shape {tuple(input_shape)} has {math.prod(input_shape)} entries, expected "
                f"{math.prod(self.shape)}."
            )
        return self.shape

    def _check_input(self, x):
        self.output_shape(x.shape[1:])

    def _forward(self, x, training):
        return x.reshape(len(x), *self.shape), x.shape

    def _backward(self, grad_output, cache, need):
        return grad_output.reshape(cache)


class Flatten(Layer):
    """(N, …) -> (N, D), the same numbers in the same order."""

    def output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def _forward(self, x, training):
        return x.reshape(len(x), -1), x.shape

    def _backward(self, grad_output, cache, need):
        return grad_output.reshape(cache)
