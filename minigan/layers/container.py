"""Sequential: layers one after another, which is all the chain rule needs."""

import math

from minigan.base.errors import InputError
from minigan.layers.base import Layer


class _Joined(dict):
    """One dict over the dicts of several layers, keyed "0.weight"; setting an entry sets it in its layer.

    layers: a list, or a dict whose keys stand in the place of the numbers: "main.weight". owner: whose they are.
    """

    def __init__(self, layers, kind, owner="Sequential"):
        named = layers.items() if isinstance(layers, dict) else enumerate(layers)
        self._owner, self._dicts = owner, {str(name): getattr(layer, kind) for name, layer in named}
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


class Sequential(Layer):
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

    params = property(lambda self: _Joined(self.layers, "params"))
    grads = property(lambda self: _Joined(self.layers, "grads"))
    buffers = property(lambda self: _Joined(self.layers, "buffers"))

    @property
    def uses_batch_statistics(self):
        return any(getattr(layer, "uses_batch_statistics", False) for layer in self.layers)

    def __repr__(self):
        return f"Sequential([{', '.join(map(repr, self.layers))}])"

    def forward(self, x, training=True, num_splits=1):
        """f(x); see Layer.forward. num_splits: how many equal consecutive parts, normalised apart, the batch has."""
        for layer in self.layers:
            options = {"num_splits": num_splits} if getattr(layer, "uses_batch_statistics", False) else {}
            x = layer.forward(x, training, **options)
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

    def zero_grad(self):
        for layer in self.layers:
            layer.zero_grad()

    def astype(self, dtype):
        for layer in self.layers:
            layer.astype(dtype)
        return self

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
