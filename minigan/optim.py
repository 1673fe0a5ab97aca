"""Optimizers: how parameters θ move along their gradients g, rules for arrays first and then the classes that keep what
a rule remembers. t = 1, 2, … is the step, lr the learning rate."""

import math

import numpy as np

from minigan.base.errors import InputError
from minigan.base.mode import is_plain
from minigan.base.ranges import number
from minigan.kernels import updates

POSITIVE, FRACTION = {"above": 0}, {"least": 0, "below": 1}
LIMITS = {"lr": POSITIVE, "eps": POSITIVE, "momentum": FRACTION, "rho": FRACTION, "beta1": FRACTION, "beta2": FRACTION}


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
    the rule only reads; fast: the kernel that does all at once, if there is one."""
    if fast is not None and not is_plain():
        fast([[array.reshape(-1) for array in arrays] for arrays in updated], *constants)
        return
    for moved, read, *memory in updated:
        for array, new in zip((moved, *memory), rule(moved, read, *memory, *constants), strict=True):
            array[...] = new


class Optimizer:
    """What all optimizers share: the network, the settings of the rule, and memory per parameter.

    network: anything with `params` and `grads`. settings: what the rule takes besides arrays, in its order, lr first;
    each is an attribute. memory: {slot: {parameter name: array like it}}. steps: how many steps have been made. Raises
    InputError for settings out of range and for parameters that are not C-contiguous.
    """

    rule, fast = None, None  # the formula, and the kernel that computes it for all parameters, if there is one
    slots: tuple[str, ...] = ()  # what the rule remembers, in its order

    def __init__(self, network, **settings):
        self.network, self.settings, self.steps = network, tuple(settings), 0
        for name, value in settings.items():
            setattr(self, name, number(f"{type(self).__name__}: {name}", value, **LIMITS[name]))
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

    rule = sgd

    def __init__(self, network, lr=0.01):
        super().__init__(network, lr=lr)


class Momentum(Optimizer):
    """Gradient descent with momentum, μ = momentum; formula in momentum."""

    rule = momentum
    slots = ("velocity",)

    def __init__(self, network, lr=0.01, momentum=0.9):
        super().__init__(network, lr=lr, momentum=momentum)


class RMSprop(Optimizer):
    """Steps divided by the recent size of the gradient, ρ = rho; formula in rmsprop."""

    rule = rmsprop
    slots = ("square",)

    def __init__(self, network, lr=1e-3, rho=0.99, eps=1e-8):
        super().__init__(network, lr=lr, rho=rho, eps=eps)


class Adagrad(Optimizer):
    """Steps divided by the size of all gradients so far; formula in adagrad."""

    rule = adagrad
    slots = ("square",)

    def __init__(self, network, lr=0.01, eps=1e-10):
        super().__init__(network, lr=lr, eps=eps)


class Adam(Optimizer):
    """Momentum and steps of one size, β₁ = beta1, β₂ = beta2; formula in adam."""

    rule, fast = adam, updates.adam
    slots = ("mean", "square")

    def __init__(self, network, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        super().__init__(network, lr=lr, beta1=beta1, beta2=beta2, eps=eps)


OPTIMIZERS = {"sgd": SGD, "momentum": Momentum, "rmsprop": RMSprop, "adagrad": Adagrad, "adam": Adam}


def grad_norm(network):
    """√(Σ g²) over all gradients of the network, summed in float64."""
    flat = (grad.reshape(-1) for grad in network.grads.values())
    return math.sqrt(sum(float(np.einsum("i,i->", grad, grad, dtype=np.float64)) for grad in flat))


def clip_grad_norm(network, max_norm):
    """Scale all gradients by min(1, max_norm / norm) in place; returns the norm before (Pascanu et al. 2013).

    A norm that is not finite is returned and the gradients are left as they are.
    """
    number("clip_grad_norm: max_norm", max_norm, **POSITIVE)
    norm = grad_norm(network)
    if math.isfinite(norm) and norm > max_norm:
        for grad in network.grads.values():
            grad *= grad.dtype.type(max_norm / norm)
    return norm
