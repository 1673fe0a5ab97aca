"""Layers with a branch: what comes in also goes round it, so that deep networks still pass their gradients back."""

import numpy as np

from minigan.base.errors import InputError
from minigan.kernels.parallel import memory
from minigan.layers.base import Layer
from minigan.layers.container import Composite


class _Branches(Composite):
    """What the two share: each branch is a layer."""

    def __init__(self, **branches):
        for name, branch in branches.items():
            if not isinstance(branch, Layer):
                raise InputError(f"{type(self).__name__}: {name} is {branch!r}, expected a layer, e.g. a Sequential.")
        super().__init__(branches)


class Residual(_Branches):
    """y = main(x) + shortcut(x), where the shortcut is x itself unless a layer is given (He et al. 2016).

    ∂L/∂x = main's gradient + the shortcut's, both of the same g = ∂L/∂y: through an identity g arrives unchanged,
    however many blocks follow each other.
    x (N, …) -> out (N, …), of the shape that both branches give; InputError where they differ.
    params, grads, buffers: keyed "main.…" and "shortcut.…"; entries may be read and replaced. num_splits: see
    Sequential.
    """

    def __init__(self, main, shortcut=None):
        super().__init__(main=main, **({} if shortcut is None else {"shortcut": shortcut}))

    def output_shape(self, input_shape):
        main, shortcut = self.children["main"].output_shape(input_shape), self.children.get("shortcut")
        return self._agreed(main, shortcut.output_shape(input_shape) if shortcut else input_shape)

    def _agreed(self, main, shortcut):
        if tuple(main) != tuple(shortcut):
            raise InputError(
                f"{self!r}: main gives {tuple(main)} and the shortcut {tuple(shortcut)}, expected the same shape; "
                "give a shortcut that fits, e.g. a 1x1 convolution."
            )
        return tuple(main)

    def _forward(self, x, training, num_splits):
        main = self._run("main", x, training, num_splits)
        shortcut = self._run("shortcut", x, training, num_splits) if "shortcut" in self.children else x
        # not in place: a branch may still need what it has put out, and x is the caller's
        return np.add(main, shortcut, out=memory.empty(self._agreed(main.shape, shortcut.shape), x.dtype)), None

    def _backward(self, grad_output, cache, need):
        main = self._back("main", grad_output, need)
        shortcut = self._back("shortcut", grad_output, need) if "shortcut" in self.children else grad_output
        return np.add(main, shortcut, out=memory.empty(main.shape, main.dtype)) if need.input else None


class Concatenation(_Branches):
    """y = [x, branch(x)] along the last axis, the channels (DenseNet, Huang et al. 2017).

    With g = ∂L/∂y split the same way, g = [g₁, g₂]: ∂L/∂x = g₁ + the branch's gradient of g₂.
    x (N, …, C) -> out (N, …, C + K) for a branch that gives (N, …, K); InputError where the other axes differ.
    params, grads, buffers: keyed "branch.…"; entries may be read and replaced. num_splits: see Sequential.
    """

    def __init__(self, branch):
        super().__init__(branch=branch)

    def output_shape(self, input_shape):
        return self._joined(tuple(input_shape), tuple(self.children["branch"].output_shape(input_shape)))

    def _joined(self, own, branch):
        if own[:-1] != branch[:-1]:
            raise InputError(
                f"{self!r}: x is {own} and the branch gives {branch}, expected the same but for the last axis."
            )
        return (*own[:-1], own[-1] + branch[-1])

    def _forward(self, x, training, num_splits):
        more = self._run("branch", x, training, num_splits)
        out = memory.empty(self._joined(x.shape, more.shape), x.dtype)
        return np.concatenate([x, more], axis=-1, out=out), x.shape

    def _backward(self, grad_output, shape, need):
        own = shape[-1]
        through = self._back("branch", grad_output[..., own:], need)
        if not need.input:
            return None
        return np.add(grad_output[..., :own], through, out=memory.empty(shape, grad_output.dtype))
