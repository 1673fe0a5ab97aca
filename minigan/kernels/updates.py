"""Optimizer updates, one pass over memory each. All arrays are flat, of one dtype, and changed in place.

param, grad (P,) and what the optimizer remembers (P,). The formulas stand in optim.py. An index that cannot be
negative, and a division that does not ask whether it is by zero (jit.py), are what vector instructions need: Adam takes
0.33 ns for a parameter with both and 3.5 ns with neither.
"""

import numpy as np

from minigan.kernels import threads
from minigan.kernels.jit import kernel


def all_in_one(kernel, constants, updated):
    """kernel(…, *arrays, *constants) for each tuple of flat arrays of one size in `updated`, in one hand-over.

    The constants are given in the arrays' dtype.
    """
    parts = threads.get_threads()
    typed = {dtype: [dtype.type(value) for value in constants] for dtype in {arrays[0].dtype for arrays in updated}}
    calls = [(arrays[0].size, arrays, typed[arrays[0].dtype]) for arrays in updated]
    work = sum(size * len(arrays) for size, arrays, _ in calls)
    threads.run(_shares, parts, work, parts, kernel, calls)


def _shares(start, stop, parts, kernel, calls):
    for size, arrays, constants in calls:
        kernel(size * start // parts, size * stop // parts, *arrays, *constants)


@kernel
def sgd(start, stop, param, grad, lr):
    for i in range(np.uintp(start), np.uintp(stop)):
        param[i] -= lr * grad[i]


@kernel
def momentum(start, stop, param, grad, velocity, lr, mu):
    for i in range(np.uintp(start), np.uintp(stop)):
        velocity[i] = mu * velocity[i] + grad[i]
        param[i] -= lr * velocity[i]


@kernel
def rmsprop(start, stop, param, grad, square, lr, rho, one_minus_rho, eps):
    for i in range(np.uintp(start), np.uintp(stop)):
        g = grad[i]
        square[i] = rho * square[i] + one_minus_rho * g * g
        param[i] -= lr * g / (np.sqrt(square[i]) + eps)


@kernel
def adagrad(start, stop, param, grad, square, lr, eps):
    for i in range(np.uintp(start), np.uintp(stop)):
        g = grad[i]
        square[i] += g * g
        param[i] -= lr * g / (np.sqrt(square[i]) + eps)


@kernel
def adam(start, stop, param, grad, mean, square, beta1, rest1, beta2, rest2, rate, root_factor, eps):
    for i in range(np.uintp(start), np.uintp(stop)):
        g = grad[i]
        m = beta1 * mean[i] + rest1 * g
        v = beta2 * square[i] + rest2 * g * g
        mean[i] = m
        square[i] = v
        param[i] -= rate * m / (np.sqrt(v) * root_factor + eps)


@kernel
def average(start, stop, averaged, param, rate):
    """averaged ← averaged + rate · (param - averaged)."""
    for i in range(np.uintp(start), np.uintp(stop)):
        averaged[i] += rate * (param[i] - averaged[i])


def sgd_plain(param, grad, lr):
    param -= lr * grad


def momentum_plain(param, grad, velocity, lr, mu):
    velocity[:] = mu * velocity + grad
    param -= lr * velocity


def rmsprop_plain(param, grad, square, lr, rho, one_minus_rho, eps):
    square[:] = rho * square + one_minus_rho * grad**2
    param -= lr * grad / (np.sqrt(square) + eps)


def adagrad_plain(param, grad, square, lr, eps):
    square += grad**2
    param -= lr * grad / (np.sqrt(square) + eps)


def adam_plain(param, grad, mean, square, beta1, rest1, beta2, rest2, rate, root_factor, eps):
    mean[:] = beta1 * mean + rest1 * grad
    square[:] = beta2 * square + rest2 * grad**2
    param -= rate * mean / (np.sqrt(square) * root_factor + eps)


def average_plain(averaged, param, rate):
    averaged += rate * (param - averaged)
