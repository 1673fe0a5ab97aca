"""Layers made of layers: one after another, which is all the chain rule needs, or as an architecture wants it."""

import math

import numpy as np

from minigan.base.errors import InputError
from minigan.layers.base import Layer


class _Joined(dict):
    """One dict over those of several layers, keyed "0.weight" or "main.weight"; setting an entry sets the layer's."""

    def __init__(self, owner, kind):
        self._owner = type(owner).__name__
        self._dicts = {str(name): getattr(layer, kind) for name, layer in owner.children.items()}
        super().__init__({f"{name}.{key}": array for name, own in self._dicts.items() for key, array in own.items()})

    def __setitem__(self, key, array):
        name, _, rest = str(key).partition(".")
        if rest not in self._dicts.get(name, {}):
            raise InputError(f"{self._owner} has no entry {key!r}; its entries are {', '.join(self)}.")
        self._dicts[name][rest] = array
        super().__setitem__(key, array)

    def update(self, *args, **kwargs):
        for key, array in dict(*args, **kwargs).items():
            self[key] = array


class _Container(Layer):
    """What the two share. children: dict of name -> layer. params, grads, buffers: those of all of them, keyed
    "<name>.<entry>"; entries may be read and replaced."""

    remembered = None
    params = property(lambda self: _Joined(self, "params"))
    grads = property(lambda self: _Joined(self, "grads"))
    buffers = property(lambda self: _Joined(self, "buffers"))

    @property
    def uses_batch_statistics(self):
        return any(getattr(child, "uses_batch_statistics", False) for child in self.children.values())

    def zero_grad(self):
        for child in self.children.values():
            child.zero_grad()

    def astype(self, dtype):
        for child in self.children.values():
            child.astype(dtype)
        self.remembered = None
        return self

    def _pass_on(self, child, x, training, num_splits):
        """The child's forward pass, which is told of `num_splits` if its samples see each other."""
        options = {"num_splits": num_splits} if getattr(child, "uses_batch_statistics", False) else {}
        return child.forward(x, training, **options)


class Sequential(_Container):
    """f = f_k ∘ … ∘ f_1. Forward runs the layers in order; backward, by the chain rule, in reverse.

    layers: a list of layers. params, grads, buffers: those of all layers, keyed "<index>.<name>"; entries may be read
    and replaced. forward takes `num_splits` and hands it to the layers whose samples see each other (BatchNorm).
    """

    def __init__(self, layers):
        self.layers = list(layers)
        for layer in self.layers:
            if not hasattr(layer, "forward") or not hasattr(layer, "backward"):
                raise InputError(f"Sequential: got {layer!r}, expected layers, each with a forward and a backward.")
        if not self.layers:
            raise InputError("Sequential: got no layers, expected at least one.")

    children = property(lambda self: dict(enumerate(self.layers)))

    def __repr__(self):
        return f"Sequential([{', '.join(map(repr, self.layers))}])"

    def forward(self, x, training=True, num_splits=1):
        """f(x); see Layer.forward. num_splits: how many equal consecutive parts, normalised apart, the batch has."""
        for layer in self.layers:
            x = self._pass_on(layer, x, training, num_splits)
        return x

    def backward(self, grad_output, need_param_grads=True, need_input_grad=True):
        """∂L/∂x; see Layer.backward. Without need_input_grad it ends at the first layer with parameters."""
        first = 0 if need_input_grad else next((i for i, layer in enumerate(self.layers) if layer.params), 0)
        for layer in reversed(self.layers[first:]):
            options = {"need_input_grad": need_input_grad or layer is not self.layers[first]}
            if type(layer).backward not in (Layer.backward, Sequential.backward):  # a class's own may not take it
                options = {}
            grad_output = layer.backward(grad_output, need_param_grads, **options)
        return grad_output

    def output_shape(self, input_shape):
        for layer in self.layers:
            input_shape = layer.output_shape(input_shape)
        return input_shape

    def summary(self, input_shape):
        """A table as text: each layer, the shape of one sample's output, and its number of parameters.

        input_shape: the shape of one sample, e.g. (28, 28, 1).
        """
        rows, shape, total = [("input", tuple(input_shape), 0)], input_shape, 0
        for layer in self.layers:
            shape = layer.output_shape(shape)
            count = sum(param.size for param in layer.params.values())
            rows.append((repr(layer), tuple(shape), count))
            total += count
        width = max(len(name) for name, _, _ in rows)
        lines = [f"{'layer':{width}}  {'output shape':>14}  {'parameters':>10}"]
        for name, shape, count in rows:
            lines.append(f"{name:{width}}  {' x '.join(map(str, shape)):>14}  {count:>10,}")
        bytes_each = max((param.itemsize for param in self.params.values()), default=4)
        lines.append(f"{total:,} parameters, {math.ceil(total * bytes_each / 1024):,} KiB")
        return "\n".join(lines)


class Composite(_Container):
    """Several networks that work as one, for architectures that are no chain. children: a dict of name -> layer.

    A subclass writes `_forward(x, training, num_splits) -> (out, cache)`, in which each child is used once, and
    `_backward(grad_output, cache, need) -> grad_input`, the chain rule by hand, which sends gradients through a child
    with `_back`. num_splits: as in Sequential, how many batches that are normalised apart make up the batch.
    """

    def __init__(self, children):
        self.children = dict(children)

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={child!r}' for name, child in self.children.items())})"

    def forward(self, x, training=True, num_splits=1):
        return super().forward(x, training, num_splits=num_splits)

    def _run(self, name, x, training, num_splits=1):
        """The child's forward pass on x, which need not be contiguous."""
        return self._pass_on(self.children[name], np.ascontiguousarray(x), training, num_splits)

    def _back(self, name, grad, need, inner=False):
        """The child's backward pass; inner: its input's gradient is needed whatever this layer was asked for."""
        return self.children[name].backward(np.ascontiguousarray(grad), need.params, need.input or inner)
