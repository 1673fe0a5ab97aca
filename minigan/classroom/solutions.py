"""The reference solutions: files made of the library's own source, so that they cannot drift away from it.

Each is the text of library functions, as they stand, and of the few lines below that give them the exercise's
signature. They are judged like a student's file, against the library's layers.
"""

import inspect
from pathlib import Path

import numpy as np

from minigan import losses, metrics, penalties
from minigan.classroom.catalogue import EXERCISES
from minigan.files import write_text
from minigan.kernels.im2col import col2im_plain, im2col_plain
from minigan.kernels.norm import moments_plain, normalise_backward_plain, normalise_plain
from minigan.kernels.pointwise import add_bias_plain, leaky_backward_plain, leaky_plain, sigmoid_plain, softplus_plain
from minigan.kernels.updates import adam_plain
from minigan.layers import reweight
from minigan.layers.conv import conv2d_output_size, conv_transpose2d_output_size


def dense_forward(x, weight, bias):
    return x @ weight + bias, (x, weight)


def dense_backward(grad_output, cache):
    x, weight = cache
    return grad_output @ weight.T, x.T @ grad_output, grad_output.sum(axis=0)


def leaky_relu_forward(x, negative_slope):
    return leaky_plain(x, negative_slope), (x, negative_slope)


def leaky_relu_backward(grad_output, cache):
    x, negative_slope = cache
    return leaky_backward_plain(grad_output, x, negative_slope)


def sigmoid_cross_entropy(logits, targets):
    value = (softplus_plain(logits) - targets * logits).mean()
    return value, (sigmoid_plain(logits) - targets) / len(logits)


def conv_forward(x, weight, bias, stride, padding):
    size = conv2d_output_size(x.shape[1:3], weight.shape[:2], stride, padding)
    cols = im2col_plain(x, weight.shape[:2], stride, padding, size)
    out = cols @ weight.reshape(-1, weight.shape[3]) + bias
    return out.reshape(len(x), *size, -1)


def conv_backward(grad_output, x, weight, stride, padding):
    size = grad_output.shape[1:3]
    rows = grad_output.reshape(-1, grad_output.shape[3])
    matrix = weight.reshape(-1, weight.shape[3])
    cols = im2col_plain(x, weight.shape[:2], stride, padding, size)
    grad_weight = (cols.T @ rows).reshape(weight.shape)
    grad_input = col2im_plain(rows @ matrix.T, x.shape, weight.shape[:2], stride, padding, size, 0)
    return grad_input, grad_weight, rows.sum(axis=0)


def conv_transpose_forward(x, weight, bias, stride, padding):
    size = conv_transpose2d_output_size(x.shape[1:3], weight.shape[:2], stride, padding, (0, 0))
    matrix = weight.reshape(-1, weight.shape[3])
    cols = x.reshape(-1, x.shape[3]) @ matrix.T
    shape = (len(x), *size, weight.shape[2])
    out = col2im_plain(cols, shape, weight.shape[:2], stride, padding, x.shape[1:3], bias)
    return out, (x, weight, stride, padding)


def conv_transpose_backward(grad_output, cache):
    x, weight, stride, padding = cache
    matrix = weight.reshape(-1, weight.shape[3])
    cols = im2col_plain(grad_output, weight.shape[:2], stride, padding, x.shape[1:3])
    grad_input = (cols @ matrix).reshape(x.shape)
    grad_weight = (cols.T @ x.reshape(-1, x.shape[3])).reshape(weight.shape)
    return grad_input, grad_weight, grad_output.sum(axis=(0, 1, 2))


def batch_norm_forward(x, gamma, beta, eps):
    rows = x.reshape(1, -1, x.shape[-1])
    mean, var = moments_plain(rows)
    inv_std = 1 / np.sqrt(var + eps)
    out = normalise_plain(rows, mean, gamma * inv_std, beta, 1)
    return out.reshape(x.shape), (rows, mean, inv_std, gamma)


def batch_norm_backward(grad_output, cache):
    rows, mean, inv_std, gamma = cache
    grad = grad_output.reshape(rows.shape)
    x_hat = (rows - mean) * inv_std
    sums, products = grad.sum(axis=1), (grad * x_hat).sum(axis=1)
    means = sums / rows.shape[1], products / rows.shape[1]
    grad_input = normalise_backward_plain(grad, rows, rows, mean, inv_std, gamma, *means, 1)
    return grad_input.reshape(grad_output.shape), products[0], sums[0]


def adam_step(param, grad, mean, square, step, lr, beta1, beta2, eps):
    param, mean, square = param.copy(), mean.copy(), square.copy()
    rate, root_factor = lr / (1 - beta1**step), 1 / np.sqrt(1 - beta2**step)
    adam_plain(param, grad, mean, square, beta1, 1 - beta1, beta2, 1 - beta2, rate, root_factor, eps)
    return param, mean, square


def discriminator_loss(real_logits, fake_logits):
    r, f = real_logits, fake_logits
    value = softplus_plain(-r).mean() + softplus_plain(f).mean()
    return value, -sigmoid_plain(-r) / len(r), sigmoid_plain(f) / len(f)


def generator_loss(fake_logits):
    f = fake_logits
    return softplus_plain(-f).mean(), -sigmoid_plain(-f) / len(f)


def minimax_step(weight, bias, shift, real, z, lr):
    fake, n = z + shift, len(z)
    slope_real, slope_fake = -sigmoid_plain(-(real @ weight + bias)) / n, sigmoid_plain(fake @ weight + bias) / n
    grad_weight = slope_real @ real + slope_fake @ fake
    grad_bias = slope_real.sum() + slope_fake.sum()
    weight, bias = weight - lr * grad_weight, bias - lr * grad_bias
    slope = -sigmoid_plain(fake @ weight + bias) / n
    shift = shift - lr * slope.sum() * weight
    return weight, bias, shift


def critic_step(weight, bias, real, fake, lr, limit):
    grad_weight = fake.mean(axis=0) - real.mean(axis=0)
    weight = weight - lr * grad_weight
    return np.clip(weight, -limit, limit), np.clip(bias, -limit, limit)


def interpolates(real, fake, epsilon):
    epsilon = epsilon.reshape(-1, *[1] * (real.ndim - 1))
    return epsilon * real + (1 - epsilon) * fake


SPECTRAL = (reweight.power_iteration, reweight._unit, reweight.spectral_norm_forward, reweight.spectral_norm_backward)
PARTS = {
    "dense": (dense_forward, dense_backward),
    "leaky_relu": (leaky_plain, leaky_backward_plain, leaky_relu_forward, leaky_relu_backward),
    "sigmoid_cross_entropy": (sigmoid_plain, softplus_plain, sigmoid_cross_entropy),
    "softmax_cross_entropy": (losses._mean, losses.softmax, losses.softmax_cross_entropy),
    "conv_forward": (conv2d_output_size, im2col_plain, conv_forward),
    "conv_backward": (im2col_plain, col2im_plain, conv_backward),
    "conv_transpose": (
        conv_transpose2d_output_size,
        im2col_plain,
        col2im_plain,
        conv_transpose_forward,
        conv_transpose_backward,
    ),
    "batch_norm": (
        leaky_plain,
        add_bias_plain,
        leaky_backward_plain,
        moments_plain,
        normalise_plain,
        normalise_backward_plain,
        batch_norm_forward,
        batch_norm_backward,
    ),
    "adam": (adam_plain, adam_step),
    "non_saturating_loss": (sigmoid_plain, softplus_plain, discriminator_loss, generator_loss),
    "minimax_step": (sigmoid_plain, minimax_step),
    "weight_clipping": (critic_step,),
    "gradient_penalty": (interpolates, penalties.wgan_gp),
    "spectral_norm": SPECTRAL,
    "frechet_distance": (metrics._moderate, metrics._checked, metrics._pair, metrics.frechet_distance),
}


def source(name):
    """The text of the solution file of an exercise."""
    parts = "\n\n\n".join(inspect.getsource(part).rstrip() for part in PARTS[name])
    prelude = "import numpy as np\n\n"
    if "InputError" in parts:
        prelude += "InputError = ValueError\n\n"
    return f'"""A solution of the exercise {name}, made from the source of minigan."""\n\n{prelude}\n{parts}\n'


def write(folder):
    """Write the solution of every exercise into the folder, which is made if it is not there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in EXERCISES:
        write_text(folder / f"{name}.py", source(name))
