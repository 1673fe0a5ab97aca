"""What every layer shares: its three dicts, the contract of forward and backward, and the checks of what comes in."""

from typing import NamedTuple

import numpy as np

from minigan import init
from minigan.base.errors import InputError, RunError
from minigan.base.ranges import describe, number
from minigan.kernels.parallel import memory
from minigan.layers.formula import GradRequest

SHAPES = {2: "(N, {})", 4: "(N, H, W, {})"}  # of x, by its number of axes


class Remembered(NamedTuple):
    """What a forward pass leaves for the backward pass: the output's shape and dtype, and the formula's cache."""

    shape: tuple
    dtype: np.dtype
    cache: object


def recall(layer, grad_output):
    """The cache that the layer's last forward left, which is used up. RunError where there is none, InputError for a
    grad_output that is not like the output."""
    if layer.remembered is None:
        raise RunError(
            f"{layer!r}.backward: there is no forward to go with it; each forward serves one backward, so call "
            "forward again first."
        )
    shape, dtype, cache = layer.remembered
    if not isinstance(grad_output, np.ndarray) or grad_output.shape != shape or grad_output.dtype != dtype:
        raise InputError(
            f"{layer!r}.backward: grad_output is {describe(grad_output)}, expected {dtype} {shape}, the shape of the "
            "output."
        )
    layer.remembered = None
    return cache


class Layer:
    """A differentiable function with parameters: y = f(x; θ).

    params: dict of arrays, what an optimizer moves; a dict entry may be replaced, e.g. by a float64 array.
    grads: dict of arrays of the same keys and shapes; `backward` adds to them, `zero_grad` clears them.
    buffers: dict of arrays that are saved but not optimised, e.g. running statistics.
    remembered: what the last forward left for the backward pass that uses it up, or None.

    A layer computes in the dtype of its parameters (without any, in that of its input) and never changes its inputs.
    A subclass names its `formula`, which takes x, the parameters and the attributes named in `settings`, and whose
    backward gives the gradient of x and then those of the parameters, in the order of `params`. One that is no single
    formula writes `_forward(x, training) -> (out, cache)` and `_backward(grad_output, cache, need) -> grad_input`
    instead. `input_axes` and `input_features` say how x must be shaped, and `output_shape` refuses other samples.
    """

    uses_batch_statistics = False  # True: a sample's output depends on the others, and forward takes `num_splits`
    formula = None  # the Formula that computes the layer
    settings = ()  # the attributes that it takes after the parameters
    shown = ()  # the attributes that stand in its repr, as "name=" with their name
    input_axes = ()  # how many axes x may have, of SHAPES; empty where it may have any
    input_features = None  # how long the last of them has to be; None where it may be anything

    def __init__(self):
        self.params: dict[str, np.ndarray] = {}
        self.grads: dict[str, np.ndarray] = {}
        self.buffers: dict[str, np.ndarray] = {}
        self.remembered = None

    def __repr__(self):
        shown = ((name if "=" in name else "", getattr(self, name.rstrip("="))) for name in self.shown)
        return f"{type(self).__name__}({', '.join(f'{name}{value}' for name, value in shown)})"

    def forward(self, x, training=True, **options):
        """f(x; θ), and remember what backward needs.

        x: floating-point array of the layer's dtype. training: False for the layers that behave otherwise when used
        than when trained. options: what the layer's class says it takes besides. Raises InputError for a wrong type,
        dtype or shape.
        """
        self._check_array("forward", "x", x)
        self._check_input(x)
        out, cache = self._forward(x, training, **options)
        self.remembered = Remembered(out.shape, out.dtype, cache)
        return out

    def backward(self, grad_output, need_param_grads=True, need_input_grad=True):
        """∂L/∂x from grad_output = ∂L/∂y; adds ∂L/∂θ to `grads` unless need_param_grads is False.

        need_input_grad=False saves the work of ∂L/∂x, and returns None.
        Uses up what the last forward remembered. Raises RunError without a forward to go with, InputError for a
        grad_output whose shape or dtype is not that of the output.
        """
        cache = recall(self, grad_output)
        grad_input = self._backward(grad_output, cache, GradRequest(need_param_grads, need_input_grad))
        return grad_input if need_input_grad else None

    def check_splits(self, x, num_splits):
        """How many samples are in each of `num_splits` equal consecutive parts; InputError if they cannot be equal.

        For layers whose samples see each other: real and fake pictures go through D in one batch of two parts, and a
        part must not see the other.
        """
        if len(x) % positive_int(repr(self), "num_splits", num_splits):
            raise InputError(f"{self!r}.forward: a batch of {len(x)} cannot be split into {num_splits} equal parts.")
        return len(x) // num_splits

    def zero_grad(self):
        """Set every gradient to zero."""
        for name, param in self.params.items():
            if self.grads[name].dtype == param.dtype:
                self.grads[name].fill(0)
            else:  # the parameter was replaced by one of another dtype
                self.grads[name] = np.zeros_like(param)

    def astype(self, dtype):
        """Convert parameters, gradients and buffers in place; returns the layer."""
        for arrays in (self.params, self.grads, self.buffers):
            for name in arrays:
                arrays[name] = arrays[name].astype(dtype)
        self.remembered = None
        return self

    def output_shape(self, input_shape):
        """The shape of one sample's output, given that of one sample's input (no batch axis); InputError for none."""
        return tuple(input_shape)

    def arguments(self):
        """What the formula takes besides x."""
        return (*self.params.values(), *(getattr(self, name) for name in self.settings))

    def _forward(self, x, training):
        return self.formula.forward(x, *self.arguments())

    def _backward(self, grad_output, cache, need):
        return self._share_out(self.formula.backward(grad_output, cache, need), need.params)

    def jvp(self, t, cache):
        """J t, how the output moves when x moves along t: see Formula. cache: what a forward left."""
        return self.formula.jvp(t, cache)

    def jvp_backward(self, s, t, cache):
        """Add ∂⟨s, J t⟩/∂θ to grads -> ∂⟨s, J t⟩/∂x, None where that is 0: see Formula."""
        return self._share_out(self.formula.jvp_backward(s, t, cache))

    def _share_out(self, found, to_params=True):
        """Of what a formula gives, add the parameters' gradients to theirs, if wanted, and return that of x."""
        grad_input, *grads = found if isinstance(found, tuple) else (found,)
        for name, grad in zip(self.params, grads if to_params else (), strict=False):  # a bias that is none has one too
            if grad is not None:
                self._accumulate(name, grad)
        return grad_input

    def _add_param(self, name, array):
        self.params[name] = array
        self.grads[name] = np.zeros_like(array)

    def _add_weight(self, name, shape, rng, dtype, draw=init.glorot_uniform):
        """Add a parameter that is drawn from the Generator `rng`."""
        init.check_rng(type(self).__name__, rng)
        self._add_param(name, draw(shape, rng, dtype))

    def _accumulate(self, name, grad):
        if self.grads[name].dtype != grad.dtype:
            self.grads[name] = self.grads[name].astype(grad.dtype)
        self.grads[name] += grad

    def _check_input(self, x):
        if self.input_axes and (x.ndim not in self.input_axes or self.input_features not in (None, x.shape[-1])):
            shapes = " or ".join(SHAPES[count].format(self.input_features or "C") for count in self.input_axes)
            raise InputError(f"{self!r}.forward: x has shape {x.shape}, expected {shapes}.")
        if self.formula is not None:
            self.output_shape(x.shape[1:])  # refuses what the layer can make nothing of

    def _check_array(self, method, argument, x):
        if not isinstance(x, np.ndarray) or x.dtype not in (np.float32, np.float64):
            raise InputError(
                f"{self!r}.{method}: {argument} is {describe(x)}, expected a float32 or float64 array; convert it "
                f"with np.asarray({argument}, np.float32)."
            )
        for name, param in self.params.items():
            if param.dtype != x.dtype:
                raise InputError(
                    f"{self!r}.{method}: {argument} is {x.dtype} but params[{name!r}] is {param.dtype}; convert one of "
                    f"the two, e.g. {argument}.astype(np.{param.dtype})."
                )
        if 0 in x.shape:
            raise InputError(f"{self!r}.{method}: {argument} is empty, its shape is {x.shape}.")


def joined(arrays):
    """The parts of a batch as one batch again."""
    if len(arrays) == 1:
        return arrays[0]
    shape = (sum(map(len, arrays)), *arrays[0].shape[1:])
    return np.concatenate(arrays, out=memory.empty(shape, arrays[0].dtype))


def positive_int(owner, name, value):
    """`value` if it is a whole number of at least 1, else an InputError that names owner and argument."""
    return number(f"{owner}: {name}", value, int, least=1)


def pair(owner, name, value, smallest):
    """(height, width) from one whole number or two, each at least `smallest`."""
    values = value if isinstance(value, tuple | list) else (value, value)
    try:
        height, width = (number(name, each, int, least=smallest) for each in values)
    except ValueError:  # as an InputError is one too
        raise InputError(
            f"{owner}: {name} is {value!r}, expected a whole number of at least {smallest}, or a pair (height, width)."
        ) from None
    return height, width
