"""Composite: several networks that work as one, for architectures that are no chain."""

import numpy as np

from minigan.layers.base import Layer
from minigan.layers.container import _Joined


class Composite(Layer):
    """A layer made of layers. children: dict of name -> layer; params, grads and buffers are those of all of them.

    A subclass writes `_forward(x, training, num_splits) -> (out, cache)`, in which each child is used once, and
    `_backward(grad_output, cache, need) -> grad_input`, the chain rule by hand, which sends gradients through a part
    with `_back`. num_splits: as in Sequential, how many batches that are normalised apart make up the batch.
    """

    def __init__(self, children):
        self.children = dict(children)
        self.remembered = None

    params = property(lambda self: _Joined(self.children, "params", type(self).__name__))
    grads = property(lambda self: _Joined(self.children, "grads", type(self).__name__))
    buffers = property(lambda self: _Joined(self.children, "buffers", type(self).__name__))

    @property
    def uses_batch_statistics(self):
        return any(part.uses_batch_statistics for part in self.children.values())

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={part!r}' for name, part in self.children.items())})"

    def forward(self, x, training=True, num_splits=1):
        return super().forward(x, training, num_splits=num_splits)

    def zero_grad(self):
        for part in self.children.values():
            part.zero_grad()

    def astype(self, dtype):
        for part in self.children.values():
            part.astype(dtype)
        self.remembered = None
        return self

    def _run(self, name, x, training, num_splits=1):
        """The part's forward pass on x, which need not be contiguous."""
        part = self.children[name]
        options = {"num_splits": num_splits} if part.uses_batch_statistics else {}
        return part.forward(np.ascontiguousarray(x), training, **options)

    def _back(self, name, grad, need, inner=False):
        """The part's backward pass; inner: its input's gradient is needed whatever this layer was asked for."""
        return self.children[name].backward(np.ascontiguousarray(grad), need.params, need.input or inner)
