"""Wrong backward passes, one at least for each layer and loss: the gradient check must find every one of them.

Each case is a right layer and what its `_backward` is replaced with; the right one passes on the same input, so that
what fails is the bug. A check that passes everything is worse than none.
"""

import numpy as np
import pytest

from minigan import layers, losses, penalties
from minigan.gradcheck import check_function, check_gradients
from minigan.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    UpsampleNearest2D,
)


def draw(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape)


def off_zero(x):
    return x + np.where(x >= 0, 0.05, -0.05)


def rng():
    return np.random.default_rng(3)


def altered(layer, backward):
    """`layer` with another `_backward`; the class changes, not the instance, since the check works on deep copies."""
    layer.__class__ = type(f"Wrong{type(layer).__name__}", (type(layer),), {"_backward": backward})
    return layer


def changed(grad_input=lambda g: g, **grads):
    """A `_backward` that computes the right gradients and then changes some of them by a function each."""

    def backward(self, grad_output, cache, need_param_grads):
        before = {name: grad.copy() for name, grad in self.grads.items()}
        out = super(type(self), self)._backward(grad_output, cache, need_param_grads)
        for name, change in grads.items():
            if need_param_grads:
                self.grads[name] = before[name] + change(self.grads[name] - before[name])
        return grad_input(out)

    return backward


def lively(layer):
    for seed, (name, param) in enumerate(layer.params.items()):
        layer.params[name] = draw(*param.shape, seed=seed) + (2 if name == "gamma" else 0)
    for seed, (name, buffer) in enumerate(layer.buffers.items()):
        layer.buffers[name] = np.abs(draw(*buffer.shape, seed=seed + 9)) + 0.5
    layer.zero_grad()
    return layer


def assigns(self, grad_output, cache, need_param_grads):
    grad_input, grad_weight, grad_bias = layers.dense_backward(grad_output, cache)
    if need_param_grads:
        self.grads["weight"], self.grads["bias"] = grad_weight, grad_bias  # = instead of +=
    return grad_input


def ignores_the_request(self, grad_output, cache, need_param_grads):
    return super(type(self), self)._backward(grad_output, cache, True)


def works_in_place(self, grad_output, cache, need_param_grads):
    grad_output *= 1 - cache * cache
    return grad_output


def wrong_stride(self, grad_output, cache, need_param_grads):
    """Height and width of the stride swapped on the way back; the same number of windows, at other places."""
    cols, shape, weight, stride, padding = cache
    grad_input, grad_weight, grad_bias = layers.conv2d_backward(
        grad_output, (cols, shape, weight, stride[::-1], padding)
    )
    if need_param_grads:
        self._accumulate_all(grad_weight, grad_bias)
    return grad_input


def wrong_transposed_stride(self, grad_output, cache, need_param_grads):
    x, weight, stride, padding = cache
    grads = layers.conv_transpose2d_backward(grad_output, (x, weight, stride[::-1], padding))
    if need_param_grads:
        self._accumulate_all(*grads[1:])
    return grads[0]


def wrong_padding(self, grad_output, cache, need_param_grads):
    cols, shape, weight, stride, (ph, pw) = cache
    grads = layers.conv2d_backward(grad_output, (cols, shape, weight, stride, (ph - 1, pw)))
    if need_param_grads:
        self._accumulate_all(*grads[1:])
    return grads[0]


def with_weight(turn):
    """The input's gradient through a turned kernel: transposed, or rotated as in a true convolution."""

    def backward(self, grad_output, cache, need_param_grads):
        grad_input, grad_weight, grad_bias = layers.conv2d_backward(grad_output, cache)
        if need_param_grads:
            self._accumulate_all(grad_weight, grad_bias)
        cols, shape, weight, *rest = cache
        return layers.conv2d_backward(grad_output, (cols, shape, np.ascontiguousarray(turn(weight)), *rest))[0]

    return backward


def batch_norm_without(mean_term=1, product_term=1, inv_std=True):
    def backward(self, grad_output, cache, need_param_grads):
        _, (x_hat, scale, gamma) = cache
        g = grad_output.reshape(x_hat.shape)
        if need_param_grads:
            self._accumulate("gamma", (g * x_hat).sum(axis=(0, 1)))
            self._accumulate("beta", g.sum(axis=(0, 1)))
        mean, product = g.mean(axis=1, keepdims=True), (g * x_hat).mean(axis=1, keepdims=True)
        out = gamma * (scale if inv_std else 1) * (g - mean_term * mean - product_term * x_hat * product)
        return out.reshape(grad_output.shape)

    return backward


def batch_norm_always_in_training(self, grad_output, cache, need_param_grads):
    """In evaluation mode the statistics are constants, but this one lets the gradient through them."""
    _, (x_hat, scale, gamma) = cache
    grouped = x_hat.reshape(1, -1, x_hat.shape[-1])
    grad_input, grad_gamma, grad_beta = layers.batch_norm_backward(grad_output, (grouped, scale, gamma))
    if need_param_grads:
        self._accumulate("gamma", grad_gamma)
        self._accumulate("beta", grad_beta)
    return grad_input


def batch_norm_joins_the_parts(self, grad_output, cache, need_param_grads):
    """The forward pass normalised two parts apart; going back, this one takes the means over both together."""
    _, (x_hat, scale, gamma) = cache
    g = grad_output.reshape(x_hat.shape)
    if need_param_grads:
        self._accumulate("gamma", (g * x_hat).sum(axis=(0, 1)))
        self._accumulate("beta", g.sum(axis=(0, 1)))
    mean, product = g.mean(axis=(0, 1)), (g * x_hat).mean(axis=(0, 1))
    return (gamma * scale * (g - mean - x_hat * product)).reshape(grad_output.shape)


class TwoPartNorm(BatchNorm):
    def forward(self, x, training=True, parts=1):
        return super().forward(x, training, 2 if len(x) % 2 == 0 else 1)


def max_pool_to_every_winner_and_first(self, grad_output, cache, need_param_grads):
    """Overlapping windows with the same winner: `=` through an index keeps one window's share instead of the sum."""
    winner, shape, (_, kw), (sh, sw) = cache
    grad_input = np.zeros(shape, grad_output.dtype)
    n, oh, ow, c = np.indices(winner.shape, sparse=True)
    grad_input[n, oh * sh + winner // kw, ow * sw + winner % kw, c] += grad_output
    return grad_input


def max_pool_by_columns(self, grad_output, cache, need_param_grads):
    """The winner's number read as column · KH + row."""
    winner, shape, (kh, kw), stride = cache
    winner = (winner % kh) * kw + winner // kh
    return layers.max_pool2d_backward(grad_output, (winner, shape, (kh, kw), stride))


def average_pool_without_overlap(self, grad_output, cache, need_param_grads):
    """Each pixel gets a share of the last window it lies in only."""
    shape, (kh, kw), (sh, sw) = cache
    grad_input = np.zeros(shape, grad_output.dtype)
    for h, w in np.ndindex(grad_output.shape[1:3]):
        pixels = np.s_[:, h * sh : h * sh + kh, w * sw : w * sw + kw]
        grad_input[pixels] = grad_output[:, h : h + 1, w : w + 1] / (kh * kw)
    return grad_input


def formula(f):
    """A `_backward` of two arguments."""
    return lambda self, grad_output, cache, need_param_grads: f(grad_output, cache)


def dense():
    return Dense(4, 4, rng=rng())  # square, or a transposed weight would not even fit


def conv():
    return Conv2D(3, 3, 3, 2, 1, rng=rng())


def transposed():
    return ConvTranspose2D(3, 3, 3, 2, 1, 1, rng=rng())


def pixels(*shape):
    return np.random.default_rng(4).permutation(int(np.prod(shape))).reshape(shape) / 10


def upside_down(a):
    return a[::-1, ::-1]


PICTURE = draw(4, 5, 7, 3)
CASES = {  # the right layer, the wrong backward, the input[, training]
    "dense: sign": (dense, changed(lambda g: -g), draw(5, 4)),
    "dense: weight not transposed": (dense, formula(lambda g, cache: g @ cache[1]), draw(5, 4)),
    "dense: gradient of the weight transposed": (dense, changed(weight=lambda g: g.T), draw(5, 4)),
    "dense: divided by N a second time": (dense, changed(weight=lambda g: g / 5), draw(5, 4)),
    "dense: bias forgotten": (dense, changed(bias=lambda g: 0 * g), draw(5, 4)),
    "dense: bias averaged, not summed": (dense, changed(bias=lambda g: g / 5), draw(5, 4)),
    "dense: assigned, not added": (dense, assigns, draw(5, 4)),
    "dense: need_param_grads ignored": (dense, ignores_the_request, draw(5, 4)),
    "conv: sign": (conv, changed(weight=lambda g: -g), PICTURE),
    "conv: kernel transposed": (conv, with_weight(lambda w: w.swapaxes(0, 1)), PICTURE),
    "conv: channels transposed": (conv, with_weight(lambda w: w.swapaxes(2, 3)), PICTURE),
    "conv: kernel rotated": (conv, with_weight(upside_down), PICTURE),
    "conv: gradient of the kernel rotated": (conv, changed(weight=upside_down), PICTURE),
    "conv: stride swapped": (lambda: Conv2D(2, 3, 2, (1, 2), rng=rng()), wrong_stride, draw(3, 4, 7, 2)),
    "conv: padding off by one": (conv, wrong_padding, PICTURE),
    "conv: bias of one channel only": (conv, changed(bias=lambda g: g * [1, 1, 0]), PICTURE),
    "transposed: stride swapped": (
        lambda: ConvTranspose2D(2, 3, 2, (1, 2), rng=rng()),
        wrong_transposed_stride,
        draw(3, 3, 4, 2),
    ),
    "transposed: kernel rotated": (transposed, changed(weight=upside_down), PICTURE),
    "transposed: channels swapped": (transposed, changed(weight=lambda g: g.swapaxes(2, 3)), PICTURE),
    "transposed: input's sign": (transposed, changed(lambda g: -g), PICTURE),
    "transposed: bias averaged": (transposed, changed(bias=lambda g: g / 4), PICTURE),
    "batch norm: mean dropped": (lambda: BatchNorm(3), batch_norm_without(mean_term=0), PICTURE),
    "batch norm: product dropped": (lambda: BatchNorm(3), batch_norm_without(product_term=0), PICTURE),
    "batch norm: both dropped": (lambda: BatchNorm(3), batch_norm_without(0, 0), PICTURE),
    "batch norm: deviation dropped": (lambda: BatchNorm(3), batch_norm_without(inv_std=False), draw(6, 3)),
    "batch norm: product half": (lambda: BatchNorm(3), batch_norm_without(product_term=0.5), draw(6, 3)),
    "batch norm: γ's gradient a mean": (lambda: BatchNorm(3), changed(gamma=lambda g: g / 6), draw(6, 3)),
    "batch norm: β's sign": (lambda: BatchNorm(3), changed(beta=lambda g: -g), draw(6, 3)),
    "batch norm: training's backward in evaluation": (
        lambda: BatchNorm(3),
        batch_norm_always_in_training,
        PICTURE,
        False,
    ),
    "batch norm: parts joined": (lambda: TwoPartNorm(3), batch_norm_joins_the_parts, PICTURE),
    "dropout: fresh mask": (
        lambda: Dropout(0.4, rng=rng()),
        lambda self, g, cache, need: g * (self.rng.random(g.shape) >= 0.4) / 0.6,
        draw(5, 6),
    ),
    "dropout: not scaled": (lambda: Dropout(0.4, rng=rng()), formula(lambda g, mask: g * (mask > 0)), draw(5, 6)),
    "dropout: lets all through": (lambda: Dropout(0.4, rng=rng()), formula(lambda g, mask: g), draw(5, 6)),
    "relu: lets all through": (ReLU, formula(lambda g, x: g), off_zero(draw(5, 6))),
    "relu: sign of x": (ReLU, formula(lambda g, x: g * np.sign(x)), off_zero(draw(5, 6))),
    "leaky relu: slope of relu": (LeakyReLU, formula(lambda g, c: g * (c[0] > 0)), off_zero(draw(5, 6))),
    "leaky relu: slope 0.01": (LeakyReLU, formula(lambda g, c: np.where(c[0] > 0, g, 0.01 * g)), off_zero(draw(5, 6))),
    "leaky relu: branches swapped": (
        LeakyReLU,
        formula(lambda g, c: np.where(c[0] > 0, 0.2 * g, g)),
        off_zero(draw(5, 6)),
    ),
    "sigmoid: y instead of y(1-y)": (Sigmoid, formula(lambda g, y: g * y), draw(5, 6)),
    "sigmoid: of the output again": (Sigmoid, formula(lambda g, y: g * layers.sigmoid(y)), draw(5, 6)),
    "tanh: 1-y instead of 1-y²": (Tanh, formula(lambda g, y: g * (1 - y)), draw(5, 6)),
    "tanh: derivative from input": (Tanh, formula(lambda g, y: g * (1 - np.arctanh(y) ** 2)), draw(5, 6)),
    "tanh: in place": (Tanh, works_in_place, draw(5, 6)),
    "softplus: of relu": (Softplus, formula(lambda g, x: g * (x > 0)), draw(5, 6)),
    "softplus: σ(-x)": (Softplus, formula(lambda g, x: g * layers.sigmoid(-x)), draw(5, 6)),
    "flatten: column by column": (Flatten, formula(lambda g, shape: g.reshape(shape, order="F")), draw(3, 2, 4, 3)),
    "reshape: axes swapped": (
        lambda: Reshape((4, 4, 2)),
        formula(lambda g, shape: g.swapaxes(1, 2).reshape(shape)),
        draw(3, 32),
    ),
    "upsample: mean": (UpsampleNearest2D, changed(lambda g: g / 4), PICTURE),
    "upsample: one corner": (UpsampleNearest2D, formula(lambda g, scale: g[:, ::2, ::2]), PICTURE),
    "average: wrong share": (lambda: AveragePool2D((2, 3)), changed(lambda g: g * 6 / 4), PICTURE),
    "average: no share": (lambda: AveragePool2D(2), changed(lambda g: g * 4), PICTURE),
    "average: no overlap": (lambda: AveragePool2D(3, 2), average_pool_without_overlap, PICTURE),
    "max: overlap lost": (lambda: MaxPool2D(3, 1), max_pool_to_every_winner_and_first, pixels(3, 5, 7, 2)),
    "max: row and column": (lambda: MaxPool2D((2, 3)), max_pool_by_columns, pixels(3, 4, 6, 2)),
    "max: shared among all": (
        lambda: MaxPool2D(2),
        formula(lambda g, cache: g.repeat(2, axis=1).repeat(2, axis=2) / 4),
        pixels(3, 4, 6, 2),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_planted_in_a_layer(name):
    build, backward, x, *rest = CASES[name]
    training = not rest
    right = check_gradients(lively(build()), x, training=training, max_entries=100)
    assert right.ok, f"the right layer must pass on this input:\n{right}"
    wrong = check_gradients(altered(lively(build()), backward), x, training=training, max_entries=100)
    assert not wrong.ok
    assert "raised" not in str(wrong), f"it must be caught as a wrong number, not by crashing:\n{wrong}"
    assert "WRONG" in str(wrong)
    assert wrong.worst.cause


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


# ---- losses and penalties

REAL, FAKE = draw(5, seed=5) / 2, draw(4, seed=6) / 2


def discriminator(loss, real=1.0, fake=1.0):
    def f(r, g):
        value, grad_real, grad_fake = loss.discriminator(r, g)
        return value, real * grad_real, fake * grad_fake

    return f, (REAL, FAKE)


def generator(loss, change=lambda grad: grad):
    def f(g):
        value, grad = loss.generator(g)
        return value, change(grad)

    return f, (FAKE,)


LOSSES = {"smoothed": lambda: losses.NonSaturating(0.1), **losses.LOSSES}
LABELS = np.array([0, 2, 1, 2, 0])


def cross_entropy(change):
    def f(logits):
        value, grad = losses.SoftmaxCrossEntropy()(logits, LABELS)
        return value, change(grad)

    return f, (draw(5, 3),)


def penalty(penalise, change):
    def f(weight):
        network = Sequential([Dense(3, 4, rng=rng(), dtype=np.float64)])
        network.params["0.weight"] = weight
        value = penalise(network, 0.3)
        return value, change(network.grads["0.weight"])

    return f, (off_zero(draw(3, 4)),)


def right_and_wrong():
    for name, build in LOSSES.items():
        loss = build()
        yield f"{name}: D's real sign", discriminator(loss), discriminator(loss, real=-1)
        yield f"{name}: D's fake sign", discriminator(loss), discriminator(loss, fake=-1)
        yield f"{name}: D's real 1/N missing", discriminator(loss), discriminator(loss, real=5)
        yield f"{name}: D's fake 1/N missing", discriminator(loss), discriminator(loss, fake=4)
        yield f"{name}: D's fake over the joined batch", discriminator(loss), discriminator(loss, fake=4 / 9)
        yield f"{name}: G's sign", generator(loss), generator(loss, lambda g: -g)
        yield f"{name}: G's 1/N missing", generator(loss), generator(loss, lambda g: 4 * g)
    minimax, non_saturating = losses.Minimax(), losses.NonSaturating()
    mixed = (lambda f: (minimax.generator(f)[0], non_saturating.generator(f)[1])), (FAKE,)
    yield "minimax with the non-saturating gradient", generator(minimax), mixed
    plain = losses.NonSaturating(0.1)
    unsmoothed = (lambda r, f: (plain.discriminator(r, f)[0], *non_saturating.discriminator(r, f)[1:])), (REAL, FAKE)
    yield "smoothing forgotten in the gradient", discriminator(plain), unsmoothed
    right = cross_entropy(lambda g: g)
    yield "cross entropy: 1/N missing", right, cross_entropy(lambda g: 5 * g)
    yield "cross entropy: sign", right, cross_entropy(lambda g: -g)
    yield "cross entropy: label not subtracted", right, cross_entropy(lambda g: g + np.eye(3)[LABELS] / 5)
    for penalise in (penalties.l1, penalties.l2):
        right = penalty(penalise, lambda g: g)
        yield f"{penalise.__name__}: sign", right, penalty(penalise, lambda g: -g)
        yield f"{penalise.__name__}: a half too many", right, penalty(penalise, lambda g: g / 2)


PAIRS = {name: pair for name, *pair in right_and_wrong()}


@pytest.mark.parametrize("name", PAIRS)
def test_planted_in_a_loss(name):
    (right, arrays), (wrong, _) = PAIRS[name]
    report = check_function(right, *arrays)
    assert report.ok, report
    assert not check_function(wrong, *arrays).ok
