"""Optimizers: how parameters θ move along their gradients g. Each step changes `network.params` in place."""

import math

import numpy as np

from minigan.errors import InputError
from minigan.kernels import updates


class Optimizer:
    """What all optimizers share: the network, the learning rate, and memory per parameter.

    network: anything with `params` and `grads`. lr: learning rate. memory: {slot: {parameter name: array like it}}.
    steps: how many steps have been made. Raises InputError for hyper-parameters out of range and for parameters that
    are not C-contiguous.
    """

    slots: tuple[str, ...] = ()

    def __init__(self, network, lr):
        self.network, self.lr, self.steps = network, _positive(type(self).__name__, "lr", lr), 0
        self.memory = {
            slot: {name: np.zeros_like(param) for name, param in network.params.items()} for slot in self.slots
        }
        self._flat = {}  # name -> flat views of a parameter and of its memories, which each step needs

    def step(self):
        """Move every parameter once."""
        self.steps += 1
        grads, updated = self.network.grads, []
        for name, param in self.network.params.items():
            flat = self._flat.get(name)
            if flat is None or flat[0].base is not param:  # a new parameter, or a deep copy, whose views are none
                flat = self._flat[name] = self._flatten(name, param)
            updated.append((flat[0], grads[name].reshape(-1), *flat[1:]))
        updates.all_in_one(*self._update(), updated)

    def _flatten(self, name, param):
        if not param.flags.c_contiguous:
            raise InputError(f"{type(self).__name__}.step: params[{name!r}] is not contiguous; use np.array(…).")
        return [array.reshape(-1) for array in (param, *(self._slot(slot, name, param) for slot in self.slots))]

    def _slot(self, slot, name, param):
        if self.memory[slot][name].dtype != param.dtype:  # the parameter was replaced by one of another dtype
            self.memory[slot][name] = self.memory[slot][name].astype(param.dtype)
        return self.memory[slot][name]


class SGD(Optimizer):
    """θ ← θ - lr g."""

    def __init__(self, network, lr=0.01):
        super().__init__(network, lr)

    def _update(self):
        return updates.sgd, (self.lr,)


class Momentum(Optimizer):
    """v ← μ v + g, θ ← θ - lr v, with μ = momentum (Polyak 1964)."""

    slots = ("velocity",)

    def __init__(self, network, lr=0.01, momentum=0.9):
        super().__init__(network, lr)
        self.momentum = _fraction("Momentum", "momentum", momentum)

    def _update(self):
        return updates.momentum, (self.lr, self.momentum)


class RMSprop(Optimizer):
    """v ← ρ v + (1 - ρ) g², θ ← θ - lr g / (√v + eps), with ρ = rho (Tieleman and Hinton 2012)."""

    slots = ("square",)

    def __init__(self, network, lr=1e-3, rho=0.99, eps=1e-8):
        super().__init__(network, lr)
        self.rho, self.eps = _fraction("RMSprop", "rho", rho), _positive("RMSprop", "eps", eps)

    def _update(self):
        return updates.rmsprop, (self.lr, self.rho, 1 - self.rho, self.eps)


class Adagrad(Optimizer):
    """s ← s + g², θ ← θ - lr g / (√s + eps) (Duchi et al. 2011)."""

    slots = ("square",)

    def __init__(self, network, lr=0.01, eps=1e-10):
        super().__init__(network, lr)
        self.eps = _positive("Adagrad", "eps", eps)

    def _update(self):
        return updates.adagrad, (self.lr, self.eps)


class Adam(Optimizer):
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², θ ← θ - lr m̂ / (√v̂ + eps),
    with m̂ = m / (1 - β₁ᵗ) and v̂ = v / (1 - β₂ᵗ) at step t = 1, 2, … (Kingma and Ba 2015, algorithm 1)."""

    slots = ("mean", "square")

    def __init__(self, network, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        super().__init__(network, lr)
        self.beta1, self.beta2 = _fraction("Adam", "beta1", beta1), _fraction("Adam", "beta2", beta2)
        self.eps = _positive("Adam", "eps", eps)

    def _update(self):
        rate = self.lr / (1 - self.beta1**self.steps)
        root_factor = 1 / math.sqrt(1 - self.beta2**self.steps)  # a division less per parameter
        return updates.adam, (
            self.beta1,
            1 - self.beta1,
            self.beta2,
            1 - self.beta2,
            rate,
            root_factor,
            self.eps,
        )


OPTIMIZERS = {"sgd": SGD, "momentum": Momentum, "rmsprop": RMSprop, "adagrad": Adagrad, "adam": Adam}


def grad_norm(network):
    """√(Σ g²) over all gradients of the network, summed in float64."""
    return math.sqrt(sum(float(np.einsum("i,i->", *[g.reshape(-1)] * 2, dtype=np.float64)) for g in _grads(network)))


def clip_grad_norm(network, max_norm):
    """Scale all gradients by min(1, max_norm / norm) in place; returns the norm before (Pascanu et al. 2013).

    A norm that is not finite is returned and the gradients are left as they are.
    """
    _positive("clip_grad_norm", "max_norm", max_norm)
    norm = grad_norm(network)
    if math.isfinite(norm) and norm > max_norm:
        for grad in _grads(network):
            grad *= grad.dtype.type(max_norm / norm)
    return norm


def _grads(network):
    return network.grads.values()


def _positive(owner, name, value):
    if not (isinstance(value, int | float | np.number) and value > 0 and math.isfinite(value)):
        raise InputError(f"{owner}: {name} is {value!r}, expected a positive number.")
    return float(value)


def _fraction(owner, name, value):
    if not (isinstance(value, int | float | np.number) and 0 <= value < 1):
        raise InputError(f"{owner}: {name} is {value!r}, expected a number in [0, 1).")
    return float(value)
