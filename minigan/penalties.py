"""Penalties on the weights: added to a loss, they pull weights towards zero.

Only entries called "weight" count, never biases nor the γ and β of a normalisation, whose size says nothing about how
wild the function is. Each function adds its gradient to `network.grads` and returns the penalty's value, a float.
"""

import numpy as np


def _weights(network):
    """(weight, its gradient array) of every layer."""
    grads = network.grads
    for name, param in network.params.items():
        if name.rsplit(".", 1)[-1] == "weight":
            yield param, grads[name]


def l1(network, strength):
    """strength · Σ |w|, with gradient strength · sign(w), 0 at w = 0."""
    value = 0.0
    for weight, grad in _weights(network):
        grad += weight.dtype.type(strength) * np.sign(weight)
        value += float(np.abs(weight).sum(dtype=np.float64))
    return strength * value


def l2(network, strength):
    """strength/2 · Σ w², with gradient strength · w: what others call weight decay of that strength."""
    value = 0.0
    for weight, grad in _weights(network):
        grad += weight.dtype.type(strength) * weight
        value += float(np.square(weight).sum(dtype=np.float64))
    return strength / 2 * value


def orthogonal(network, strength):
    """strength · Σ_W ‖WᵀW ⊙ (1 - I)‖²_F pulls unlike columns of a weight towards right angles (Brock et al. 2019).

    W is the weight as a matrix of its last axis' columns, whose lengths are left alone. More columns than rows cannot
    be at right angles, so such weights are left out. With A = WᵀW but 0 on the diagonal, the gradient is 4 strength WA.
    """
    value = 0.0
    for weight, grad in _weights(network):
        matrix = weight.reshape(-1, weight.shape[-1])
        if len(matrix) < matrix.shape[1]:
            continue
        between = matrix.T @ matrix
        np.fill_diagonal(between, 0)
        grad += (weight.dtype.type(4 * strength) * (matrix @ between)).reshape(weight.shape)
        value += float(np.square(between).sum(dtype=np.float64))
    return strength * value
