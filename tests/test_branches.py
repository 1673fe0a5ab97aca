"""Residual and Concatenation: their formulas, gradients and contract, what would be wrong, and the networks of them."""

import copy

import numpy as np
import pytest
from test_layers import InTwoParts, draw, rng

from minigan.errors import InputError, RunError
from minigan.gradcheck import check_gradients
from minigan.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Flatten,
    Sequential,
    Softplus,
    Tanh,
)
from minigan.layers.branches import Concatenation, Residual
from minigan.models.densenet import dense_block


def lively(layer, dtype=np.float64):
    """Parameters and running statistics with no special values: no bias 0, no γ 1, no mean 0."""
    for seed, (name, param) in enumerate(layer.params.items()):
        layer.params[name] = draw(*param.shape, seed=seed, dtype=dtype) / 2 + (1 if name.endswith("gamma") else 0)
    for seed, (name, buffer) in enumerate(layer.buffers.items()):
        layer.buffers[name] = (np.abs(draw(*buffer.shape, seed=seed + 9)) + 0.5).astype(dtype)
    layer.zero_grad()
    return layer


def conv(inputs, outputs, kernel_size=3, bias=True):
    return Conv2D(inputs, outputs, kernel_size, padding=kernel_size // 2, bias=bias, rng=rng())


def normalised(inputs, outputs):
    return Sequential([BatchNorm(inputs), Softplus(), conv(inputs, 4), Tanh(), conv(4, outputs)])


def projected(residual=Residual):
    """Down: 3 channels to 4, half the size."""
    main = Sequential([conv(3, 4, bias=False), BatchNorm(4), Tanh(), AveragePool2D(2)])
    return residual(main, Sequential([AveragePool2D(2), conv(3, 4, 1, bias=False), BatchNorm(4)]))


def identity(residual=Residual):
    return residual(normalised(3, 3))


def ends_curved(residual=Residual):
    """Its main branch ends in a layer that reads its own output on the way back."""
    return residual(Sequential([conv(3, 3), Tanh()]))


def concatenated(concatenation=Concatenation):
    return concatenation(normalised(3, 2))


def nested():
    inner = Sequential([Residual(normalised(4, 4)), Tanh(), BatchNorm(4)])
    return Sequential([conv(3, 4), Residual(inner), projected_from(4), Flatten(), Dense(2 * 3 * 5, 2, rng=rng())])


def projected_from(inputs):
    return Residual(
        Sequential([BatchNorm(inputs), conv(inputs, 5), Softplus(), AveragePool2D(2)]),
        Sequential([AveragePool2D(2), conv(inputs, 5, 1)]),
    )


def dense_layers():
    layers, seen = dense_block(lambda i, o: [conv(i, o, bias=False), BatchNorm(o), Tanh()], 3, growth=2)
    return Sequential([*layers, conv(seen, 2, 1), Softplus(), Concatenation(Residual(normalised(2, 2)))])


PICTURES = (4, 4, 6, 3)
LAYERS = {
    "identity": (identity, PICTURES),
    "projection": (projected, PICTURES),
    "ends curved": (ends_curved, PICTURES),
    "vectors": (lambda: Residual(Dense(4, 4, rng=rng()), Dense(4, 4, bias=False, rng=rng())), (4, 4)),
    "shortcut with parameters alone": (lambda: Residual(Tanh(), Dense(4, 4, rng=rng())), (4, 4)),
    "concatenation": (concatenated, PICTURES),
    "concatenated vectors": (lambda: Concatenation(Sequential([Dense(4, 3, rng=rng()), Tanh()])), (4, 4)),
    "nested": (nested, PICTURES),
    "dense block": (dense_layers, PICTURES),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def make(name, dtype=np.float64):
    build, shape = LAYERS[name]
    return lively(build().astype(dtype), dtype), draw(*shape, dtype=dtype, seed=2)


# ---- the checks, each of which a planted bug below must fail


def gradients(layer, x, training=True):
    """Central differences of every parameter and the input, whole and with the batch normalised in two parts."""
    for network in (layer, InTwoParts([layer])):
        report = check_gradients(network, x, training=training, tolerance=1e-7, max_entries=25)
        assert report.ok, report
        if network.mixes_samples and network is not layer:
            whole, parted = (twin.forward(x, training) for twin in copy.deepcopy((layer, network)))
            assert np.allclose(whole, parted) == (not training), "parts reach the batch norms, in training only"


def formula(layer, x):
    """Output and gradients are those of the formula, worked out on copies of the branches."""
    for training, parts in ((True, 1), (True, 2), (False, 1)):
        branches = copy.deepcopy(layer.parts)
        ways = {name: {"parts": parts} if branch.mixes_samples else {} for name, branch in branches.items()}
        outs = {name: branch.forward(x, training, **ways[name]) for name, branch in branches.items()}
        out = layer.forward(x, training, parts=parts)
        g = draw(*out.shape, seed=4)
        if isinstance(layer, Residual):
            expected = outs["main"] + outs.get("shortcut", x)
            back = [branch.backward(g) for branch in branches.values()]
            grad_input = sum(back) + (0 if "shortcut" in branches else g)
        else:
            expected = np.concatenate([x, outs["branch"]], axis=-1)
            grad_input = g[..., : x.shape[-1]] + branches["branch"].backward(g[..., x.shape[-1] :].copy())
        np.testing.assert_allclose(out, expected, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(layer.backward(g), grad_input, rtol=1e-13, atol=1e-13)
        expected = {f"{name}.{key}": b for name, part in branches.items() for key, b in part.buffers.items()}
        assert layer.buffers.keys() == expected.keys()
        for key, buffer in layer.buffers.items():
            np.testing.assert_allclose(buffer, expected[key], rtol=1e-13)


def contract(layer, x):
    """What layers/base.py promises of backward and its options."""
    g = draw(*layer.forward(x).shape, seed=4)
    kept = {key: array.copy() for key, array in {"x": x, "g": g, **layer.params}.items()}

    def back(before, **options):
        for grad in layer.grads.values():
            grad[...] = before
        out = layer.forward(x)
        out_kept, grad_input = out.copy(), layer.backward(g, **options)
        assert np.array_equal(out, out_kept), "the output belongs to the next layer"
        return grad_input, {key: grad.copy() for key, grad in layer.grads.items()}

    layer.zero_grad()
    grad_input = layer.backward(g)
    once = {key: grad.copy() for key, grad in layer.grads.items()}
    assert once.keys() == layer.params.keys()
    assert all(np.abs(grad).max() > 1e-9 for grad in once.values())

    added = back(0.5)
    assert np.array_equal(added[0], grad_input)
    for key, grad in added[1].items():
        np.testing.assert_allclose(grad - 0.5, once[key], rtol=1e-9, atol=1e-12, err_msg=f"{key} adds up")
    replaced = back(7, replace_grads=True)
    assert np.array_equal(replaced[0], grad_input)
    through = back(0.25, need_param_grads=False)
    assert np.array_equal(through[0], grad_input)
    ended = back(0, need_input_grad=False)
    assert ended[0] is None
    for key, grad in once.items():
        assert np.array_equal(replaced[1][key], grad), f"{key} is replaced"
        assert (through[1][key] == 0.25).all(), f"{key} is left alone"
        assert np.array_equal(ended[1][key], grad), f"{key} needs no gradient of the input"
    for key, array in {"x": x, "g": g, **layer.params}.items():
        assert np.array_equal(array, kept[key]), f"{key} was changed"
    layer.zero_grad()
    assert not any(grad.any() for grad in layer.grads.values())


@every_layer
@pytest.mark.parametrize("training", [True, False])
def test_gradients(name, training):
    gradients(*make(name), training=training)


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in ("nested", "dense block")])
def test_formula(name):
    formula(*make(name))


@every_layer
def test_contract(name):
    contract(*make(name))


# ---- planted bugs


def joined(wrong):
    """Residual with wrong(main's gradient, the shortcut's, g) for their sum."""

    class Wrong(Residual):
        def _backward(self, grad_output, cache, need):
            main, shortcut = self._back("main", grad_output, need, inner=True), grad_output
            if "shortcut" in self.parts:
                shortcut = self._back("shortcut", grad_output, need, inner=True)
            return wrong(main, shortcut, grad_output) if need.input else None

    return Wrong


def cut(straight=0, branch=0, straight_counts=1, branch_counts=1):
    """Concatenation whose two parts of g begin so many channels too late, and then count so much."""

    class Wrong(Concatenation):
        def _backward(self, grad_output, shape, need):
            own = shape[-1]
            more = grad_output.shape[-1] - own
            back = self._back("branch", grad_output[..., own + branch :][..., :more], need, inner=True)
            grad_input = straight_counts * grad_output[..., straight:][..., :own] + branch_counts * back
            return grad_input if need.input else None

    return Wrong


def deaf(base, branch=None, **ignored):
    """A class that handles its options, or those of one branch, as if they were always `ignored`."""

    class Wrong(base):
        def _run(self, name, x, training, parts=1):
            return super()._run(name, x, ignored.get("training", training), ignored.get("parts", parts))

        def _back(self, name, grad, need, inner=False):
            if branch in (None, name):
                need = need._replace(**{key: value for key, value in ignored.items() if key in need._fields})
            return super()._back(name, grad, need, inner)

        def _backward(self, grad_output, cache, need):
            return super()._backward(grad_output, cache, need._replace(input=ignored.get("input", need.input)))

    return Wrong


class InPlace(Residual):
    def _forward(self, x, training, parts):
        out = self._run("main", x, training, parts)
        out += x
        return out, None


class Difference(joined(lambda main, shortcut, g: main - g)):
    """Wrong both ways alike, which no gradient check can see."""

    def _forward(self, x, training, parts):
        return self._run("main", x, training, parts) - x, None


class Reversed(Concatenation):
    """[branch(x), x], the gradient split to match."""

    def _forward(self, x, training, parts):
        return np.concatenate([self._run("branch", x, training, parts), x], axis=-1), x.shape

    def _backward(self, grad_output, shape, need):
        back = self._back("branch", grad_output[..., : -shape[-1]], need)
        return grad_output[..., -shape[-1] :] + back if need.input else None


PLANTED = {  # the right layer's builder, the wrong class, the check that finds it
    "nothing": (projected, joined(lambda main, shortcut, g: main + shortcut), None),
    "shortcut's gradient forgotten": (projected, joined(lambda main, shortcut, g: main), gradients),
    "identity's gradient forgotten": (identity, joined(lambda main, shortcut, g: main), gradients),
    "identity's gradient twice": (identity, joined(lambda main, shortcut, g: main + 2 * g), gradients),
    "main's gradient forgotten": (identity, joined(lambda main, shortcut, g: g.copy()), gradients),
    "branches averaged": (projected, joined(lambda main, shortcut, g: (main + shortcut) / 2), gradients),
    "main without gradients": (projected, deaf(Residual, "main", params=False), gradients),
    "shortcut without gradients": (projected, deaf(Residual, "shortcut", params=False), gradients),
    "added in place": (ends_curved, InPlace, gradients),
    "difference": (identity, Difference, formula),
    "parts ignored": (projected, deaf(Residual, parts=1), formula),
    "always in training": (projected, deaf(Residual, training=True), formula),
    "replace ignored": (projected, deaf(Residual, replace=False), contract),
    "replace ignored by the shortcut": (projected, deaf(Residual, "shortcut", replace=False), contract),
    "always replaces": (projected, deaf(Residual, replace=True), contract),
    "need_param_grads ignored": (identity, deaf(Residual, params=True), contract),
    "need_input_grad ignored": (identity, deaf(Residual, input=True), contract),
    "grad_output overwritten": (identity, joined(lambda main, shortcut, g: np.add(main, g, out=g)), contract),
    "uncut": (concatenated, cut(), None),
    "order": (concatenated, Reversed, formula),
    "branch's part begins early": (concatenated, cut(branch=-1), gradients),
    "branch's part first": (concatenated, cut(branch=-3, straight=2), gradients),
    "straight part begins late": (concatenated, cut(straight=1), gradients),
    "straight part forgotten": (concatenated, cut(straight_counts=0), gradients),
    "branch's part forgotten": (concatenated, cut(branch_counts=0), gradients),
    "branch without gradients": (concatenated, deaf(Concatenation, params=False), gradients),
    "branch's parts ignored": (concatenated, deaf(Concatenation, parts=1), formula),
    "branch's replace ignored": (concatenated, deaf(Concatenation, replace=False), contract),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted(name):
    build, wrong, finds = PLANTED[name]
    x = draw(*PICTURES, seed=2)
    for check in (finds,) if finds else (gradients, formula, contract):  # it is the bug that is found, not the class
        check(lively(build().astype(np.float64)), x)
        if not finds:
            check(lively(build(wrong).astype(np.float64)), x)
    if finds:
        with pytest.raises(AssertionError) as caught:
            finds(lively(build(wrong).astype(np.float64)), x)
        assert "raised" not in str(caught.value), "it must be caught as a wrong number, not by crashing"


# ---- parameters, copies, errors


def test_parameters_may_be_replaced():
    """Also from outside a Sequential: the layer itself gets the array, and computes with it."""
    dense, shortcut = Dense(4, 3, rng=rng()), Dense(4, 3, bias=False, rng=rng())
    network = Sequential([Residual(Sequential([dense]), shortcut), Concatenation(Dense(3, 2, rng=rng()))])
    names = {"0.main.0.weight", "0.main.0.bias", "0.shortcut.weight", "1.branch.weight", "1.branch.bias"}
    assert set(network.params) == set(network.grads) == names
    new = {name: draw(*param.shape, seed=seed) for seed, (name, param) in enumerate(network.params.items())}
    network.params.update(new)
    network.layers[0].params["main.0.bias"] = bias = draw(3, seed=8)
    assert dense.params["bias"] is bias
    assert shortcut.params["weight"] is new["0.shortcut.weight"]
    x = draw(5, 4, seed=9)
    h = x @ new["0.main.0.weight"] + bias + x @ new["0.shortcut.weight"]
    expected = np.hstack([h, h @ new["1.branch.weight"] + new["1.branch.bias"]])
    np.testing.assert_allclose(network.forward(x), expected, rtol=1e-13)
    network.backward(np.ones((5, 5)))
    np.testing.assert_allclose(network.grads["0.shortcut.weight"], network.grads["0.main.0.weight"], rtol=1e-13)
    network.zero_grad()
    assert {grad.dtype for grad in network.grads.values()} == {np.dtype(np.float64)}


@every_layer
def test_a_copy_is_another_layer(name):
    layer, x = make(name)
    twin = copy.deepcopy(layer)
    out, kept = layer.forward(x), {key: param.copy() for key, param in layer.params.items()}
    assert np.array_equal(twin.forward(x), out)
    for key, param in twin.params.items():
        twin.params[key] = param + 0.5
    assert not np.allclose(twin.forward(x), out)
    assert all(np.array_equal(param, kept[key]) for key, param in layer.params.items())
    twin.backward(out)
    assert not any(grad.any() for grad in layer.grads.values())
    layer.backward(out)  # the copy's passes have not used up what the original remembered


@every_layer
def test_float32_stays_float32(name):
    layer, x = make(name, np.float32)
    out = layer.forward(x)
    assert out.dtype == layer.backward(out).dtype == np.float32
    assert {array.dtype for array in [*layer.grads.values(), *layer.buffers.values()]} == {np.dtype(np.float32)}
    exact = make(name)[0].forward(x.astype(np.float64))
    np.testing.assert_allclose(out, exact, rtol=0, atol=1e-4 * np.abs(exact).max())
    assert layer.output_shape(x.shape[1:]) == out.shape[1:]
    assert layer.mixes_samples == bool(layer.buffers), "only batch norms have buffers here"


def wide(residual=True):
    return Residual(conv(3, 4)) if residual else Concatenation(AveragePool2D(2))


WRONG = [
    (lambda: Residual(np.tanh), "^Residual: main is <ufunc 'tanh'>, expected a layer"),
    (lambda: Residual(Tanh(), [Tanh()]), r"^Residual: shortcut is \[Tanh\(\)\], expected a layer, e.g. a Sequential"),
    (lambda: Concatenation(None), "^Concatenation: branch is None, expected a layer"),
    (lambda: wide().forward(draw(*PICTURES, dtype=np.float32)), r"main gives \(4, 4, 6, 4\) .*shortcut \(4, 4, 6, 3\)"),
    (lambda: wide().output_shape((4, 6, 3)), r"^Residual\(main=.*main gives \(4, 6, 4\) and the shortcut \(4, 6, 3\)"),
    (lambda: Residual(Tanh(), conv(3, 1, 1)).forward(draw(*PICTURES, dtype=np.float32)), "expected the same shape"),
    (lambda: wide(False).forward(draw(*PICTURES)), r"x is \(4, 4, 6, 3\) and the branch gives \(4, 2, 3, 3\)"),
    (lambda: wide(False).output_shape((4, 6, 3)), r"^Concatenation\(branch=.*x is \(4, 6, 3\) .* gives \(2, 3, 3\)"),
    (lambda: Concatenation(Flatten()).forward(draw(*PICTURES)), r"the branch gives \(4, 72\)"),
    (lambda: wide().forward(draw(*PICTURES)), r"^Residual.*x is float64 but params\['main.weight'\] is float32"),
    (lambda: wide().params.update({"main.gamma": 1}), "^Residual has no entry 'main.gamma'; .* main.weight, main.bias"),
    (lambda: concatenated().params.update({"0.weight": 1}), "^Concatenation has no entry '0.weight'"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("name", ["projection", "concatenation"])
def test_one_backward_per_forward(name):
    layer, x = make(name)
    with pytest.raises(RunError, match=r"backward: there is no forward to go with it"):
        layer.backward(x)
    out = layer.forward(x)
    with pytest.raises(InputError, match=r"backward: grad_output is float64 .*, expected float64 \(4, "):
        layer.backward(out[..., :-1])
    layer.backward(out)  # the mistake can be mended without a new forward
    with pytest.raises(RunError, match="call forward again first"):
        layer.backward(out)
