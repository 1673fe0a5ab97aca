"""Every layer at random small sizes, one pixel, one channel and a batch of one among them."""

import numpy as np

from minigan import layers
from minigan.models.restorer import Filled

LAYERS = {}  # name -> function(rng) -> (layer, shape of x, shape of its condition or None)
TINY = float(np.finfo(np.float32).smallest_subnormal)


def kind(build):
    LAYERS[build.__name__] = build
    return build


def size(rng, least=1, most=6):
    """Small, and the smallest more often than others."""
    return int(least if rng.random() < 0.3 else rng.integers(least, most + 1))


def picture(rng, least=1):
    """A shape (N, H, W, C)."""
    return size(rng), size(rng, least), size(rng, least), size(rng, 1, 5)


def flat_or_picture(rng):
    n, h, w, c = picture(rng)
    return (n, c) if rng.random() < 0.5 else (n, h, w, c)


@kind
def dense(rng):
    d = size(rng)
    return layers.Dense(d, size(rng), rng=rng), (size(rng), d), None


@kind
def conv(rng):
    n, h, w, c = picture(rng, 2)
    kernel, stride = (size(rng, 1, 2), size(rng, 1, 2)), (size(rng, 1, 2), size(rng, 1, 2))
    return layers.Conv2D(c, size(rng), kernel, stride, 1, rng=rng), (n, h, w, c), None


@kind
def wide_conv(rng):
    """With channels enough for Toom-Cook."""
    return layers.Conv2D(16, 17, 4, 2, 1, rng=rng), (size(rng, 1, 3), 8, 14, 16), None


@kind
def transposed(rng):
    n, h, w, c = picture(rng)
    return layers.ConvTranspose2D(c, size(rng), (3, size(rng, 2, 4)), 2, 1, rng=rng), (n, h + 1, w + 1, c), None


@kind
def wide_transposed(rng):
    return layers.ConvTranspose2D(16, 17, 4, 2, 1, rng=rng), (size(rng, 1, 3), 4, 7, 16), None


@kind
def batch_norm(rng):
    shape = flat_or_picture(rng)
    return layers.BatchNorm(shape[-1]), (shape[0] + 1, *shape[1:]), None


@kind
def conditional_batch_norm(rng):
    shape, condition_size = flat_or_picture(rng), size(rng)
    layer = layers.ConditionalBatchNorm(shape[-1], condition_size, rng=rng)
    return layer, (shape[0] + 1, *shape[1:]), (shape[0] + 1, condition_size)


@kind
def group_norm(rng):
    n, h, w, c = picture(rng)
    groups = size(rng, 1, 3)
    return layers.GroupNorm(groups, 2 * c * groups), (n, h, w, 2 * c * groups), None


@kind
def instance_norm(rng):
    n, h, w, c = picture(rng)
    return layers.InstanceNorm(c), (n, h + 1, w, c), None


@kind
def layer_norm(rng):
    shape = flat_or_picture(rng)
    return layers.LayerNorm(shape[-1] + 1), (*shape[:-1], shape[-1] + 1), None


@kind
def pixel_norm(rng):
    return layers.PixelNorm(), flat_or_picture(rng), None


@kind
def minibatch_std(rng):
    return layers.MinibatchStd(), flat_or_picture(rng), None


@kind
def minibatch_discrimination(rng):
    d = size(rng)
    return layers.MinibatchDiscrimination(d, size(rng), size(rng), rng=rng), (size(rng), d), None


@kind
def attention(rng):
    n, h, w, c = picture(rng)
    layer = layers.SelfAttention2D(c, rng=rng)
    layer.params["gamma"][...] = 0.7
    return layer, (n, h, w, c), None


@kind
def spectral(rng):
    layer, shape, _ = dense(rng)
    return layers.SpectralNorm(layer, rng=rng), shape, None


@kind
def equalized(rng):
    layer, shape, _ = conv(rng)
    return layers.EqualizedRate(layer, rng=rng), shape, None


@kind
def average(rng):
    return layers.AveragePool2D(size(rng, 1, 2), size(rng, 1, 2)), picture(rng, 2), None


@kind
def largest(rng):
    return layers.MaxPool2D(size(rng, 1, 2), 1), picture(rng, 2), None


@kind
def upsample(rng):
    return layers.UpsampleNearest2D(size(rng, 1, 3)), picture(rng), None


@kind
def dropout(rng):
    return layers.Dropout(0.0, rng=rng), flat_or_picture(rng), None


@kind
def residual(rng):
    n, h, w, c = picture(rng)
    convolution = layers.Conv2D(c, c, 3, 1, 1, rng=rng)
    return layers.Residual(layers.Sequential([convolution, layers.LeakyReLU()])), (n, h, w, c), None


@kind
def concatenation(rng):
    n, h, w, c = picture(rng)
    return layers.Concatenation(layers.Conv2D(c, size(rng), 3, 1, 1, rng=rng)), (n, h, w, c), None


@kind
def filled(rng):
    n, h, w, c = picture(rng)
    return Filled(layers.Conv2D(c + 1, c, 3, 1, 1, rng=rng)), (n, h, w, c + 1), None


@kind
def noise(rng):
    return layers.GaussianNoise(0.0, rng=rng), flat_or_picture(rng), None


@kind
def reversal(rng):
    return layers.GradientReversal(0.5), flat_or_picture(rng), None


@kind
def reshape(rng):
    n, h, w, c = picture(rng)
    return layers.Reshape((h * w, c)), (n, h, w, c), None


@kind
def dense_and_relu(rng):
    layer, shape, _ = dense(rng)
    return layers.Sequential([layer, layers.ReLU(), layers.Dense(layer.out_features, 1, rng=rng)]), shape, None


for activation in (layers.ReLU, layers.LeakyReLU, layers.Sigmoid, layers.Tanh, layers.Softplus):
    LAYERS[activation.__name__] = lambda rng, activation=activation: (activation(), flat_or_picture(rng), None)
LAYERS["flatten"] = lambda rng: (layers.Flatten(), picture(rng), None)


def passes(layer, x, condition=None, grad=None, training=True):
    """Forward and backward -> {name: array} of the output and all gradients; grad: ∂L/∂y, or a fixed random one."""
    given = () if condition is None else (condition,)
    out = layer.forward(x, *given, training=training)
    if grad is None:
        grad = np.random.default_rng(3).standard_normal(out.shape).astype(out.dtype)
    layer.zero_grad()
    back = layer.backward(grad)
    found = {"out": out, "grad x": back[0], "grad condition": back[1]} if given else {"out": out, "grad x": back}
    return found | {f"grad {name}": array for name, array in layer.grads.items()}


def made(name, seed, dtype=np.float32):
    """A layer with parameters that are nothing special, and x and condition ~ N(0, 1) for it."""
    rng = np.random.default_rng([seed, *name.encode()])
    layer, shape, condition_size = LAYERS[name](rng)
    for parameter in layer.params.values():
        parameter += 0.1 * rng.standard_normal(parameter.shape).astype(parameter.dtype)
    x = rng.standard_normal(shape)
    condition = None if condition_size is None else rng.standard_normal(condition_size).astype(dtype)
    return layer.astype(dtype), x.astype(dtype), condition
