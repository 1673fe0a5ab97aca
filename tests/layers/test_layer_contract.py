"""What every layer promises in layers/base.py, for all layers of the zoo: one backward per forward, errors that help,
nothing given is changed, gradients that add up, and samples that see each other only where that is said."""

import copy

import numpy as np
import pytest
from layer_zoo import LAYERS, made, passes
from samples import draw, rng

from minigan import init
from minigan.base.errors import InputError, RunError
from minigan.layers import BatchNorm, Conv2D, Dense, Flatten, Layer, LeakyReLU, ReLU, Sequential, Tanh

every_layer = pytest.mark.parametrize("name", LAYERS)
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CHANGE_IN_TRAINING = {"batch_norm", "conditional_batch_norm", "spectral"}  # those without chance in them


def given(x, condition):
    return (x,) if condition is None else (x, condition)


def close(found, wanted, tolerance=1e-11):
    assert found.keys() == wanted.keys()
    for key, array in wanted.items():
        assert np.abs(found[key] - array).max() <= tolerance * max(1, np.abs(array).max()), key


def pairs(name):
    """A layer, and x and conditions of two parts that differ."""
    layer, x, condition = made(name, 6, np.float64)
    x = np.concatenate([x, 1.3 * x + 0.1])
    return layer, x, condition if condition is None else np.concatenate([condition, 1 - condition])


@every_layer
def test_one_backward_per_forward(name):
    layer, *x = made(name, 1)
    out = layer.forward(*given(*x))
    layer.backward(out)
    with pytest.raises(RunError, match=r"backward: there is no forward to go with it.*call forward again first"):
        layer.backward(out)
    with pytest.raises(RunError, match="there is no forward"):
        made(name, 1)[0].backward(out)


@every_layer
def test_wrong_grad_output_is_named_and_costs_nothing(name):
    layer, *x = made(name, 1)
    out = layer.forward(*given(*x))
    chain = isinstance(layer, Sequential)  # it has begun by then, so the mistake costs another forward
    for wrong in (out[:-1], out[..., None], out.astype(np.float64), out.tolist(), None):
        if chain:
            layer.forward(*given(*x))
        with pytest.raises(InputError, match=r"\.backward: grad_output is .*, expected float32 \(") as caught:
            layer.backward(wrong)
        assert str(caught.value).startswith(repr(layer.layers[-1] if chain else layer))
        assert str(out.shape) in str(caught.value)
    if not chain:
        layer.backward(out)  # the mistake can be mended without a new forward


def check_nothing_given_is_changed(layer, x, condition=None):
    """And everything has the dtype of x and the shape that was promised."""
    g = draw(*layer.forward(*given(x, condition)).shape, seed=5, dtype=x.dtype)
    before = copy.deepcopy([x, g, condition, dict(layer.params)])
    out = layer.forward(*given(x, condition))
    kept, back = out.copy(), layer.backward(g)
    assert np.array_equal(out, kept), "the output belongs to the next layer"
    grad_input = back if condition is None else back[0]
    assert all(np.array_equal(a, b) for a, b in zip([x, g], before, strict=False)), "x or grad_output was changed"
    assert condition is None or np.array_equal(condition, before[2])
    assert (grad_input.dtype, grad_input.shape) == (x.dtype, x.shape)
    assert out.dtype == x.dtype
    assert out.shape[1:] == layer.output_shape(x.shape[1:])
    assert layer.grads.keys() == layer.params.keys()
    for key, param in layer.params.items():
        assert np.array_equal(param, before[3][key]), key
        assert (layer.grads[key].dtype, layer.grads[key].shape) == (x.dtype, param.shape)
    assert all(buffer.dtype == x.dtype for buffer in layer.buffers.values())


@every_layer
@every_dtype
def test_nothing_given_is_changed(name, dtype):
    check_nothing_given_is_changed(*made(name, 2, dtype))


def check_what_backward_is_asked(layer, x, condition=None):
    """Gradients add up until they are cleared; and only the work of those that nobody wants may be saved."""

    def back(before, **options):
        for grad in layer.grads.values():
            grad[...] = before
        layer.forward(*given(x, condition), training=False)
        grad_input = layer.backward(g, **options)
        return grad_input, {key: grad.copy() for key, grad in layer.grads.items()}

    g = draw(*layer.forward(*given(x, condition)).shape, seed=4, dtype=x.dtype)
    layer.zero_grad()
    assert not any(grad.any() for grad in layer.grads.values())
    grad_input, once = back(0)
    added, through = back(0.5), back(0.25, need_param_grads=False)
    for found in (added, through):
        assert all(map(np.array_equal, found[0], grad_input))
    for key, grad in once.items():
        np.testing.assert_allclose(added[1][key] - 0.5, grad, rtol=1e-9, atol=1e-12, err_msg=f"{key} adds up")
        assert (through[1][key] == 0.25).all(), f"{key} is left alone"
    if condition is None:  # else both are always computed
        none, grads = back(0, need_input_grad=False)
        assert none is None
        assert all(np.array_equal(grads[key], grad) for key, grad in once.items())
    layer.zero_grad()
    assert not any(grad.any() for grad in layer.grads.values())


@every_layer
def test_what_backward_is_asked(name):
    check_what_backward_is_asked(*pairs(name))


@every_layer
def test_any_layout_of_memory(name):
    layer, x, condition = made(name, 4, np.float64)
    expected = passes(copy.deepcopy(layer), x, condition)
    strided = [None if a is None else np.asfortranarray(a) for a in (x, condition)]
    grad = np.asfortranarray(np.random.default_rng(3).standard_normal(expected["out"].shape))
    close(passes(layer, *strided, grad), expected)


@every_layer
def test_samples_see_each_other_only_where_that_is_said(name):
    layer, x, condition = pairs(name)
    changed, half = x.copy(), len(x) // 2
    changed[half:] += 0.1 * draw(*x[half:].shape, seed=7)
    outs = [copy.deepcopy(layer).forward(*given(each, condition))[:half] for each in (x, changed)]
    assert (np.abs(outs[0] - outs[1]).max() < 1e-12) == (not layer.uses_batch_statistics)
    if not layer.uses_batch_statistics:
        alone = copy.deepcopy(layer).forward(*given(x[:1], None if condition is None else condition[:1]))
        np.testing.assert_allclose(alone, outs[0][:1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in LAYERS if made(name, 0)[0].uses_batch_statistics])
def test_parts_of_a_batch_are_independent(name):
    """Two in one batch are the same as each by itself: all that comes out, the gradients' sum, and the statistics."""
    layer, x, condition = pairs(name)
    once, twice = copy.deepcopy(layer), copy.deepcopy(layer)
    out = once.forward(*given(x, condition), num_splits=2)
    g, conditions = draw(*out.shape, seed=5), [None] * 2 if condition is None else np.split(condition, 2)
    together = once.backward(g)
    outs, backs = [], []
    for part, own, grad in zip(np.split(x, 2), conditions, np.split(g, 2), strict=True):
        outs.append(twice.forward(*given(part, own)))
        backs.append(twice.backward(grad))
    if condition is not None:
        backs, together = [np.concatenate(both, axis=-1) for both in backs], np.concatenate(together, axis=-1)
    close({"out": out, "back": together}, {"out": np.concatenate(outs), "back": np.concatenate(backs)})
    close(once.grads, twice.grads)
    close(once.buffers, twice.buffers)


@every_layer
def test_training_changes_what_it_is_said_to(name):
    layer, *x = made(name, 8, np.float64)
    outs = [copy.deepcopy(layer).forward(*given(*x), training=training) for training in (True, False)]
    assert np.array_equal(*outs) == (name not in CHANGE_IN_TRAINING)


@every_layer
def test_a_copy_is_another_layer(name):
    layer, *x = pairs(name)
    twin, kept = copy.deepcopy(layer), copy.deepcopy(dict(layer.params))
    out = layer.forward(*given(*x), training=False)
    for key, param in twin.params.items():
        twin.params[key] = param + 0.5
    other = twin.forward(*given(*x), training=False)
    assert np.array_equal(other, out) == (not kept)
    assert all(np.array_equal(param, kept[key]) for key, param in layer.params.items())
    twin.backward(out)
    assert not any(grad.any() for grad in layer.grads.values())
    layer.backward(out)  # the copy's passes have not used up what the original remembered


@pytest.mark.parametrize("need_param_grads", [True, False])
def test_networks_that_begin_with_layers_without_parameters(need_param_grads):
    layers = [Flatten(), Tanh(), Dense(12, 3, rng=rng()), LeakyReLU(), Dense(3, 2, rng=rng())]
    network, x = Sequential(layers), draw(4, 2, 3, 2, dtype=np.float32)
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
    """Or one with another formula under a known name: it is what runs."""
    weight, x = draw(4, 3), draw(5, 4, seed=2)
    network = Sequential([Dense(4, 3, bias=False, rng=rng()), Recording()])
    network.params["0.weight"] = weight
    np.testing.assert_allclose(network.forward(x), (x @ weight) ** 2, rtol=1e-12)
    np.testing.assert_allclose(network.backward(np.ones((5, 3))), 2 * (x @ weight) @ weight.T, rtol=1e-12)
    network = Sequential([Doubling(4, 3, bias=False, rng=rng()), ReLU()])
    network.params["0.weight"] = weight
    np.testing.assert_allclose(network.forward(x), np.maximum(2 * x @ weight, 0), rtol=1e-12)


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
    assert not layer.uses_batch_statistics
    assert Sequential([layer, BatchNorm(5)]).uses_batch_statistics
    assert isinstance(layer, Layer)
