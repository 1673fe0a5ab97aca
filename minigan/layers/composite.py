"""Composite: several networks that work as one, for architectures that are no chain."""

import numpy as np

from minigan.layers.base import Layer
from minigan.layers.container import _Joined


class Composite(Layer):
    """A layer made of layers. parts: dict of name -> layer; params, grads and buffers are those of all of them.

    A subclass writes `_forward(x, training, parts) -> (out, cache)`, in which each part is used once, and
    `_backward(grad_output, cache, need) -> grad_input`, the chain rule by hand, which sends gradients through a part
    with `_back`. parts: as in Sequential, how many batches that are normalised apart make up the batch.
    """

    def __init__(self, parts):
        self.parts = dict(parts)
        self.remembered = None

    params = property(lambda self: _Joined(self.parts, "params", type(self).__name__))
    grads = property(lambda self: _Joined(self.parts, "grads", type(self).__name__))
    buffers = property(lambda self: _Joined(self.parts, "buffers", type(self).__name__))

    @property
    def mixes_samples(self):
        return any(part.mixes_samples for part in self.parts.values())

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={part!r}' for name, part in self.parts.items())})"

    def forward(self, x, training=True, parts=1):
        return super().forward(x, training, parts=parts)

    def zero_grad(self):
        for part in self.parts.values():
            part.zero_grad()

    def astype(self, dtype):
        for part in self.parts.values():
            part.astype(dtype)
        self.remembered = None
        return self

    def _run(self, name, x, training, parts=1):
        """The part's forward pass on x, which need not be contiguous."""
        part = self.parts[name]
        options = {"parts": parts} if part.mixes_samples else {}
        return part.forward(np.ascontiguousarray(x), training, **options)

    def _back(self, name, grad, need, inner=False):
        """The part's backward pass; inner: its input's gradient is needed whatever this layer was asked for."""
        return self.parts[name].backward(np.ascontiguousarray(grad), need.params, need.input or inner)
