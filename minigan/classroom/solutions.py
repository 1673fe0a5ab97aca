"""The reference solutions: files made of the library's own source, so that they cannot drift away from it.

Each is the text of library functions, as they stand, and of the few lines below that give them the exercise's
signature. They are judged like a student's file.
"""

import inspect
import sys
from pathlib import Path

import numpy as np

from minigan import losses, metrics, penalties
from minigan.base.files import write_text
from minigan.classroom.catalogue import EXERCISES
from minigan.layers import activations, batch_norm, dense, spectral_norm
from minigan.layers.activations import sigmoid, softplus
from minigan.layers.conv import conv2d_backward, conv2d_forward, conv_transpose2d_backward, conv_transpose2d_forward
from minigan.optim import adam


def sigmoid_cross_entropy(logits, targets):
    value = (softplus(logits) - targets * logits).mean()
    return value, (sigmoid(logits) - targets) / len(logits)


def conv_forward(x, weight, bias, stride, padding):
    return conv2d_forward(x, weight, bias, stride, padding)[0]


def conv_backward(grad_output, x, weight, stride, padding):
    _, cache = conv2d_forward(x, weight, 0, stride, padding)
    return conv2d_backward(grad_output, cache)


def conv_transpose_forward(x, weight, bias, stride, padding):
    return conv_transpose2d_forward(x, weight, bias, stride, padding, (0, 0))


def conv_transpose_backward(grad_output, cache):
    return conv_transpose2d_backward(grad_output, cache)


def adam_step(param, grad, mean, square, step, lr, beta1, beta2, eps):
    return adam(param, grad, mean, square, step, lr, beta1, beta2, eps)


def discriminator_loss(real_logits, fake_logits):
    r, f = real_logits, fake_logits
    value = softplus(-r).mean() + softplus(f).mean()
    return value, -sigmoid(-r) / len(r), sigmoid(f) / len(f)


def generator_loss(fake_logits):
    f = fake_logits
    return softplus(-f).mean(), -sigmoid(-f) / len(f)


def minimax_step(weight, bias, shift, real, z, lr):
    fake, n = z + shift, len(z)
    slope_real, slope_fake = -sigmoid(-(real @ weight + bias)) / n, sigmoid(fake @ weight + bias) / n
    grad_weight = slope_real @ real + slope_fake @ fake
    grad_bias = slope_real.sum() + slope_fake.sum()
    weight, bias = weight - lr * grad_weight, bias - lr * grad_bias
    slope = -sigmoid(fake @ weight + bias) / n
    shift = shift - lr * slope.sum() * weight
    return weight, bias, shift


def critic_step(weight, bias, real, fake, lr, limit):
    grad_weight = fake.mean(axis=0) - real.mean(axis=0)
    weight = weight - lr * grad_weight
    return np.clip(weight, -limit, limit), np.clip(bias, -limit, limit)


def interpolates(real, fake, epsilon):
    epsilon = epsilon.reshape(-1, *[1] * (real.ndim - 1))
    return epsilon * real + (1 - epsilon) * fake


# where a function of an exercise is looked for: here, or in the library under the very name
PLACES = (sys.modules[__name__], activations, batch_norm, dense, spectral_norm, losses, metrics, penalties)


def _function(name):
    return next(vars(place)[name] for place in PLACES if name in vars(place))


def source(name):
    """The text of the solution file of an exercise."""
    functions = _with_helpers(map(_function, EXERCISES[name].functions))
    text = "\n\n\n".join(inspect.getsource(function).rstrip() for function in functions)
    errors = "".join(f"{error} = ValueError\n\n" for error in ("InputError", "RunError") if error in text)
    doc = f'"""A solution of the exercise {name}, made from the source of minigan."""'
    return f"{doc}\n\nimport numpy as np\n\n{errors}\n{text}\n"


def _with_helpers(functions):
    """The functions, each after those of the library that it calls: the keys of a dict."""
    found = {}
    for function in functions:
        called = filter(inspect.isfunction, inspect.getclosurevars(function).globals.values())
        found |= _with_helpers(called) | {function: None}
    return found


def write(folder):
    """Write the solution of every exercise into the folder, which is made if it is not there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in EXERCISES:
        write_text(folder / f"{name}.py", source(name))
