"""How a condition, such as a label, enters the two networks. Free functions: they have no parameters of their own."""

import numpy as np


def one_hot(conditions, count, dtype):
    """e_y for each condition y (N,) in 0 … count - 1: (N, count) zeros with a one at place y.

    G gets [z, e_y] in the place of z (Mirza and Osindero 2014): its first dense layer then has, beside the weights of
    z, a row for each condition.
    """
    rows = np.zeros((len(conditions), count), dtype)
    rows[np.arange(len(conditions)), conditions] = 1
    return rows


def projection_forward(outputs, conditions):
    """D(x, y) = ψ + v_y from D's outputs (N, 1 + K) = [ψ, v_0, …, v_{K-1}]: logits (N, 1), and the cache.

    ψ judges a sample whatever it is said to be, v_y as a y. With outputs = φ(x) W from a dense layer, D(x, y) is
    φ(x)·w₀ + φ(x)·w_y, the projection discriminator (Miyato and Koyama 2018). conditions None: outputs as is.
    """
    if conditions is None:
        return outputs, (None, outputs.shape)
    return outputs[:, :1] + outputs[np.arange(len(outputs)), 1 + conditions][:, None], (conditions, outputs.shape)


def projection_backward(grad_logits, cache):
    """∂L/∂outputs (N, 1 + K) from grad_logits = ∂L/∂D(x, y) (N, 1): the same for ψ and v_y, 0 for the others."""
    conditions, shape = cache
    if conditions is None:
        return grad_logits
    grad_outputs = np.zeros(shape, grad_logits.dtype)
    grad_outputs[:, :1] = grad_logits
    grad_outputs[np.arange(len(grad_logits)), 1 + conditions] = grad_logits[:, 0]
    return grad_outputs
