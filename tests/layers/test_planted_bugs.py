"""Wrong backward passes, one at least for each layer: the gradient check must find every one of them.

Each case is a formula and what is done wrong in its text; the right text passes on the same input, so that what fails
is the bug. A check that passes everything is worse than none. Some layers' bugs are in the tests of these layers.
"""

from functools import cache

import numpy as np
import pytest
from planting import plant, table
from samples import draw, lively, off_zero, rng
from test_layers import InTwoParts

import minigan
from minigan.gradcheck import check_gradients
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
    activations,
    base,
    batch_norm,
    conv,
    dense,
    dropout,
    resample,
    shape,
)

DISTINCT = np.random.default_rng(4).permutation(3 * 5 * 7 * 2).reshape(3, 5, 7, 2) / 10  # no ties for a maximum
PICTURE, VECTORS = draw(4, 5, 7, 3), draw(5, 6)
LAYERS = {  # the right layer, x[, training]; square where it can be, or a transposed weight would not even fit
    "dense": (lambda: Dense(4, 4, rng=rng()), draw(5, 4)),
    "conv": (lambda: Conv2D(3, 3, 3, 2, 1, rng=rng()), PICTURE),
    "uneven conv": (lambda: Conv2D(2, 3, 2, (1, 2), rng=rng()), draw(3, 4, 7, 2)),
    "transposed": (lambda: ConvTranspose2D(3, 3, 3, 2, 1, 1, rng=rng()), PICTURE),
    "uneven transposed": (lambda: ConvTranspose2D(2, 3, 2, (1, 2), rng=rng()), draw(3, 3, 4, 2)),
    "batch norm": (lambda: BatchNorm(3), PICTURE),
    "batch norm of vectors": (lambda: BatchNorm(3), draw(6, 3)),
    "batch norm in use": (lambda: BatchNorm(3), PICTURE, False),
    "batch norm in two parts": (lambda: InTwoParts([BatchNorm(3)]), PICTURE),
    "dropout": (lambda: Dropout(0.4, rng=rng()), VECTORS),
    "noise": (lambda: GaussianNoise(0.4, rng=rng()), VECTORS),
    "relu": (ReLU, off_zero(VECTORS)),
    "leaky relu": (LeakyReLU, off_zero(VECTORS)),
    "sigmoid": (Sigmoid, VECTORS),
    "tanh": (Tanh, VECTORS),
    "softplus": (Softplus, VECTORS),
    "flatten": (Flatten, draw(3, 2, 4, 3)),
    "reshape": (lambda: Reshape((4, 4, 2)), draw(3, 32)),
    "upsample": (UpsampleNearest2D, PICTURE),
    "average": (lambda: AveragePool2D((2, 3)), PICTURE),
    "average, overlapping": (lambda: AveragePool2D(3, 2), PICTURE),
    "max": (lambda: MaxPool2D((2, 3)), DISTINCT),
    "max, overlapping": (lambda: MaxPool2D(3, 1), DISTINCT),
}

WINDOWS, CACHED = "windows_of(grad_output, weight.shape[:2], stride", "size, windows, weight, stride, padding = cache\n"
MASK = "grad_output * grad_output.dtype.type(scale)"
WON = "n, h * SH + winner // KW, w * SW + winner % KW, c"
AFFINE = "gamma * inv_std * g"
BUGS = {  # the layer, module, function: what stands there, what stands there instead
    ("dense", dense, "dense_backward"): {
        "sign": ("grad_output @ weight.T", "-grad_output @ weight.T"),
        "W for its transpose": ("weight.T", "weight"),
        "weight's gradient transposed": ("x.T @ grad_output", "grad_output.T @ x"),
        "divided by N again": ("x.T @ grad_output", "x.T @ grad_output / len(x)"),
        "bias forgotten": ("grad_output.sum(axis=0)", "np.zeros(len(weight))"),
        "bias averaged": ("grad_output.sum(axis=0)", "grad_output.mean(axis=0)"),
    },
    ("dense", base.Layer, "_accumulate"): {"assigned, not added": ("+= grad", "[...] = grad")},
    ("dense", base.Layer, "_backward"): {"need_param_grads ignored": ("cache, need), need.params", "cache), True")},
    ("conv", conv, "conv2d_backward"): {
        "sign of the weight's": ('= np.einsum("nhwcij', '= -np.einsum("nhwcij'),
        "kernel transposed": ("grad_output, weight, size", "grad_output, weight.swapaxes(0, 1), size"),
        "channels transposed": ("grad_output, weight, size", "grad_output, weight.swapaxes(2, 3), size"),
        "kernel rotated": ("grad_output, weight, size", "grad_output, weight[::-1, ::-1], size"),
        "weight's gradient rotated": (", optimize=True)", ", optimize=True)[::-1, ::-1]"),
        "input's padding off by one": (
            "size, stride, padding)",
            "(size[0] + 2, size[1]), stride, (padding[0] - 1, padding[1]))[:, :-2]",
        ),
        "weight's padding off by one": (CACHED, CACHED + "    windows = np.roll(windows, 1, axis=2)\n"),
        "bias of two channels": ("axis=(0, 1, 2))", "axis=(0, 1, 2)) * [1, 1, 0]"),
    },
    ("uneven conv", conv, "conv2d_backward"): {
        "input's stride swapped": ("size, stride, padding)", "(9, 9), stride[::-1], padding)[:, :4, :7]"),
    },
    ("uneven conv", conv, "conv2d_forward"): {
        "weight's stride swapped": (
            "(x.shape[1:3], windows,",
            "(x.shape[1:3], windows_of(np.pad(x, ((0, 0), (0, 9), (0, 9), (0, 0))), weight.shape[:2], stride[::-1], "
            "padding)[:, : windows.shape[1], : windows.shape[2]],",
        ),
    },
    ("uneven transposed", conv, "conv_transpose2d_backward"): {
        "stride swapped": (
            "windows = " + WINDOWS + ", padding)",
            "windows = windows_of(np.pad(grad_output, ((0, 0), (0, 9), (0, 9), (0, 0))), weight.shape[:2], "
            "stride[::-1], padding)[:, : x.shape[1], : x.shape[2]]",
        ),
    },
    ("transposed", conv, "conv_transpose2d_backward"): {
        "kernel rotated": ("(windows, weight, axes", "(windows, weight[::-1, ::-1], axes"),
        "weight's gradient rotated": (", optimize=True)", ", optimize=True)[::-1, ::-1]"),
        "channels": ("(windows, weight, axes", "(windows, weight.swapaxes(2, 3), axes"),
        "sign": ("= np.tensordot", "= -np.tensordot"),
        "bias averaged": ("grad_output.sum(axis=(0, 1, 2))", "grad_output.sum(axis=(0, 1, 2)) / len(x)"),
    },
    ("batch norm", batch_norm, "batch_norm_backward"): {
        "mean dropped": (" - grad_beta / M", ""),
        "product dropped": (" - x_hat * (grad_gamma / M)", ""),
        "both dropped": (" - grad_beta / M - x_hat * (grad_gamma / M)", ""),
    },
    ("batch norm of vectors", batch_norm, "batch_norm_backward"): {
        "deviation dropped": ("gamma * inv_std", "gamma"),
        "half the product": ("(grad_gamma / M)", "(grad_gamma / M / 2)"),
        "γ's gradient a mean": ("grad_input, grad_gamma,", "grad_input, grad_gamma / M,"),
        "β's sign": ("grad_gamma, grad_beta\n", "grad_gamma, -grad_beta\n"),
    },
    ("batch norm in use", batch_norm, "batch_norm_inference_backward"): {
        "training's": (AFFINE, "gamma * inv_std * (g - g.mean((0, 1, 2)) - x_hat * (g * x_hat).mean((0, 1, 2)))"),
    },
    ("batch norm in two parts", batch_norm.Statistics, "_normalise_backward"): {
        "parts joined": (
            "joined(grads)",
            "joined([d + gamma * r * (b - sum(betas) / len(betas) + x_hat * (c - sum(gammas) / len(gammas))) "
            "/ d[..., 0].size for d, c, b, (_, (_, _, x_hat, r, gamma)) in zip(grads, gammas, betas, caches)])",
        ),
    },
    ("dropout", dropout, "dropout_backward"): {
        "fresh mask": ("where(kept, g", "where(np.random.default_rng().random(kept.shape) < 0.6, g"),
        "not scaled": (MASK, "grad_output"),
        "lets all through": ("where(kept, " + MASK, "where(True, grad_output"),
    },
    ("noise", dropout.GaussianNoise, "_backward"): {
        "comes back too": ("return ", "return self.rng.standard_normal(grad_output.shape) + "),
        "taken for a factor": ("return ", "return self.rng.standard_normal(grad_output.shape) * "),
    },
    ("relu", activations, "relu_backward"): {
        "lets all through": ("cache > 0", "cache >= 0"),
        "sign of x": ("grad_output.dtype.type(0)", "-grad_output"),
    },
    ("leaky relu", activations, "leaky_relu_backward"): {
        "slope of relu": ("type(negative_slope)", "type(0)"),
        "slope 0.01": ("type(negative_slope)", "type(0.01)"),
        "branches swapped": ("out > 0", "out <= 0"),
    },
    ("sigmoid", activations, "sigmoid_backward"): {
        "y for y(1-y)": (" * (1 - cache)", ""),
        "of the output again": ("cache * (1 - cache)", "sigmoid(cache) * (1 - sigmoid(cache))"),
    },
    ("tanh", activations, "tanh_backward"): {
        "1-y for 1-y²": ("cache * cache", "cache"),
        "from input, not output": ("cache * cache", "np.arctanh(cache) ** 2"),
        "in place": (
            "return grad_output * (1 - cache * cache)",
            "grad_output *= 1 - cache * cache; return grad_output",
        ),
    },
    ("softplus", activations, "softplus_backward"): {
        "of relu": ("sigmoid(cache)", "(cache > 0)"),
        "σ(-x)": ("sigmoid(cache)", "sigmoid(-cache)"),
    },
    ("flatten", shape, "reshape_backward"): {"by columns": ("(cache[0])", '(cache[0], order="F")')},
    ("reshape", shape, "reshape_backward"): {
        "axes swapped": ("grad_output.reshape", "grad_output.swapaxes(1, 2).reshape")
    },
    ("upsample", resample, "upsample_nearest2d_backward"): {
        "mean": (".sum(", ".mean("),
        "one corner": (".sum(axis=(2, 4))", "[:, :, 0, :, 0]"),
    },
    ("average", resample, "average_pool2d_backward"): {"share of another window": ("(KH * KW)", "(KH + 2)")},
    ("average, overlapping", resample, "average_pool2d_backward"): {
        "no share": ("grad_output / (KH * KW),", "grad_output,"),
        "last window only": ("+= share", "= share"),
    },
    ("max, overlapping", resample, "max_pool2d_backward"): {
        "last window only": (
            f"np.add.at(grad_input, ({WON}), grad_output)",
            f"grad_input[{WON}] = grad_output",
        ),
    },
    ("max", resample, "max_pool2d_backward"): {
        "mirrored in the window": ("winner % KW", "KW - 1 - winner % KW"),
        "shared among all": (
            f"np.add.at(grad_input, ({WON}), grad_output)",
            "average = average_pool2d_backward(grad_output, (shape, cache[2], cache[3])); grad_input += average",
        ),
    },
}


@cache
def report(name):
    build, x, *training = LAYERS[name]
    with minigan.plain():
        return check_gradients(lively(build()), x, training=not training, max_entries=100)


@pytest.mark.parametrize(("name", "owner", "function", "right", "wrong"), table(BUGS))
def test_planted_in_a_layer(name, owner, function, right, wrong, monkeypatch):
    assert report(name).ok, "the right layer must pass on this input"
    plant(monkeypatch, owner, function, right, wrong)
    found = report.__wrapped__(name)
    assert not found.ok
    assert "raised" not in str(found), f"it must be caught as a wrong number, not by crashing:\n{found}"
    assert found.worst.cause, "the report says what may be wrong"


@pytest.mark.parametrize("position", range(5))
def test_one_wrong_layer_in_a_network(position):
    parts = [Dense(4, 6, rng=rng()), BatchNorm(6), Tanh(), Dense(6, 5, rng=rng()), Sigmoid()]
    assert check_gradients(lively(Sequential(parts)), draw(6, 4)).ok

    class Wrong(type(parts[position])):
        def _backward(self, grad_output, cache, need):
            return 1.001 * super()._backward(grad_output, cache, need)

    parts[position].__class__ = Wrong
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
