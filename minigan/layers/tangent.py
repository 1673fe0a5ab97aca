"""The tangent pass: what a penalty on the gradient g = ∇ₓD(x) needs of each layer that a critic may hold.

A layer y = f(x; θ) with the Jacobian J = ∂y/∂x gives two things:
    tangent             J t, how y moves when x moves along t (like x), and
    tangent_backward    the gradients of ⟨s, J t⟩ by x and by θ, with s (like y) and t constant.
The first is linear in t, so where f itself is linear it is f without its bias. The second's part by x is 0 (None) where
J does not depend on x: for linear layers, and for piecewise linear ones but at their kinks. See penalties.py for how a
whole critic is put together.
"""

import numpy as np

from minigan.errors import InputError
from minigan.layers.activations import LeakyReLU, ReLU, Sigmoid, Softplus, Tanh, sigmoid
from minigan.layers.base import EVERYTHING, Need
from minigan.layers.conv import Conv2D, conv2d_backward, conv2d_forward
from minigan.layers.dense import Dense, dense_backward, dense_forward
from minigan.layers.group_norm import GroupNorm, InstanceNorm, LayerNorm
from minigan.layers.resample import AveragePool2D, MaxPool2D, UpsampleNearest2D
from minigan.layers.shape import Flatten, Reshape

WEIGHT_ONLY = Need(input=False)


def tangent(layer, t, cache):
    """-> J t, and what tangent_backward needs to know of this pass. cache: what the layer's _forward remembered."""
    return KINDS[type(layer)][0](layer, t, cache)


def tangent_backward(layer, s, t, cache, passed):
    """Add ∂⟨s, J t⟩/∂θ to the layer's grads -> ∂⟨s, J t⟩/∂x, None where that is 0. passed: tangent's second result."""
    return KINDS[type(layer)][1](layer, s, t, cache, passed)


def check_tangent(layer):
    """InputError for a layer that a critic with a penalty on its gradient cannot hold."""
    if type(layer) not in KINDS:
        why = (
            "it mixes the samples of a batch; use LayerNorm"
            if getattr(layer, "mixes_samples", False)
            else "its tangent is not known"
        )
        raise InputError(f"{layer!r} cannot be part of a critic with a penalty on its gradient: {why}.")


def _no_curvature(layer, s, t, cache, passed):
    return None


def _again(layer, t, cache):
    """For layers that are linear and have no parameters."""
    return layer._forward(t, True)[0], None


def _entrywise(layer, t, cache):
    """For functions of single entries: J is diagonal, so J t is Jᵀ t, the backward pass."""
    return layer._backward(t, cache, EVERYTHING), None


def _dense(layer, t, cache):
    """J t = t W."""
    return dense_forward(t, layer.params["weight"], None)


def _dense_backward(layer, s, t, cache, passed):
    """∂⟨s, t W⟩/∂W = tᵀ s: the weight's gradient with t in the place of x."""
    layer._accumulate("weight", dense_backward(s, passed, WEIGHT_ONLY)[1], EVERYTHING)


def _conv(layer, t, cache):
    """J t is the convolution of t, without bias."""
    return conv2d_forward(t, layer.params["weight"], None, layer.stride, layer.padding)


def _conv_backward(layer, s, t, cache, passed):
    """The weight's gradient with t in the place of x."""
    layer._accumulate("weight", conv2d_backward(s, passed, WEIGHT_ONLY)[1], EVERYTHING)


def _max_pool(layer, t, cache):
    """J t: of each window, t at the place of the entry that won."""
    winner, _, kernel_size, stride = cache
    n, h, w, c = np.ogrid[tuple(map(slice, winner.shape))]
    row, column = np.divmod(winner, kernel_size[1])
    return t[n, h * stride[0] + row, w * stride[1] + column, c], None


def _curved(second):
    """∂⟨s, J t⟩/∂x = s t a''(x) of an activation a; second(cache) = a''(x)."""

    def backward(layer, s, t, cache, passed):
        return s * t * second(cache)

    return backward


def _softplus_second(x):
    y = sigmoid(x)
    return y * (1 - y)


def _norm(layer, t, cache):
    return layer._tangent(t, cache), None


def _norm_backward(layer, s, t, cache, passed):
    return layer._tangent_backward(s, t, cache, EVERYTHING)


KINDS = {
    Dense: (_dense, _dense_backward),
    Conv2D: (_conv, _conv_backward),
    **{kind: (_again, _no_curvature) for kind in (Flatten, Reshape, AveragePool2D, UpsampleNearest2D)},
    **{kind: (_entrywise, _no_curvature) for kind in (ReLU, LeakyReLU)},
    MaxPool2D: (_max_pool, _no_curvature),
    Tanh: (_entrywise, _curved(lambda y: -2 * y * (1 - y * y))),
    Sigmoid: (_entrywise, _curved(lambda y: y * (1 - y) * (1 - 2 * y))),
    Softplus: (_entrywise, _curved(_softplus_second)),
    **{kind: (_norm, _norm_backward) for kind in (GroupNorm, InstanceNorm, LayerNorm)},
}
