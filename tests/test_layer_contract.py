"""What every layer promises in layers/base.py: one backward per forward, errors that help, nothing given is changed."""

import numpy as np
import pytest

from minigan import init
from minigan.errors import InputError, RunError
from minigan.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    GradientReversal,
    Layer,
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


def draw(*shape, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def rng():
    return np.random.default_rng(3)


def lively(layer, dtype):
    """Parameters with no special values: no bias 0, no γ 1."""
    for seed, (name, param) in enumerate(layer.params.items()):
        layer.params[name] = draw(*param.shape, seed=seed, dtype=dtype) + (2 if name.endswith("gamma") else 0)
    return layer


LAYERS = {
    "dense": (lambda: Dense(4, 3, rng=rng()), (5, 4)),
    "conv": (lambda: Conv2D(2, 3, (2, 3), 2, 1, rng=rng()), (3, 4, 5, 2)),
    "transposed": (lambda: ConvTranspose2D(2, 3, (2, 3), 2, 1, 1, rng=rng()), (3, 4, 5, 2)),
    "batch norm": (lambda: BatchNorm(2), (3, 4, 5, 2)),
    "dropout": (lambda: Dropout(0.4, rng=rng()), (3, 4)),
    "noise": (lambda: GaussianNoise(0.4, rng=rng()), (3, 4)),
    "reversal": (lambda: GradientReversal(0.4), (3, 4)),
    "relu": (ReLU, (3, 4)),
    "leaky relu": (LeakyReLU, (3, 4)),
    "sigmoid": (Sigmoid, (3, 4)),
    "tanh": (Tanh, (3, 4)),
    "softplus": (Softplus, (3, 4)),
    "flatten": (Flatten, (3, 2, 3, 2)),
    "reshape": (lambda: Reshape((3, 4)), (3, 2, 3, 2)),
    "upsample": (UpsampleNearest2D, (3, 2, 3, 2)),
    "average": (lambda: AveragePool2D(2, 1), (3, 4, 5, 2)),
    "max": (lambda: MaxPool2D(2, 1), (3, 4, 5, 2)),
    "sequential": (lambda: Sequential([Dense(4, 6, rng=rng()), Tanh(), BatchNorm(6)]), (3, 4)),
}
every_layer = pytest.mark.parametrize("name", LAYERS)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def make(name, dtype=np.float32):
    build, shape = LAYERS[name]
    return lively(build().astype(dtype), dtype), draw(*shape, dtype=dtype)


@every_layer
def test_one_backward_per_forward(name):
    layer, x = make(name)
    out = layer.forward(x)
    layer.backward(out)
    with pytest.raises(RunError, match=r"backward: there is no forward to go with it.*call forward again first"):
        layer.backward(out)
    with pytest.raises(RunError, match="there is no forward"):
        make(name)[0].backward(out)


@every_layer
def test_wrong_grad_output_is_named_and_costs_nothing(name):
    layer, x = make(name)
    out = layer.forward(x)
    last = layer.layers[-1] if name == "sequential" else layer
    for wrong in (out[:-1], out[..., None], out.astype(np.float64), out.tolist(), None):
        if name == "sequential":  # it has begun by then, so the mistake costs another forward
            layer.forward(x)
        with pytest.raises(InputError, match=r"\.backward: grad_output is .*, expected float32 \(") as caught:
            layer.backward(wrong)
        assert str(caught.value).startswith(repr(last))
        assert str(out.shape) in str(caught.value)
    if name != "sequential":
        layer.backward(out)  # the mistake can be mended without a new forward


@every_layer
@every_dtype
def test_dtype_stays_and_nothing_given_is_changed(name, dtype):
    layer, x = make(name, dtype)
    params = {key: param.copy() for key, param in layer.params.items()}
    kept, out = x.copy(), layer.forward(x)
    grad_output = draw(*out.shape, seed=5, dtype=dtype)
    grad_kept, out_kept = grad_output.copy(), out.copy()
    grad_input = layer.backward(grad_output)
    assert np.array_equal(x, kept)
    assert np.array_equal(grad_output, grad_kept)
    assert np.array_equal(out, out_kept), "the output belongs to the next layer"
    assert out.dtype == grad_input.dtype == dtype
    assert grad_input.shape == x.shape
    assert out.shape[1:] == layer.output_shape(x.shape[1:])
    for key, param in layer.params.items():
        assert np.array_equal(param, params[key])
        assert layer.grads[key].dtype == dtype
        assert layer.grads[key].shape == param.shape
    assert all(buffer.dtype == dtype for buffer in layer.buffers.values())


@every_layer
def test_passing_through_leaves_the_gradients_alone(name):
    layer, x = make(name)
    if name == "dropout":
        layer.rate = 0  # or the second pass would draw another mask
    for grad in layer.grads.values():
        grad[...] = 0.25
    out = layer.forward(x)
    through = layer.backward(out, need_param_grads=False)
    assert all((grad == 0.25).all() for grad in layer.grads.values())
    layer.forward(x)
    assert np.array_equal(layer.backward(out), through)
    assert all(not (grad == 0.25).all() for grad in layer.grads.values())


@every_layer
def test_gradients_add_up_until_cleared(name):
    layer, x = make(name, np.float64)
    g = layer.forward(x)
    layer.backward(g)
    once = {key: grad.copy() for key, grad in layer.grads.items()}
    layer.forward(x)
    layer.backward(g)
    for key, grad in layer.grads.items():
        assert np.abs(once[key]).max() > 1e-3
        np.testing.assert_allclose(grad, 2 * once[key], rtol=1e-12, atol=1e-14)
    layer.zero_grad()
    assert all(not grad.any() for grad in layer.grads.values())


@every_layer
def test_replaced_gradients_are_those_after_zero_grad(name):
    layer, x = make(name)
    g = layer.forward(x)
    layer.zero_grad()
    grad_input = layer.backward(g)
    expected = {key: grad.copy() for key, grad in layer.grads.items()}
    for grad in layer.grads.values():
        grad[...] = 7
    if name == "dropout":
        layer.rate = 0
        grad_input = g  # another mask otherwise; with a rate of 0 the layer hands on what it gets
    layer.forward(x)
    assert np.array_equal(layer.backward(g, replace_grads=True), grad_input)
    assert len(expected) == len(layer.params)
    assert all(np.array_equal(layer.grads[key], grad) for key, grad in expected.items())
    layer.forward(x)
    layer.backward(g)  # and adding goes on from there
    for key, grad in layer.grads.items():
        np.testing.assert_allclose(grad, 2 * expected[key], rtol=1e-5, atol=1e-6)


@every_layer
def test_backward_without_the_gradient_of_the_input(name):
    """Only the work may be saved: the parameters' gradients are the same."""
    layer, x = make(name)
    g = layer.forward(x)
    layer.backward(g)
    expected = {key: grad.copy() for key, grad in layer.grads.items()}
    layer.zero_grad()
    layer.forward(x)
    layer.backward(g, need_input_grad=False)
    assert all(np.array_equal(grad, expected[key]) for key, grad in layer.grads.items())
    assert len(expected) == len(layer.params)
    with pytest.raises(RunError, match="there is no forward"):
        layer.backward(g)


@pytest.mark.parametrize("need_param_grads", [True, False])
def test_networks_that_begin_with_layers_without_parameters(need_param_grads):
    layers = [Flatten(), Tanh(), Dense(12, 3, rng=rng()), LeakyReLU(), Dense(3, 2, rng=rng())]
    network, x = lively(Sequential(layers), np.float32), draw(4, 2, 3, 2, dtype=np.float32)
    g = network.forward(x)
    network.backward(g)
    expected = {key: grad.copy() for key, grad in network.grads.items()}
    network.zero_grad()
    network.forward(x)
    network.backward(g, need_param_grads=need_param_grads, need_input_grad=False)
    for key, grad in network.grads.items():
        assert np.array_equal(grad, expected[key] if need_param_grads else np.zeros_like(grad)), key


class Recording(LeakyReLU):
    """A class's own activation: another formula under a known name."""

    def _forward(self, x, training):
        return x * x, x

    def _backward(self, grad_output, cache, need):
        return 2 * cache * grad_output


class Doubling(Dense):
    """A class's own layer, with forward as layers/base.py says a layer has it."""

    def _forward(self, x, training):
        out, cache = super()._forward(x, training)
        return 2 * out, cache


def test_a_class_may_write_its_own_layer():
    """Sequential runs some pairs of layers in one go; a subclass with a formula of its own is not such a pair."""
    weight, x = draw(4, 3), draw(5, 4, seed=2)
    network = Sequential([Dense(4, 3, bias=False, rng=rng()), Recording()])
    network.params["0.weight"] = weight
    np.testing.assert_allclose(network.forward(x), (x @ weight) ** 2, rtol=1e-12)
    np.testing.assert_allclose(network.backward(np.ones((5, 3))), 2 * (x @ weight) @ weight.T, rtol=1e-12)
    network = Sequential([Doubling(4, 3, bias=False, rng=rng()), ReLU()])
    network.params["0.weight"] = weight
    np.testing.assert_allclose(network.forward(x), np.maximum(2 * x @ weight, 0), rtol=1e-12)


WRONG = [
    (
        lambda: Dense(4, 3, rng=rng()),
        draw(5, 3),
        r"Dense\(4, 3\)\.forward: x is float64 but params\['weight'\] is float32",
    ),
    (lambda: Dense(4, 3, rng=rng()), draw(5, 3, dtype=np.float32), r"Dense.*x has shape \(5, 3\), expected \(N, 4\)"),
    (lambda: Dense(4, 3, rng=rng()), [[1.0] * 4], r"Dense.*x is a list, expected a float32 or float64 array"),
    (lambda: Tanh(), np.arange(3), r"Tanh\(\)\.forward: x is int64 \(3,\), expected a float32 or float64"),
    (lambda: ReLU(), draw(0, 3), r"ReLU\(\)\.forward: x is empty, its shape is \(0, 3\)"),
    (
        lambda: Conv2D(2, 3, 3, rng=rng()).astype("f8"),
        draw(2, 5, 5, 3),
        r"Conv2D\(2, 3.*\(N, H, W, C\), the last axis 2",
    ),
    (
        lambda: Conv2D(2, 3, 6, rng=rng()).astype("f8"),
        draw(2, 5, 4, 2),
        r"Conv2D.*input of \(5, 4\) pixels gives .*\(0, -1\)",
    ),
    (
        lambda: ConvTranspose2D(1, 1, 2, 1, 2, rng=rng()).astype("f8"),
        draw(2, 2, 2, 1),
        r"ConvTranspose2D.*output of \(-1, -1\)",
    ),
    (lambda: BatchNorm(3).astype("f8"), draw(2, 3, 3), r"BatchNorm\(3\).*expected \(N, C\) or \(N, H, W, C\)"),
    (lambda: BatchNorm(3).astype("f8"), draw(2, 4), r"BatchNorm\(3\).*the last axis 3"),
    (lambda: BatchNorm(3).astype("f8"), draw(1, 3), r"BatchNorm\(3\).*one value per channel has no variance"),
    (lambda: MaxPool2D(3), draw(2, 2, 4, 1), r"MaxPool2D.*\(2, 4\) pixels are smaller than the window"),
    (lambda: AveragePool2D(2), draw(2, 4), r"AveragePool2D.*expected \(N, H, W, C\)"),
    (lambda: UpsampleNearest2D(2), draw(2, 4), r"UpsampleNearest2D.*expected \(N, H, W, C\)"),
    (lambda: Reshape((2, 3)), draw(2, 7), r"Reshape\(\(2, 3\)\): a sample of shape \(7,\) has 7 entries, expected 6"),
    (lambda: Sequential([Tanh(), Dense(4, 3, rng=rng())]), draw(2, 4), r"^Dense\(4, 3\)"),
]


@pytest.mark.parametrize(("build", "x", "message"), WRONG)
def test_wrong_input_names_the_layer_and_what_it_expects(build, x, message):
    with pytest.raises(InputError, match=message):
        build().forward(x)


WRONG_ARGUMENTS = [
    (lambda: Dense(0, 3, rng=rng()), "Dense: in_features is 0, expected a whole number of at least 1"),
    (lambda: Dense(3, 2.0, rng=rng()), r"Dense: out_features is 2\.0"),
    (lambda: Dense(3, 2), "Dense: rng is None, expected a numpy.random.Generator"),
    (lambda: Conv2D(1, 2, (3, 3, 3), rng=rng()), r"Conv2D: kernel_size is \(3, 3, 3\).*or a pair"),
    (lambda: Conv2D(1, 2, 3, stride=0, rng=rng()), "Conv2D: stride is 0"),
    (lambda: Conv2D(1, 2, 3, padding=-1, rng=rng()), "Conv2D: padding is -1"),
    (
        lambda: ConvTranspose2D(1, 2, 3, 2, 1, 2, rng=rng()),
        r"output_padding is \(2, 2\), expected less than the stride",
    ),
    (lambda: BatchNorm(3, momentum=0), "BatchNorm: momentum is 0"),
    (lambda: BatchNorm(3, eps=0), "BatchNorm: eps is 0"),
    (lambda: BatchNorm(3).forward(draw(5, 3, dtype=np.float32), parts=2), "a batch of 5 cannot be split into 2 equal"),
    (lambda: Dropout(1, rng=rng()), r"Dropout: rate is 1, expected a probability in \[0, 1\)"),
    (lambda: Dropout(0.5), "Dropout: rng is None"),
    (lambda: GaussianNoise(-1, rng=rng()), "GaussianNoise: deviation is -1, expected a number of at least 0"),
    (lambda: GaussianNoise(0.5), "GaussianNoise: rng is None"),
    (lambda: GradientReversal(float("nan")), "GradientReversal: strength is nan, expected a number of at least 0"),
    (lambda: LeakyReLU(0), r"LeakyReLU: negative_slope is 0, expected a number in \(0, 1\]"),
    (lambda: Reshape((2, 0)), "Reshape: shape is 0"),
    (lambda: Sequential([]), "Sequential: got no layers"),
    (lambda: Sequential([np.tanh]), "Sequential: got .*expected layers"),
    (lambda: Sequential([Tanh()]).params.update({"0.weight": 1}), "Sequential has no entry '0.weight'"),
]


@pytest.mark.parametrize(("build", "message"), WRONG_ARGUMENTS)
def test_wrong_arguments(build, message):
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize("prefix", ["", "0.", "0.0."])
def test_parameters_may_be_replaced(prefix):
    """Also through one Sequential or two: the layer itself gets the array, and computes in its dtype from then on."""
    dense = Dense(4, 3, rng=rng())
    layer = dense
    for _ in range(prefix.count(".")):
        layer = Sequential([layer])
    weight, bias, x = draw(4, 3), draw(3, seed=2), draw(5, 4, seed=3)
    layer.params[f"{prefix}weight"] = weight
    layer.params.update({f"{prefix}bias": bias})
    assert dense.params["weight"] is weight
    np.testing.assert_allclose(layer.forward(x), x @ weight + bias, rtol=1e-14)
    g = draw(5, 3, seed=4)
    np.testing.assert_allclose(layer.backward(g), g @ weight.T, rtol=1e-14)
    np.testing.assert_allclose(layer.grads[f"{prefix}weight"], x.T @ g, rtol=1e-14)
    layer.zero_grad()
    assert {grad.dtype for grad in layer.grads.values()} == {np.dtype(np.float64)}
    assert not any(grad.any() for grad in layer.grads.values())


def test_summary():
    convolution = Conv2D(1, 8, (3, 5), rng=rng())
    network = Sequential([convolution, BatchNorm(8), Flatten(), Dense(5 * 2 * 8, 10, bias=False, rng=rng())])
    lines = network.summary((7, 6, 1)).splitlines()
    cells = [line.rsplit(maxsplit=1) for line in lines[1:-1]]
    counts = {left.split("(")[0].split()[0]: count for left, count in cells}
    assert counts == {"input": "0", "Conv2D": str(3 * 5 * 8 + 8), "BatchNorm": "16", "Flatten": "0", "Dense": "800"}
    assert [left.rsplit("  ", 1)[1].strip() for left, _ in cells] == ["7 x 6 x 1", "5 x 2 x 8", "5 x 2 x 8", "80", "10"]
    assert lines[0].split() == ["layer", "output", "shape", "parameters"]
    assert lines[-1] == "944 parameters, 4 KiB"  # 944 · 4 bytes = 3.7 KiB
    assert network.astype(np.float64).summary((7, 6, 1)).endswith("944 parameters, 8 KiB")


def test_a_layer_starts_as_its_docstring_says():
    layer = Conv2D(3, 5, (2, 4), rng=rng())
    expected = init.glorot_uniform((2, 4, 3, 5), rng(), np.float32)
    assert np.array_equal(layer.params["weight"], expected)
    assert abs(np.abs(expected).max() / np.sqrt(6 / (8 * (3 + 5))) - 1) < 0.05
    assert not layer.params["bias"].any()
    assert not layer.mixes_samples
    assert Sequential([layer, BatchNorm(5)]).mixes_samples
    assert isinstance(layer, Layer)
