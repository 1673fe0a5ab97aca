"""Optimizers against plain float64 loops of their docstrings' formulas."""

import copy
import math

import numpy as np
import pytest

from minigan.base.errors import InputError
from minigan.layers import BatchNorm, Dense, Sequential
from minigan.optim import OPTIMIZERS, SGD, Adagrad, Adam, Momentum, RMSprop

STEPS = 5


def sgd(theta, grads, lr):
    for g in grads:
        theta = theta - lr * g
    return theta


def momentum(theta, grads, lr, momentum):
    v = 0
    for g in grads:
        v = momentum * v + g
        theta = theta - lr * v
    return theta


def rmsprop(theta, grads, lr, rho, eps):
    v = 0
    for g in grads:
        v = rho * v + (1 - rho) * g**2
        theta = theta - lr * g / (np.sqrt(v) + eps)
    return theta


def adagrad(theta, grads, lr, eps):
    s = 0
    for g in grads:
        s = s + g**2
        theta = theta - lr * g / (np.sqrt(s) + eps)
    return theta


def adam(theta, grads, lr, beta1, beta2, eps):
    m = v = 0
    for t, g in enumerate(grads, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        theta = theta - lr * m_hat / (np.sqrt(v_hat) + eps)
    return theta


CASES = [  # an eps as large as √v shows where it stands: inside the root or outside, before the correction or after
    (SGD, sgd, {"lr": 0.1}),
    (Momentum, momentum, {"lr": 0.1, "momentum": 0.8}),
    (Momentum, momentum, {"lr": 0.1, "momentum": 0}),
    (RMSprop, rmsprop, {"lr": 0.01, "rho": 0.9, "eps": 1e-8}),
    (RMSprop, rmsprop, {"lr": 0.01, "rho": 0.5, "eps": 0.3}),
    (Adagrad, adagrad, {"lr": 0.1, "eps": 1e-10}),
    (Adagrad, adagrad, {"lr": 0.1, "eps": 0.3}),
    (Adam, adam, {"lr": 0.01, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}),
    (Adam, adam, {"lr": 0.01, "beta1": 0.5, "beta2": 0.9, "eps": 0.3}),
    (Adam, adam, {"lr": 0.01, "beta1": 0, "beta2": 0, "eps": 1e-3}),
]


def network(dtype=np.float64, seed=3):
    rng = np.random.default_rng(seed)
    return Sequential([Dense(3, 4, rng=rng), BatchNorm(4), Dense(4, 2, bias=False, rng=rng)]).astype(dtype)


def random_grads(net, seed, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return [{name: rng.standard_normal(p.shape).astype(dtype) for name, p in net.params.items()} for _ in range(STEPS)]


def run(optimizer, net, grads):
    for step_grads in grads:
        for name, grad in step_grads.items():
            net.grads[name][...] = grad
        optimizer.step()


@pytest.mark.parametrize(("optimizer", "formula", "settings"), CASES)
def test_formula(optimizer, formula, settings):
    net = network()
    grads, start = random_grads(net, 1), {name: p.copy() for name, p in net.params.items()}
    arrays = dict(net.params)
    made = optimizer(net, **settings)
    run(made, net, grads)
    assert made.steps == STEPS
    for name, param in net.params.items():
        assert param is arrays[name], "parameters move in place"
        expected = formula(start[name], [step[name] for step in grads], **settings)
        assert not np.allclose(param, start[name], rtol=1e-3)
        np.testing.assert_allclose(param, expected, rtol=1e-12, atol=1e-14, err_msg=name)
        assert np.array_equal(net.grads[name], grads[-1][name]), "a step leaves the gradients as they are"


def test_defaults_are_the_documented_ones():
    documented = {
        SGD: (sgd, {"lr": 0.01}),
        Momentum: (momentum, {"lr": 0.01, "momentum": 0.9}),
        RMSprop: (rmsprop, {"lr": 1e-3, "rho": 0.99, "eps": 1e-8}),
        Adagrad: (adagrad, {"lr": 0.01, "eps": 1e-10}),
        Adam: (adam, {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}),
    }
    assert set(documented) == set(OPTIMIZERS.values())
    for optimizer, (formula, settings) in documented.items():
        net = network()
        grads, start = random_grads(net, 2), net.params["0.weight"].copy()
        run(optimizer(net), net, grads)
        expected = formula(start, [step["0.weight"] for step in grads], **settings)
        np.testing.assert_allclose(net.params["0.weight"], expected, rtol=1e-12, err_msg=optimizer.__name__)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replaced_parameters_are_followed(name):
    """From float32 to float64 in the middle of a run: the memory comes along."""
    net, exact = network(np.float32), network(np.float64)
    grads = random_grads(net, 4, np.float32)
    made, twin = OPTIMIZERS[name](net, lr=0.01), OPTIMIZERS[name](exact, lr=0.01)
    run(made, net, grads[:2])
    net.params.update({key: param.astype(np.float64) for key, param in net.params.items()})
    net.zero_grad()
    run(made, net, grads[2:])
    run(twin, exact, grads)
    assert all(array.dtype == np.float64 for slot in made.memory.values() for array in slot.values())
    for key, param in net.params.items():
        assert param.dtype == np.float64
        np.testing.assert_allclose(param, exact.params[key], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_deep_copy_moves_its_own_parameters(name):
    """Views kept from step to step are views no more once they are copied."""
    net = network()
    grads = random_grads(net, 4)
    made = OPTIMIZERS[name](net, lr=0.01)
    run(made, net, grads[:2])
    other = copy.deepcopy(made)
    before = {key: param.copy() for key, param in net.params.items()}
    run(other, other.network, grads[2:])
    assert all((net.params[key] == param).all() for key, param in before.items())
    run(made, net, grads[2:])
    for key, param in net.params.items():
        np.testing.assert_array_equal(other.network.params[key], param)


def test_a_parameter_that_is_not_contiguous():
    dense = Dense(3, 2, rng=np.random.default_rng(3))
    dense.params["weight"] = dense.params["weight"].T.copy().T
    with pytest.raises(InputError, match=r"SGD.step: params\['weight'\] is not contiguous"):
        SGD(dense).step()


WRONG = [
    (SGD, {"lr": 0}, "SGD: lr is 0, expected a number above 0"),
    (SGD, {"lr": -1}, "SGD: lr is -1"),
    (Adam, {"lr": math.nan}, "Adam: lr is nan"),
    (Adam, {"lr": math.inf}, "Adam: lr is inf"),
    (Adam, {"lr": "fast"}, "Adam: lr is 'fast'"),
    (Momentum, {"momentum": 1}, r"Momentum: momentum is 1, expected a number of at least 0 and below 1"),
    (RMSprop, {"rho": -0.1}, r"RMSprop: rho is -0\.1"),
    (RMSprop, {"eps": 0}, "RMSprop: eps is 0"),
    (Adagrad, {"eps": -1}, "Adagrad: eps is -1"),
    (Adam, {"beta1": 1.0}, r"Adam: beta1 is 1\.0"),
    (Adam, {"beta2": None}, "Adam: beta2 is None"),
    (Adam, {"eps": 0}, "Adam: eps is 0"),
]


@pytest.mark.parametrize(("optimizer", "settings", "message"), WRONG)
def test_errors(optimizer, settings, message):
    with pytest.raises(InputError, match=message):
        optimizer(network(), **settings)
