"""Wrong backward passes, one at least for each layer: the gradient check must find every one of them.

Each case is a right layer and what is done wrong on its way back; the right one passes on the same input, so that what
fails is the bug. A check that passes everything is worse than none.
"""

import numpy as np
import pytest

from minigan.gradcheck import check_gradients
from minigan.kernels.im2col import col2im_plain, im2col_plain
from minigan.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    UpsampleNearest2D,
    sigmoid,
)


def draw(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def off_zero(x):
    return x + np.where(x >= 0, 0.05, -0.05)


def rng():
    return np.random.default_rng(3)


def altered(layer, wrong):
    """`layer` with another backward: wrong(layer, g, grad_input) -> grad_input, called after the right one.

    It finds layer.x, layer.out and, in layer.fresh, the right gradients of this call, and may write to layer.grads.
    Only what layers/base.py promises is used, so that the bugs remain however a layer is made quick inside. The class
    changes and not the instance, since the check works on deep copies.
    """

    class Wrong(type(layer)):
        def forward(self, x, training=True, **options):
            self.x, self.training = x, training
            self.out = super().forward(x, training, **options)
            return self.out

        def backward(self, grad_output, need_param_grads=True, **options):
            before = {name: grad.copy() for name, grad in self.grads.items()}
            grad_input = super().backward(grad_output, need_param_grads, **options)
            self.fresh = {name: self.grads[name] - before[name] for name in before} if need_param_grads else {}
            return wrong(self, grad_output, grad_input)

    layer.__class__ = Wrong
    return layer


def changed(change_input=lambda g: g, **changes):
    """Right gradients, some of them then changed by a function each."""

    def wrong(layer, g, grad_input):
        for name in layer.fresh:
            if name in changes:
                layer.grads[name] += changes[name](layer.fresh[name]) - layer.fresh[name]
        return change_input(grad_input)

    return wrong


def lively(layer):
    for seed, (name, param) in enumerate(layer.params.items()):
        layer.params[name] = draw(*param.shape, seed=seed) + (2 if name == "gamma" else 0)
    for seed, (name, buffer) in enumerate(layer.buffers.items()):
        layer.buffers[name] = np.abs(draw(*buffer.shape, seed=seed + 9)) + 0.5
    layer.zero_grad()
    return layer


def assigns(layer, g, grad_input):
    for name, grad in layer.fresh.items():
        layer.grads[name][...] = grad  # = instead of +=
    return grad_input


def ignores_the_request(layer, g, grad_input):
    if not layer.fresh:  # need_param_grads=False
        layer.grads["bias"] += g.sum(axis=0)
    return grad_input


def works_in_place(layer, g, grad_input):
    g *= 1 - layer.out**2
    return g


def conv_input(turn=lambda weight: weight, stride=lambda s: s, padding=lambda p: p):
    """A convolution's input gradient, col2im(g · Wᵀ), with another weight, stride or padding."""

    def wrong(layer, g, grad_input):
        weight = turn(layer.params["weight"])
        cols = g.reshape(-1, g.shape[3]) @ weight.reshape(-1, weight.shape[3]).T
        geometry = layer.kernel_size, stride(layer.stride), padding(layer.padding), g.shape[1:3]
        return col2im_plain(cols, layer.x.shape, *geometry, 0)[:, : layer.x.shape[1], : layer.x.shape[2]]

    return wrong


def conv_weight(stride=lambda s: s, padding=lambda p: p):
    """A convolution's weight gradient, im2col(x)ᵀ · g, with another stride or padding."""

    def wrong(layer, g, grad_input):
        geometry = layer.kernel_size, stride(layer.stride), padding(layer.padding), g.shape[1:3]
        if layer.fresh:
            grad = im2col_plain(layer.x, *geometry).T @ g.reshape(-1, g.shape[3])
            layer.grads["weight"] += grad.reshape(layer.params["weight"].shape) - layer.fresh["weight"]
        return grad_input

    return wrong


def transposed_input(turn=lambda weight: weight, stride=lambda s: s):
    """A transposed convolution's input gradient, im2col(g) · W, with another weight or stride."""

    def wrong(layer, g, grad_input):
        weight = turn(layer.params["weight"])
        cols = im2col_plain(g, layer.kernel_size, stride(layer.stride), layer.padding, layer.x.shape[1:3])
        return (cols @ weight.reshape(-1, weight.shape[3])).reshape(layer.x.shape)

    return wrong


def batch_norm(mean_term=1, product_term=1, deviation=True, parts=1, means_over_parts=1):
    """γ/√(σ² + eps) · (g - mean(g) - x̂ · mean(g x̂)) with terms left out, or with means over another group."""

    def wrong(layer, g, grad_input):
        x = layer.x.reshape(parts, -1, layer.num_features)
        std = np.sqrt(x.var(axis=1, keepdims=True) + layer.eps)
        x_hat, grad = (x - x.mean(axis=1, keepdims=True)) / std, g.reshape(x.shape)

        def mean(a):
            groups = a.reshape(means_over_parts, -1, layer.num_features).mean(axis=1, keepdims=True)
            return np.broadcast_to(groups, (parts, 1, layer.num_features))

        centred = grad - mean_term * mean(grad) - product_term * x_hat * mean(grad * x_hat)
        return (layer.params["gamma"] / (std if deviation else 1) * centred).reshape(g.shape)

    return wrong


def batch_norm_always_in_training(layer, g, grad_input):
    """In evaluation mode the statistics are constants, but this one lets the gradient through them."""
    std = np.sqrt(layer.buffers["running_var"] + layer.eps)
    x_hat, axes = (layer.x - layer.buffers["running_mean"]) / std, tuple(range(g.ndim - 1))
    return layer.params["gamma"] / std * (g - g.mean(axis=axes) - x_hat * (g * x_hat).mean(axis=axes))


class TwoPartNorm(BatchNorm):
    """Normalises the two halves of an even batch apart, as d_step does with real and fake."""

    def forward(self, x, training=True):
        return super().forward(x, training, parts=2 if len(x) % 2 == 0 else 1)


def two_part_backward(means_over_parts):
    def wrong(layer, g, grad_input):
        parts = 2 if len(g) % 2 == 0 else 1
        return batch_norm(parts=parts, means_over_parts=min(parts, means_over_parts))(layer, g, grad_input)

    return wrong


def windows(layer, g):
    """Each window's place in the output, and its pixels in the input."""
    (kh, kw), (sh, sw) = layer.kernel_size, layer.stride
    for h, w in np.ndindex(g.shape[1:3]):
        yield np.s_[:, h : h + 1, w : w + 1], np.s_[:, h * sh : h * sh + kh, w * sw : w * sw + kw]


def pool_share(share, add=True):
    """Each window's pixels get g · share(pixels, output, number of pixels), added up or the last window's alone."""

    def wrong(layer, g, grad_input):
        grad = np.zeros_like(layer.x)
        for place, pixels in windows(layer, g):
            part = g[place] * share(layer.x[pixels], layer.out[place], np.prod(layer.kernel_size))
            grad[pixels] = grad[pixels] + part if add else np.where(part == 0, grad[pixels], part)
        return grad

    return wrong


def won(x, y, size):
    return x == y


def even(x, y, size):
    return np.ones_like(x) / size


def turned_windows(x, y, size):
    return (x == y)[:, ::-1, ::-1]


def formula(f):
    """f(g, x, y) -> grad_input, for layers without parameters."""
    return lambda layer, g, grad_input: f(g, layer.x, layer.out)


def dense():
    return Dense(4, 4, rng=rng())  # square, or a transposed weight would not even fit


def conv():
    return Conv2D(3, 3, 3, 2, 1, rng=rng())


def uneven():
    return Conv2D(2, 3, 2, (1, 2), rng=rng())


def transposed():
    return ConvTranspose2D(3, 3, 3, 2, 1, 1, rng=rng())


def uneven_transposed():
    return ConvTranspose2D(2, 3, 2, (1, 2), rng=rng())


def norm():
    return BatchNorm(3)


def dropout():
    return Dropout(0.4, rng=rng())


def noise():
    return GaussianNoise(0.4, rng=rng())


def square():
    return Reshape((4, 4, 2))


def rotated(weight):
    return weight[::-1, ::-1]


def swapped(pair):
    return pair[::-1]


DISTINCT = np.random.default_rng(4).permutation(3 * 5 * 7 * 2).reshape(3, 5, 7, 2) / 10  # no ties for a maximum
PICTURE = draw(4, 5, 7, 3)
VECTORS, AWAY = draw(5, 6), off_zero(draw(5, 6))
CASES = {  # the right layer, the wrong backward, the input[, training]
    "dense: sign": (dense, changed(lambda g: -g), draw(5, 4)),
    "dense: W for its transpose": (dense, lambda layer, g, _: g @ layer.params["weight"], draw(5, 4)),
    "dense: weight's gradient transposed": (dense, changed(weight=lambda g: g.T), draw(5, 4)),
    "dense: divided by N again": (dense, changed(weight=lambda g: g / 5), draw(5, 4)),
    "dense: bias forgotten": (dense, changed(bias=lambda g: 0 * g), draw(5, 4)),
    "dense: bias averaged": (dense, changed(bias=lambda g: g / 5), draw(5, 4)),
    "dense: assigned, not added": (dense, assigns, draw(5, 4)),
    "dense: need_param_grads ignored": (dense, ignores_the_request, draw(5, 4)),
    "conv: sign": (conv, changed(weight=lambda g: -g), PICTURE),
    "conv: kernel transposed": (conv, conv_input(lambda w: w.swapaxes(0, 1)), PICTURE),
    "conv: channels transposed": (conv, conv_input(lambda w: w.swapaxes(2, 3)), PICTURE),
    "conv: kernel rotated": (conv, conv_input(rotated), PICTURE),
    "conv: weight's gradient rotated": (conv, changed(weight=rotated), PICTURE),
    "conv: input's stride swapped": (uneven, conv_input(stride=swapped), draw(3, 4, 7, 2)),
    "conv: weight's stride swapped": (uneven, conv_weight(stride=swapped), draw(3, 4, 7, 2)),
    "conv: input's padding off by one": (conv, conv_input(padding=lambda p: (p[0] - 1, p[1])), PICTURE),
    "conv: weight's padding off by one": (conv, conv_weight(padding=lambda p: (p[0], p[1] - 1)), PICTURE),
    "conv: bias of two channels": (conv, changed(bias=lambda g: g * [1, 1, 0]), PICTURE),
    "transposed: stride swapped": (uneven_transposed, transposed_input(stride=swapped), draw(3, 3, 4, 2)),
    "transposed: kernel rotated": (transposed, transposed_input(rotated), PICTURE),
    "transposed: weight's gradient rotated": (transposed, changed(weight=rotated), PICTURE),
    "transposed: channels": (transposed, transposed_input(lambda w: w.swapaxes(2, 3)), PICTURE),
    "transposed: sign": (transposed, changed(lambda g: -g), PICTURE),
    "transposed: bias averaged": (transposed, changed(bias=lambda g: g / 4), PICTURE),
    "batch norm: mean dropped": (norm, batch_norm(mean_term=0), PICTURE),
    "batch norm: product dropped": (norm, batch_norm(product_term=0), PICTURE),
    "batch norm: both dropped": (norm, batch_norm(0, 0), PICTURE),
    "batch norm: deviation dropped": (norm, batch_norm(deviation=False), draw(6, 3)),
    "batch norm: half the product": (norm, batch_norm(product_term=0.5), draw(6, 3)),
    "batch norm: γ's gradient a mean": (norm, changed(gamma=lambda g: g / 6), draw(6, 3)),
    "batch norm: β's sign": (norm, changed(beta=lambda g: -g), draw(6, 3)),
    "batch norm: training's in evaluation": (norm, batch_norm_always_in_training, PICTURE, False),
    "batch norm: parts joined": (lambda: TwoPartNorm(3), two_part_backward(1), PICTURE),
    "dropout: fresh mask": (dropout, lambda layer, g, _: g * (layer.rng.random(g.shape) >= 0.4) / 0.6, VECTORS),
    "dropout: not scaled": (dropout, formula(lambda g, x, y: g * (y != 0)), VECTORS),
    "dropout: lets all through": (dropout, formula(lambda g, x, y: g), VECTORS),
    "noise: comes back too": (noise, lambda layer, g, _: g + 0.4 * layer.rng.standard_normal(g.shape), VECTORS),
    "noise: taken for a factor": (noise, formula(lambda g, x, y: g * y / x), VECTORS),
    "relu: lets all through": (ReLU, formula(lambda g, x, y: g), AWAY),
    "relu: sign of x": (ReLU, formula(lambda g, x, y: g * np.sign(x)), AWAY),
    "leaky relu: slope of relu": (LeakyReLU, formula(lambda g, x, y: g * (x > 0)), AWAY),
    "leaky relu: slope 0.01": (LeakyReLU, formula(lambda g, x, y: np.where(x > 0, g, 0.01 * g)), AWAY),
    "leaky relu: branches swapped": (LeakyReLU, formula(lambda g, x, y: np.where(x > 0, 0.2 * g, g)), AWAY),
    "sigmoid: y for y(1-y)": (Sigmoid, formula(lambda g, x, y: g * y), VECTORS),
    "sigmoid: of the output again": (Sigmoid, formula(lambda g, x, y: g * sigmoid(y) * (1 - sigmoid(y))), VECTORS),
    "tanh: 1-y for 1-y²": (Tanh, formula(lambda g, x, y: g * (1 - y)), VECTORS),
    "tanh: from input, not output": (Tanh, formula(lambda g, x, y: g * (1 - x**2)), VECTORS),
    "tanh: in place": (Tanh, works_in_place, VECTORS),
    "softplus: of relu": (Softplus, formula(lambda g, x, y: g * (x > 0)), VECTORS),
    "softplus: σ(-x)": (Softplus, formula(lambda g, x, y: g * sigmoid(-x)), VECTORS),
    "flatten: by columns": (Flatten, formula(lambda g, x, y: g.reshape(x.shape, order="F")), draw(3, 2, 4, 3)),
    "reshape: axes swapped": (square, formula(lambda g, x, y: g.swapaxes(1, 2).reshape(x.shape)), draw(3, 32)),
    "upsample: mean": (UpsampleNearest2D, changed(lambda g: g / 4), PICTURE),
    "upsample: one corner": (UpsampleNearest2D, formula(lambda g, x, y: g[:, ::2, ::2]), PICTURE),
    "average: share of another window": (lambda: AveragePool2D((2, 3)), changed(lambda g: g * 6 / 4), PICTURE),
    "average: no share": (lambda: AveragePool2D(2), changed(lambda g: g * 4), PICTURE),
    "average: last window only": (lambda: AveragePool2D(3, 2), pool_share(even, add=False), PICTURE),
    "max: last window only": (lambda: MaxPool2D(3, 1), pool_share(won, add=False), DISTINCT),
    "max: mirrored in the window": (lambda: MaxPool2D((2, 3)), pool_share(turned_windows), DISTINCT),
    "max: shared among all": (lambda: MaxPool2D(2), pool_share(even), DISTINCT),
}
UNCHANGED = {  # the same formulas with nothing wrong in them: it is the bug that is caught, not how it was planted
    "dense": (dense, changed(), draw(5, 4)),
    "conv input": (uneven, conv_input(), draw(3, 4, 7, 2)),
    "conv weight": (uneven, conv_weight(), draw(3, 4, 7, 2)),
    "transposed": (transposed, transposed_input(), PICTURE),
    "batch norm": (norm, batch_norm(), PICTURE),
    "two parts": (lambda: TwoPartNorm(3), two_part_backward(2), PICTURE),
    "tanh": (Tanh, formula(lambda g, x, y: g * (1 - np.tanh(x) ** 2)), VECTORS),
    "average": (lambda: AveragePool2D(3, 2), pool_share(even), PICTURE),
    "max": (lambda: MaxPool2D(3, 1), pool_share(won), DISTINCT),
}


@pytest.mark.parametrize("name", UNCHANGED)
def test_nothing_planted(name):
    build, backward, x = UNCHANGED[name]
    report = check_gradients(altered(lively(build()), backward), x, max_entries=100)
    assert report.ok, report


@pytest.mark.parametrize("name", CASES)
def test_planted_in_a_layer(name):
    build, backward, x, *rest = CASES[name]
    training = not rest
    right = check_gradients(lively(build()), x, training=training, max_entries=100)
    assert right.ok, f"the right layer must pass on this input:\n{right}"
    wrong = check_gradients(altered(lively(build()), backward), x, training=training, max_entries=100)
    assert not wrong.ok
    assert "raised" not in str(wrong), f"it must be caught as a wrong number, not by crashing:\n{wrong}"
    assert wrong.worst.cause, "the report says what may be wrong"


@pytest.mark.parametrize("position", range(5))
def test_one_wrong_layer_in_a_network(position):
    parts = [Dense(4, 6, rng=rng()), BatchNorm(6), Tanh(), Dense(6, 5, rng=rng()), Sigmoid()]
    assert check_gradients(lively(Sequential(parts)), draw(6, 4)).ok
    altered(parts[position], changed(lambda g: 1.001 * g))
    assert not check_gradients(Sequential(parts), draw(6, 4)).ok


def test_layers_in_the_wrong_order():
    class Unreversed(Sequential):
        def backward(self, grad_output, need_param_grads=True):
            for layer in self.layers:
                grad_output = layer.backward(grad_output, need_param_grads)
            return grad_output

    parts = [Dense(4, 4, rng=rng()), Tanh(), Dense(4, 4, rng=rng())]
    assert check_gradients(lively(Sequential(parts)), draw(6, 4)).ok
    assert not check_gradients(Unreversed(parts), draw(6, 4)).ok
