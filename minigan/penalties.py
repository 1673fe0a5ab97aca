"""Penalties: on the weights, which they pull towards zero or right angles, and on the gradient of a critic.

Of the first kind only entries called "weight" count, never biases nor the γ and β of a normalisation, whose size says
nothing about how wild the function is. Each function adds its gradient to `network.grads` and returns the penalty's
value, a float.

A penalty P(g) on the gradient g = ∇ₓD(x) needs a second derivative. With v = ∂P/∂g held constant, ∂P/∂θ is the gradient
of ⟨v, g(θ)⟩ = ⟨s_L, J_L … J_1 v⟩, J_i being the Jacobian of D's layer i and s_L how much each output counts. So v is
pushed forward through the layers, t_0 = v, t_i = J_i t_{i-1}, beside x; then both are led back. The adjoint of t_i is
the backward signal s_i, s_{i-1} = J_iᵀ s_i, which is known already from g = s_0. The adjoint r_i of x_i begins with
r_L = 0 and gathers, where a layer is curved, how its J changes with x:
    r_{i-1} = J_iᵀ r_i + ∂⟨s_i, J_i t_{i-1}⟩/∂x_{i-1},
and θ_i gets ∂⟨s_i, J_i t_{i-1}⟩/∂θ_i and what an ordinary backward pass makes of r_i.
"""

import numpy as np

from minigan.base.errors import InputError
from minigan.base.ranges import describe
from minigan.layers import Layer, Sequential


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
    """strength/2 · Σ w², with gradient strength · w: with SGD, weight decay."""
    value = 0.0
    for weight, grad in _weights(network):
        grad += weight.dtype.type(strength) * weight
        value += float(np.square(weight, dtype=np.float64).sum())
    return strength / 2 * value


def orthogonal(network, strength):
    """strength · Σ_W ‖WᵀW ⊙ (1 - I)‖²_F pulls unlike columns of a weight towards right angles (Brock et al. 2019).

    W is the weight as a matrix of its last axis' columns, of which no length is asked. More columns than rows cannot
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
        value += float(np.square(between, dtype=np.float64).sum())
    return strength * value


def check_critic(critic):
    """InputError for a network whose gradient cannot be penalised: one of its layers is no formula with a tangent."""
    passes = ("forward", "_forward", "backward", "_backward")
    for layer in _chain(critic):
        own = any(getattr(type(layer), name, None) is not getattr(Layer, name) for name in passes)
        if own or layer.formula is None or not layer.formula.has_jvp:
            mixes = getattr(layer, "uses_batch_statistics", False)
            why = "it mixes the samples of a batch; use LayerNorm" if mixes else "its tangent is not known"
            raise InputError(f"{layer!r} cannot be part of a critic with a penalty on its gradient: {why}.")


def gradient_penalty(critic, x, penalty, outputs=None):
    """Add the gradient of P(g), g = ∇ₓ Σ outputs · D(x), to critic.grads; returns P's value.

    critic: a Sequential, also of Sequentials. x (N, …). penalty: g -> (P(g), v = ∂P/∂g), such as those below. outputs:
    how much each of D's outputs counts (N, K), all 1 unless given. The critic keeps no forward pass afterwards.
    Raises InputError, before any gradient is changed, for a layer whose tangent is not known and for a v that is no
    array like g.
    """
    check_critic(critic)
    layers = list(_chain(critic))
    remembered, signals, tangents = [], [], []
    for layer in layers:
        x = layer.forward(x)
        remembered.append(layer.remembered)
    s = np.ones_like(x) if outputs is None else outputs
    for layer in reversed(layers):
        signals.insert(0, s)
        s = layer.backward(s, need_param_grads=False)
    value, t = penalty(s)
    if not isinstance(t, np.ndarray) or t.shape != s.shape or t.dtype != s.dtype:
        raise InputError(f"gradient_penalty: v is {describe(t)}, expected {describe(s)} like the gradient g.")
    for layer, known in zip(layers, remembered, strict=True):
        tangents.append(t)
        t = layer.jvp(t, known.cache)
    r = None  # 0
    for layer, known, s, t in reversed(list(zip(layers, remembered, signals, tangents, strict=True))):
        curved = layer.jvp_backward(s, t, known.cache)
        if r is not None:
            layer.remembered = known
            r = layer.backward(r, need_input_grad=layer is not layers[0])
        if curved is not None:
            r = curved if r is None else r + curved
    return value


def wgan_gp(g, strength=10.0, centre=1.0):
    """P = λ/N Σₙ (‖gₙ‖ - c)², v = 2 λ/N (1 - c/‖gₙ‖) gₙ, 0 where gₙ = 0 (Gulrajani et al. 2017, equation 3).

    g (N, …), ‖gₙ‖ its length for sample n, c = centre the length it is pulled to -> P, v.
    """
    squares = np.square(g, dtype=np.float64)  # a float32 can hold neither those of long gradients nor of short ones
    lengths = np.sqrt(squares.sum(axis=tuple(range(1, g.ndim)), keepdims=True))
    factor = np.where(lengths > 0, 1 - centre / np.where(lengths > 0, lengths, 1), 0)
    value = strength * float(np.square(lengths - centre).mean())
    return value, (g * (2 * strength / len(g) * factor)).astype(g.dtype)


def r1(g, strength):
    """P = γ/2 · 1/N Σₙ ‖gₙ‖², v = γ/N gₙ, at real samples (Mescheder et al. 2018, equation 9). g (N, …) -> P, v."""
    value = strength / 2 / len(g) * float(np.square(g, dtype=np.float64).sum())
    return value, g * g.dtype.type(strength / len(g))


def interpolates(real, fake, rng):
    """x̂ = ε x + (1 - ε) G(z), with ε ~ U(0, 1) for each sample (Gulrajani et al. 2017, algorithm 1)."""
    epsilon = rng.random((len(real), *[1] * (real.ndim - 1)), dtype=real.dtype)
    return epsilon * real + (1 - epsilon) * fake


def _chain(network):
    """The layers of a Sequential, those within Sequentials included.

    A subclass with passes of its own is no chain of its layers: it comes as one layer, whose tangent is not known.
    """
    kind = type(network)
    if getattr(kind, "forward", None) is Sequential.forward and kind.backward is Sequential.backward:
        for layer in network.layers:
            yield from _chain(layer)
    else:
        yield network
