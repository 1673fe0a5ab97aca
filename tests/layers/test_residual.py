"""Residual and Concatenation: their formulas, gradients and contract, what would be wrong, and the networks of them."""

import copy
from functools import cache

import numpy as np
import pytest
from samples import draw, rng
from test_layer_contract import check_nothing_given_is_changed, check_what_backward_is_asked
from test_layers import InTwoParts

from minigan.gradcheck import check_gradients
from minigan.layers import AveragePool2D, BatchNorm, Conv2D, Dense, Flatten, Sequential, Softplus, Tanh
from minigan.layers.residual import Concatenation, Residual
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


def contract(layer, x):
    check_nothing_given_is_changed(layer, x)
    check_what_backward_is_asked(layer, x)


def gradients(layer, x, training=True):
    """Central differences of every parameter and the input, whole and with the batch normalised in two parts."""
    for network in (layer, InTwoParts([layer])):
        report = check_gradients(network, x, training=training, tolerance=1e-7, max_entries=25)
        assert report.ok, report
        if network.uses_batch_statistics and network is not layer:
            whole, parted = (twin.forward(x, training) for twin in copy.deepcopy((layer, network)))
            assert np.allclose(whole, parted) == (not training), "parts reach the batch norms, in training only"


def formula(layer, x):
    """Output and gradients are those of the formula, worked out on copies of the branches."""
    for training, num_splits in ((True, 1), (True, 2), (False, 1)):
        branches = copy.deepcopy(layer.children)
        ways = {
            name: {"num_splits": num_splits} if branch.uses_batch_statistics else {}
            for name, branch in branches.items()
        }
        outs = {name: branch.forward(x, training, **ways[name]) for name, branch in branches.items()}
        out = layer.forward(x, training, num_splits=num_splits)
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
    check_nothing_given_is_changed(*make(name, np.float32))


# ---- planted bugs


def joined(wrong):
    """Residual with wrong(main's gradient, the shortcut's, g) for their sum."""

    class Wrong(Residual):
        def _backward(self, grad_output, cache, need):
            main, shortcut = self._back("main", grad_output, need, inner=True), grad_output
            if "shortcut" in self.children:
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
        def _run(self, name, x, training, num_splits=1):
            return super()._run(name, x, ignored.get("training", training), ignored.get("num_splits", num_splits))

        def _back(self, name, grad, need, inner=False):
            if branch in (None, name):
                need = need._replace(**{key: value for key, value in ignored.items() if key in need._fields})
            return super()._back(name, grad, need, inner)

        def _backward(self, grad_output, cache, need):
            return super()._backward(grad_output, cache, need._replace(input=ignored.get("input", need.input)))

    return Wrong


class InPlace(Residual):
    def _forward(self, x, training, num_splits):
        out = self._run("main", x, training, num_splits)
        out += x
        return out, None


class Difference(joined(lambda main, shortcut, g: main - g)):
    """Wrong both ways alike, which no gradient check can see."""

    def _forward(self, x, training, num_splits):
        return self._run("main", x, training, num_splits) - x, None


class Reversed(Concatenation):
    """[branch(x), x], the gradient split to match."""

    def _forward(self, x, training, num_splits):
        return np.concatenate([self._run("branch", x, training, num_splits), x], axis=-1), x.shape

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
    "parts ignored": (projected, deaf(Residual, num_splits=1), formula),
    "always in training": (projected, deaf(Residual, training=True), formula),
    "need_param_grads ignored": (identity, deaf(Residual, params=True), contract),
    "grad_output overwritten": (identity, joined(lambda main, shortcut, g: np.add(main, g, out=g)), contract),
    "uncut": (concatenated, cut(), None),
    "order": (concatenated, Reversed, formula),
    "branch's part begins early": (concatenated, cut(branch=-1), gradients),
    "branch's part first": (concatenated, cut(branch=-3, straight=2), gradients),
    "straight part begins late": (concatenated, cut(straight=1), gradients),
    "straight part forgotten": (concatenated, cut(straight_counts=0), gradients),
    "branch's part forgotten": (concatenated, cut(branch_counts=0), gradients),
    "branch without gradients": (concatenated, deaf(Concatenation, params=False), gradients),
    "branch's parts ignored": (concatenated, deaf(Concatenation, num_splits=1), formula),
}


@cache
def passes(build, check):
    """It is the bug that is found, not the class."""
    check(lively(build().astype(np.float64)), draw(*PICTURES, seed=2))


@pytest.mark.parametrize("name", PLANTED)
def test_planted(name):
    build, wrong, finds = PLANTED[name]
    x = draw(*PICTURES, seed=2)
    for check in (finds,) if finds else (gradients, formula, contract):
        passes(build, check)
        if not finds:
            check(lively(build(wrong).astype(np.float64)), x)
    if finds:
        with pytest.raises(AssertionError) as caught:
            finds(lively(build(wrong).astype(np.float64)), x)
        assert "raised" not in str(caught.value), "it must be caught as a wrong number, not by crashing"


# ---- parameters


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
