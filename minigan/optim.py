"""Optimizers: how parameters θ move along their gradients g, rules for arrays first and then the classes that keep what
a rule remembers. t = 1, 2, … is the step, lr the learning rate."""

import math

import numpy as np

from minigan.base.errors import InputError
from minigan.base.mode import is_plain
from minigan.kernels import updates


def sgd(param, grad, t, lr):
    """θ ← θ - lr g. -> θ."""
    return (param - lr * grad,)


def momentum(param, grad, velocity, t, lr, mu):
    """v ← μ v + g, θ ← θ - lr v (Polyak 1964). -> θ, v."""
    velocity = mu * velocity + grad
    return param - lr * velocity, velocity


def rmsprop(param, grad, square, t, lr, rho, eps):
    """v ← ρ v + (1 - ρ) g², θ ← θ - lr g / (√v + eps) (Tieleman and Hinton 2012). -> θ, v."""
    square = rho * square + (1 - rho) * grad**2
    return param - lr * grad / (np.sqrt(square) + eps), square


def adagrad(param, grad, square, t, lr, eps):
    """s ← s + g², θ ← θ - lr g / (√s + eps) (Duchi et al. 2011). -> θ, s."""
    square = square + grad**2
    return param - lr * grad / (np.sqrt(square) + eps), square


def adam(param, grad, mean, square, t, lr, beta1, beta2, eps):
    """m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g², θ ← θ - lr m̂ / (√v̂ + eps), with m̂ = m / (1 - β₁ᵗ) and
    v̂ = v / (1 - β₂ᵗ) (Kingma and Ba 2015, algorithm 1). -> θ, m, v."""
    mean = beta1 * mean + (1 - beta1) * grad
    square = beta2 * square + (1 - beta2) * grad**2
    mean_hat, square_hat = mean / (1 - beta1**t), square / (1 - beta2**t)
    return param - lr * mean_hat / (np.sqrt(square_hat) + eps), mean, square


def moving_average(averaged, param, rate):
    """θ̄ ← θ̄ + rate (θ - θ̄). -> θ̄."""
    return (averaged + rate * (param - averaged),)


def average(averaged, network, rate):
    """Move the parameters and buffers of `averaged`, a network, towards those of `network`: see moving_average."""
    current = network.params | network.buffers
    arrays = (averaged.params | averaged.buffers).items()
    _update(moving_average, updates.moving_average, [(array, current[name]) for name, array in arrays], rate)


def _update(rule, fast, updated, *constants):
    """rule(*arrays, *constants) for each tuple of arrays in `updated`, written into all of them but the second, which
    the rule only reads; fast: the kernel that does all at once."""
    if not is_plain():
        fast([[array.reshape(-1) for array in arrays] for arrays in updated], *constants)
        return
    for moved, read, *memory in updated:
        for array, new in zip((moved, *memory), rule(moved, read, *memory, *constants), strict=True):
            array[...] = new


class Optimizer:
    """What all optimizers share: the network, the learning rate, and memory per parameter.

    network: anything with `params` and `grads`. lr: learning rate. memory: {slot: {parameter name: array like it}}.
    steps: how many steps have been made. Raises InputError for hyper-parameters out of range and for parameters that
    are not C-contiguous.
    """

    rule, fast = None, None  # the formula, and the kernel that computes it for all parameters
    slots: tuple[str, ...] = ()  # what the rule remembers, in its order
    settings: tuple[str, ...] = ("lr",)  # what it takes besides, in its order

    def __init__(self, network, lr):
        self.network, self.lr, self.steps = network, _positive(type(self).__name__, "lr", lr), 0
        self.memory = {
            slot: {name: np.zeros_like(param) for name, param in network.params.items()} for slot in self.slots
        }

    def step(self):
        """Move every parameter once, by the rule."""
        self.steps += 1
        grads, updated = self.network.grads, []
        for name, param in self.network.params.items():
            if not param.flags.c_contiguous:
                raise InputError(f"{type(self).__name__}.step: params[{name!r}] is not contiguous; use np.array(…).")
            updated.append((param, grads[name], *(self._slot(slot, name, param) for slot in self.slots)))
        settings = [getattr(self, name) for name in self.settings]
        _update(type(self).rule, type(self).fast, updated, self.steps, *settings)

    def _slot(self, slot, name, param):
        if self.memory[slot][name].dtype != param.dtype:  # the parameter was replaced by one of another dtype
            self.memory[slot][name] = self.memory[slot][name].astype(param.dtype)
        return self.memory[slot][name]


class SGD(Optimizer):
    """Gradient descent; formula in sgd."""

    rule, fast = sgd, updates.sgd

    def __init__(self, network, lr=0.01):
        super().__init__(network, lr)


class Momentum(Optimizer):
    """Gradient descent with momentum, μ = momentum; formula in momentum."""

    rule, fast = momentum, updates.momentum
    slots, settings = ("velocity",), ("lr", "momentum")

    def __init__(self, network, lr=0.01, momentum=0.9):
        super().__init__(network, lr)
        self.momentum = _fraction("Momentum", "momentum", momentum)


class RMSprop(Optimizer):
    """Steps divided by the recent size of the gradient, ρ = rho; formula in rmsprop."""

    rule, fast = rmsprop, updates.rmsprop
    slots, settings = ("square",), ("lr", "rho", "eps")

    def __init__(self, network, lr=1e-3, rho=0.99, eps=1e-8):
        super().__init__(network, lr)
        self.rho, self.eps = _fraction("RMSprop", "rho", rho), _positive("RMSprop", "eps", eps)


class Adagrad(Optimizer):
    """Steps divided by the size of all gradients so far; formula in adagrad."""

    rule, fast = adagrad, updates.adagrad
    slots, settings = ("square",), ("lr", "eps")

    def __init__(self, network, lr=0.01, eps=1e-10):
        super().__init__(network, lr)
        self.eps = _positive("Adagrad", "eps", eps)


class Adam(Optimizer):
    """Momentum and steps of one size, β₁ = beta1, β₂ = beta2; formula in adam."""

    rule, fast = adam, updates.adam
    slots, settings = ("mean", "square"), ("lr", "beta1", "beta2", "eps")

    def __init__(self, network, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        super().__init__(network, lr)
        self.beta1, self.beta2 = _fraction("Adam", "beta1", beta1), _fraction("Adam", "beta2", beta2)
        self.eps = _positive("Adam", "eps", eps)


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
