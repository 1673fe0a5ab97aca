"""Layers that compute with another weight than the one they learn: spectral normalisation, equalised learning rate."""

import math

import numpy as np

from minigan import init
from minigan.base.errors import InputError, RunError
from minigan.base.ranges import number
from minigan.layers.base import Layer
from minigan.layers.conv import Conv2D, ConvTranspose2D
from minigan.layers.dense import Dense

OUTPUT_AXIS = {Dense: -1, Conv2D: -1, ConvTranspose2D: -2}  # the weight's axis that counts outputs
WARM_UP = 50  # iterations: the largest singular values of a random matrix lie close together, 15 leave σ 3 % too small
HE_GAIN = math.sqrt(2)


def power_iteration(matrix, u, iterations=1):
    """That many times v ← Wᵀu / ‖Wᵀu‖, then u ← W v / ‖W v‖: towards the singular vectors of the largest singular value
    (Miyato et al. 2018, appendix A). matrix W (O, K), u (O,) -> u (O,), v (K,), both of length 1."""
    for _ in range(iterations):
        v = _unit(matrix.T @ u)
        u = _unit(matrix @ v)
    return u, v


def spectral_norm_forward(matrix, u, v):
    """W̄ = W / σ with σ = uᵀ W v, the largest singular value where u and v are its singular vectors (Miyato et al. 2018,
    section 2.1). matrix W (O, K), u (O,) and v (K,) of length 1 -> W̄ (O, K), cache."""
    sigma = u @ (matrix @ v)
    normalised = matrix / sigma
    return normalised, (normalised, u, v, sigma)


def spectral_norm_backward(grad, cache):
    """With G = ∂L/∂W̄: ∂L/∂W = (G - ⟪G, W̄⟫ u vᵀ) / σ, ⟪·, ·⟫ the sum of the products of all entries (section 2.3).

    From dW̄ = dW/σ - W dσ/σ² with dσ = uᵀ dW v: u and v are constants. At the singular vectors that is exact, since
    there σ does not change to first order as they turn. grad G (O, K) -> (O, K).
    """
    normalised, u, v, sigma = cache
    return (grad - (grad * normalised).sum() * np.outer(u, v)) / sigma


def _unit(x):
    """x / ‖x‖, whatever the size of x, of which the squares may be more or less than its type holds. RunError for 0."""
    largest = np.abs(x).max()
    if largest == 0:
        raise RunError("SpectralNorm: the weight has become 0, which has no norm to divide by; try a smaller rate.")
    x = x / largest
    return x / np.linalg.norm(x)


class _Reweighted(Layer):
    """A Dense, Conv2D or ConvTranspose2D that computes with a weight made from the one in `params`.

    The wrapper has the very dicts `params` and `grads` of the wrapped layer: the weight that is learnt and its
    gradient, never the one that is computed with, which the wrapped layer sees only while one of its passes runs.
    A subclass writes `_effective(training) -> weight, cache`, the weight to compute with, and
    `_pull_back(grad_weight, cache) -> grad`, the gradient of the learnt weight from that of the effective one.
    Raises InputError for any other layer.
    """

    shown = ("layer",)

    def __init__(self, layer):
        super().__init__()
        axes = [axis for kind, axis in OUTPUT_AXIS.items() if isinstance(layer, kind)]
        if not axes:
            kinds = ", ".join(kind.__name__ for kind in OUTPUT_AXIS)
            raise InputError(f"{type(self).__name__}: layer is {layer!r}, expected one of {kinds}.")
        self.layer, self.params, self.grads, (self._output_axis,) = layer, layer.params, layer.grads, axes

    def output_shape(self, input_shape):
        return self.layer.output_shape(input_shape)

    def _check_input(self, x):
        self.layer._check_input(x)

    def _forward(self, x, training):
        weight, own = self._effective(training)
        self.layer.params = {**self.params, "weight": weight}
        try:
            out, inner = self.layer._forward(x, training)
        finally:
            self.layer.params = self.params
        return out, (inner, own)

    def _backward(self, grad_output, cache, need):
        inner, own = cache
        grad_input, grad_weight, grad_bias = self.layer.formula.backward(grad_output, inner, need)
        if need.params:
            grad_weight = self._pull_back(grad_weight, own)
        return self._share_out((grad_input, grad_weight, grad_bias), need.params)


class SpectralNorm(_Reweighted):
    """`layer` with the weight W̄ = W / σ, whose largest singular value is 1 (Miyato et al. 2018); formula in
    spectral_norm_forward.

    W is taken as a matrix with a row for each output: the weight's output axis first, all other axes as one. So
    (F, D) for Dense, (O, KH·KW·C) for Conv2D and ConvTranspose2D. For the convolutions its σ is not exactly the most by
    which they can lengthen a picture, but what the paper divides by. The bias stays as it is.

    Each forward pass in training makes one step of the power iteration, which follows the slowly moving weight; one
    with training=False makes none. It starts with WARM_UP steps when the layer is made; a weight put in later is
    followed from then on.
    params: those of `layer`, with W. buffers: u (outputs,), v (everything else,). rng: the Generator that draws the
    first u. Raises InputError for a weight of zeros, which cannot be divided by its norm.
    """

    def __init__(self, layer, rng=None):
        super().__init__(layer)
        init.check_rng("SpectralNorm", rng)
        matrix = self._matrix(self.params["weight"])
        if not matrix.any():
            raise InputError(f"{self!r}: the weight is 0 everywhere, expected one that can be divided by its norm.")
        u = init.normal(len(matrix), rng, matrix.dtype, 1)
        self.buffers["u"], self.buffers["v"] = power_iteration(matrix, u, WARM_UP)

    def _matrix(self, weight):
        rows_first = np.moveaxis(weight, self._output_axis, 0)
        return rows_first.reshape(len(rows_first), -1)

    def _as_weight(self, matrix):
        """The other way round from _matrix."""
        rows_first = np.moveaxis(self.params["weight"], self._output_axis, 0).shape
        return np.ascontiguousarray(np.moveaxis(matrix.reshape(rows_first), 0, self._output_axis))

    def _effective(self, training):
        matrix = self._matrix(self.params["weight"])
        u, v = (self.buffers[name].astype(matrix.dtype) for name in ("u", "v"))
        if training:
            u, v = power_iteration(matrix, u)
            self.buffers["u"][...], self.buffers["v"][...] = u, v
        else:  # the averaged generator's are averages of such vectors, and shorter
            u, v = _unit(u), _unit(v)
        normalised, cache = spectral_norm_forward(matrix, u, v)
        return self._as_weight(normalised), cache

    def _pull_back(self, grad_weight, cache):
        return self._as_weight(spectral_norm_backward(self._matrix(grad_weight), cache))


class EqualizedRate(_Reweighted):
    """`layer` with the weight c W, where W starts as N(0, 1) and c = gain / √fan_in (Karras et al. 2018, section 4.1).

    c W starts with the variance of He et al. 2015, but its scale is no part of W: an optimizer like Adam, whose steps
    have one size for every parameter, then moves all layers at the same rate relative to their weights.
    ∂L/∂W = c ∂L/∂(c W). The bias stays as it is.

    fan_in: the inputs that one output sees, in_features, or KH·KW·in_channels for both convolutions. gain: √2 before a
    (leaky) ReLU, 1 before none. rng: the Generator that draws W, in the place of the layer's own weight.
    params: those of `layer`, with W. Raises InputError for a gain that is not positive.
    """

    def __init__(self, layer, rng=None, gain=HE_GAIN):
        super().__init__(layer)
        init.check_rng("EqualizedRate", rng)
        gain, weight = number("EqualizedRate: gain", gain, above=0), self.params["weight"]
        self.params["weight"] = init.normal(weight.shape, rng, weight.dtype, 1)
        self.scale = gain / math.sqrt(weight.size // weight.shape[self._output_axis])

    def _effective(self, training):
        weight = self.params["weight"]
        return weight * weight.dtype.type(self.scale), None

    def _pull_back(self, grad_weight, cache):
        return grad_weight * grad_weight.dtype.type(self.scale)
