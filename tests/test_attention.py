"""Self-attention: formula, gradients, symmetries, extreme scores, PyTorch, and bugs that must be found.

Each property is a function check_…(layer, x) that the right layer passes and that some wrong one has to fail.
"""

import copy
import inspect
import math

import numpy as np
import pytest

from minigan.errors import InputError
from minigan.gradcheck import check_function, check_gradients
from minigan.kernels import threads
from minigan.layers import Dense, Flatten, Sequential, Tanh
from minigan.layers import attention as module
from minigan.layers.attention import SelfAttention2D, attention_backward, attention_forward, self_attention_forward

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CASES = {  # the class's arguments, the shape of x
    "square": ((8,), (3, 3, 3, 8)),
    "rectangle, three features": ((6, 2), (2, 2, 4, 6)),
    "odd channels": ((5, 1), (3, 3, 2, 5)),
    "one channel": ((1,), (3, 2, 3, 1)),
    "one pixel": ((4, 2), (3, 1, 1, 4)),
    "one sample": ((4, 2), (1, 3, 2, 4)),
}
every_case = pytest.mark.parametrize("name", CASES)


def draw(*shape, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def rng():
    return np.random.default_rng(3)


def lively(layer, dtype=np.float64):
    """Every weight drawn anew, γ about 2: where it is 0, all other gradients are too."""
    layer.astype(dtype)
    for seed, (name, param) in enumerate(layer.params.items()):
        layer.params[name] = 0.7 * draw(*param.shape, seed=seed, dtype=dtype) + dtype(2 if name == "gamma" else 0)
    layer.zero_grad()
    return layer


def case(name, dtype=np.float64):
    arguments, shape = CASES[name]
    return lively(SelfAttention2D(*arguments, rng=rng()), dtype), draw(*shape, seed=11, dtype=dtype)


def every_pass(layer, x, **how):
    """[out, grad_input, the parameters' gradients …] of one forward and one backward pass."""
    layer.zero_grad()
    out = layer.forward(x)
    grad_input = layer.backward(draw(*out.shape, seed=5, dtype=x.dtype), **how)
    return [out, grad_input, *(grad.copy() for grad in layer.grads.values())]


def loops(queries, keys, values):
    """One sample's attention, number by number: queries (P, D), keys (Q, D), values (Q, E) -> (P, E)."""
    out = np.zeros((len(queries), values.shape[1]))
    for p, q in enumerate(queries):
        powers = [math.exp(sum(a * b for a, b in zip(q, k, strict=True))) for k in keys]
        for power, value in zip(powers, values, strict=True):
            out[p] += power / sum(powers) * value
    return out


def check_forward(layer, x):
    """Against SAGAN's equations: f makes the keys, g the queries, h the values."""
    g, f, h, o, gamma = layer.params.values()
    expected = np.empty_like(x)
    for n, picture in enumerate(x):
        places = picture.reshape(-1, x.shape[3])
        expected[n] = (places + gamma * (loops(places @ g, places @ f, places @ h) @ o)).reshape(picture.shape)
    np.testing.assert_allclose(layer.forward(x), expected, rtol=0, atol=1e-11)


def check_backward(layer, x):
    report = check_gradients(layer, x, tolerance=1e-7, max_entries=80)
    assert report.ok, f"{report}"


def check_starts_as_identity(layer, x):
    """With γ = 0: y = x, only γ has a gradient, and what comes back is what was sent."""
    layer.params["gamma"] = np.zeros(1, x.dtype)
    layer.zero_grad()
    g, out = draw(*x.shape, seed=5, dtype=x.dtype), layer.forward(x)
    assert np.array_equal(out, x)
    assert np.array_equal(layer.backward(g), g)
    assert abs(layer.grads["gamma"][0]) > 1e-3
    assert not any(grad.any() for name, grad in layer.grads.items() if name != "gamma")


def check_equivariance(layer, x):
    """The places have no order: to permute them, forwards or backwards, is to permute what comes out."""
    shuffle = np.random.default_rng(6).permutation(x.shape[1] * x.shape[2])

    def permuted(picture):
        return picture.reshape(len(x), -1, x.shape[3])[:, shuffle].reshape(x.shape)

    g, out = draw(*x.shape, seed=5), layer.forward(x)
    grad_input, moved = layer.backward(g), layer.forward(permuted(x))
    np.testing.assert_allclose(moved, permuted(out), rtol=0, atol=1e-12)
    np.testing.assert_allclose(layer.backward(permuted(g)), permuted(grad_input), rtol=0, atol=1e-11)


def check_extremes(layer, x):
    """Scores of ±1000 and more: a place attends to the one with the largest score, and every gradient is finite."""
    scores = np.array([[-1e3, 1e3, 0], [1e3, -1e3, -1e3], [-1e3, -1.1e3, -5e3], [5e4, -5e4, 4e4]])
    queries, keys, values = scores[None].astype(np.float32), np.eye(3, dtype=np.float32)[None], x[:1, 0, :3]
    values = values.astype(np.float32)
    out, cache = attention_forward(queries, keys, values)
    np.testing.assert_allclose(out[0], values[0, [1, 0, 0, 0]], rtol=1e-6)
    for grad in attention_backward(np.ones_like(out), cache):
        assert np.isfinite(grad).all()


# ---- the layer is right


@pytest.mark.parametrize("check", [check_forward, check_backward, check_starts_as_identity, check_equivariance])
@every_case
def test_against_formula_differences_and_symmetries(name, check):
    check(*case(name))


def test_extreme_scores():
    check_extremes(*case("square"))


@every_dtype
def test_extreme_scores_in_the_layer(dtype):
    layer, x = case("square", dtype)
    layer.params["query.weight"] *= dtype(1e3)
    x = 3 * x
    scores = np.abs(
        (x @ layer.params["query.weight"]).reshape(27, -1) @ (x @ layer.params["key.weight"]).reshape(-1, 27)
    )
    assert scores.max() > 1e4
    assert all(np.isfinite(result).all() for result in every_pass(layer, x))


def test_attention_itself_may_look_elsewhere():
    """Other places as keys than as queries (P ≠ Q), and values of another length: the softmax is over the keys."""
    queries, keys, values = draw(2, 4, 3), draw(2, 5, 3, seed=2), draw(2, 5, 6, seed=3)
    out, _ = attention_forward(queries, keys, values)
    np.testing.assert_allclose(out, [loops(*sample) for sample in zip(queries, keys, values, strict=True)], atol=1e-13)
    g = draw(*out.shape, seed=4)

    def objective(*arrays):
        out, cache = attention_forward(*arrays)
        return float((g * out).sum()), *attention_backward(g, cache)

    report = check_function(objective, queries, keys, values, names=["queries", "keys", "values"], tolerance=1e-7)
    assert report.ok, f"{report}"


def test_alike_places_are_averaged():
    """Queries of 0 attend to all places alike: the output is the mean of the values."""
    values = draw(2, 5, 6)
    out, _ = attention_forward(np.zeros((2, 3, 4)), draw(2, 5, 4), values)
    np.testing.assert_allclose(out, np.repeat(values.mean(axis=1, keepdims=True), 3, axis=1), atol=1e-15)


@every_case
def test_a_sample_sees_no_other_and_training_changes_nothing(name):
    layer, x = case(name)
    out, alone = layer.forward(x), layer.forward(x[:1])
    np.testing.assert_allclose(alone, out[:1], rtol=1e-12)
    changed = np.concatenate([x[:1], 100 * draw(2, *x.shape[1:], seed=8)])
    np.testing.assert_allclose(layer.forward(changed)[:1], alone, rtol=1e-12)
    assert np.array_equal(layer.forward(x, training=False), out)
    assert not layer.mixes_samples


@every_case
@every_dtype
def test_dtype_stays_and_nothing_given_is_changed(name, dtype):
    layer, x = case(name, dtype)
    kept, params = x.copy(), copy.deepcopy(layer.params)
    results = every_pass(layer, x)
    assert np.array_equal(x, kept)
    assert all(np.array_equal(layer.params[key], param) for key, param in params.items())
    expected = every_pass(layer.astype(np.float64), x.astype(np.float64))
    for result, right in zip(results, expected, strict=True):
        assert (result.dtype, result.shape) == (dtype, right.shape)
        assert np.abs(result - right).max() <= TOLERANCE[dtype] * max(1, np.abs(right).max())


def test_gradients_are_replaced_or_left_out_as_asked():
    layer, x = case("square")
    _, grad_input, *grads = every_pass(layer, x)
    for grad in layer.grads.values():
        grad[...] = 7
    layer.forward(x)
    g = draw(*x.shape, seed=5)
    assert layer.backward(g, need_input_grad=False, replace_grads=True) is None
    assert all(map(np.array_equal, layer.grads.values(), grads))
    layer.forward(x)
    assert np.array_equal(layer.backward(g, need_param_grads=False), grad_input)
    assert all(map(np.array_equal, layer.grads.values(), grads))


def test_any_memory_layout():
    layer, _ = case("square")
    strided, g = draw(8, 3, 2, 4).T, draw(8, 3, 2, 4, seed=2).T
    results = []
    for x, grad in ((strided, g), (np.ascontiguousarray(strided), np.ascontiguousarray(g))):
        results.append([layer.forward(x), layer.backward(grad)])
    assert all(map(np.array_equal, *results))


def test_the_number_of_threads_changes_nothing():
    queries, keys, values = draw(40, 49, 4), draw(40, 49, 4, seed=2), draw(40, 49, 8, seed=3)

    def passes():
        out, cache = attention_forward(queries, keys, values)
        return [out, *attention_backward(draw(*out.shape, seed=4), cache)]

    assert threads.WORTHWHILE < 4 * 40 * 49 * 49, "the work is shared only where it is worthwhile"
    with threads.threads(1):
        alone = passes()
    with threads.threads(threads.available_cores()):
        assert all(map(np.array_equal, alone, passes()))


def test_inside_a_network():
    layers = [
        SelfAttention2D(4, 2, rng=rng()),
        Tanh(),
        SelfAttention2D(4, rng=rng()),
        Flatten(),
        Dense(24, 2, rng=rng()),
    ]
    network = Sequential(layers).astype(np.float64)
    for seed, (name, param) in enumerate(network.params.items()):
        network.params[name] = 0.6 * draw(*param.shape, seed=seed) + (1 if name.endswith("gamma") else 0)
    check_backward(network, draw(3, 2, 3, 4))
    assert network.output_shape((2, 3, 4)) == (2,)


# ---- bugs: a changed line in a formula must be found by the check that is named


ATTEND, BACK = "_attend", "_attend_backward"
WHOLE, WHOLE_BACK = "self_attention_forward", "self_attention_backward"
BUGS = {  # the check, the function, what stands there, what stands there instead
    "softmax over the queries": (check_forward, ATTEND, "beta.sum(axis=1", "beta.sum(axis=0"),
    "softmax not normalised": (check_forward, ATTEND, "beta /= beta.sum(axis=1, keepdims=True)", "pass"),
    "scores scaled, as in transformers": (check_forward, ATTEND, "keys[n].T", "keys[n].T / keys.shape[2] ** 0.5"),
    "queries and keys swapped": (check_forward, ATTEND, "queries[n], keys[n].T", "keys[n], queries[n].T"),
    "another sample's values": (check_forward, ATTEND, "values[n]", "values[0]"),
    "maximum not subtracted": (check_extremes, ATTEND, "beta -= beta.max(axis=1, keepdims=True)", "pass"),
    "one maximum for all rows": (check_extremes, ATTEND, "beta.max(axis=1, keepdims=True)", "beta.max()"),
    "x not added": (check_forward, WHOLE, "out += rows", "out += 0"),
    "γ forgotten": (check_starts_as_identity, WHOLE, "np.multiply(seen, gamma,", "np.multiply(seen, 1,"),
    "γ at x": (check_starts_as_identity, WHOLE, "out += rows", "out += gamma * rows"),
    "a place told its number": (
        check_equivariance,
        WHOLE,
        "seen = _product(attended, output)",
        "seen = _product(attended, output) + np.arange(len(rows))[:, None] % 4",
    ),
    "softmax: row's mean dropped": (check_backward, BACK, "grad_scores -= (g * out[n]).sum(axis=1, keepdims=True)", ""),
    "softmax: over the other axis": (
        check_backward,
        BACK,
        "(g * out[n]).sum(axis=1, keepdims=True)",
        "(beta * grad_scores).sum(axis=0, keepdims=True)",
    ),
    "softmax: β dropped": (check_backward, BACK, "grad_scores *= beta", ""),
    "softmax: sign of the row's mean": (check_backward, BACK, "grad_scores -= ", "grad_scores += "),
    "keys' gradient not transposed": (check_backward, BACK, "grad_scores.T", "grad_scores"),
    "values' gradient not transposed": (check_backward, BACK, "beta.T", "beta"),
    "queries for keys": (check_backward, BACK, "(grad_scores, keys[n]", "(grad_scores, queries[n]"),
    "γ's gradient with γ": (check_backward, WHOLE_BACK, "(grad * seen)", "(grad_seen * seen)"),
    "γ's gradient a mean": (check_backward, WHOLE_BACK, "(grad * seen).sum(", "(grad * seen).mean("),
    "γ's gradient from y": (check_backward, WHOLE_BACK, "(grad * seen)", "(grad * (gamma * seen + rows))"),
    "γ not sent back": (check_backward, WHOLE_BACK, "grad_seen = gamma * grad", "grad_seen = 1 * grad"),
    "shortcut not sent back": (check_backward, WHOLE_BACK, "grad_input += grad", "grad_input += 0"),
    "shortcut twice": (check_starts_as_identity, WHOLE_BACK, "grad_input += grad", "grad_input += 2 * grad"),
    "o's gradient from the values": (
        check_backward,
        WHOLE_BACK,
        "_product(attended.T, grad_seen)",
        "_product(attended.T, grad)",
    ),
    "query's and key's gradients swapped": (
        check_backward,
        WHOLE_BACK,
        "np.split(grad_joined, borders, axis=1)",
        "(np.split(grad_joined, borders, axis=1)[i] for i in (1, 0, 2))",
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_found(name, monkeypatch):
    check, function, right, wrong = BUGS[name]
    layer, x = case("rectangle, three features")
    check(copy.deepcopy(layer), x)  # what fails below is the bug
    source = inspect.getsource(getattr(module, function))
    assert source.count(right) == 1, "the formula has been written anew: plant the bug there"
    exec(source.replace(right, wrong), namespace := dict(vars(module)))
    monkeypatch.setattr(module, function, namespace[function])
    with np.errstate(all="ignore"), pytest.raises(AssertionError) as caught:
        check(layer, x)
    assert "raised" not in str(caught.value), "it must be caught as a wrong number, not by crashing"


# ---- how it starts, and errors


def test_a_layer_starts_as_its_docstring_says():
    layer = SelfAttention2D(20, rng=rng())
    shapes = {name: param.shape for name, param in layer.params.items()}
    assert shapes == {
        "query.weight": (20, 2),
        "key.weight": (20, 2),
        "value.weight": (20, 10),
        "output.weight": (10, 20),
        "gamma": (1,),
    }
    assert not layer.params["gamma"].any()
    limit = np.sqrt(6 / 30)
    for name in ("value.weight", "output.weight"):
        assert 0.95 * limit < np.abs(layer.params[name]).max() <= limit
    assert {param.dtype for param in layer.params.values()} == {np.dtype(np.float32)}
    assert SelfAttention2D(3, rng=rng()).params["key.weight"].shape == (3, 1), "fewer channels than the reduction"
    again = SelfAttention2D(20, rng=rng())
    assert all(np.array_equal(again.params[name], param) for name, param in layer.params.items())
    assert layer.output_shape((4, 5, 20)) == (4, 5, 20)


WRONG = [
    (lambda: SelfAttention2D(0, rng=rng()), "^SelfAttention2D: channels is 0, expected a whole number of at least 1"),
    (lambda: SelfAttention2D(8, 2.0, rng=rng()), r"^SelfAttention2D: reduction is 2\.0, expected a whole number"),
    (lambda: SelfAttention2D(8), r"^SelfAttention2D: rng is None, expected a numpy\.random\.Generator"),
    (
        lambda: SelfAttention2D(8, rng=rng()).forward(draw(2, 3, 3, 4, dtype=np.float32)),
        r"^SelfAttention2D\(8, reduction=8\)\.forward: x has shape \(2, 3, 3, 4\), expected .*the last axis 8",
    ),
    (
        lambda: SelfAttention2D(8, rng=rng()).forward(draw(2, 8, dtype=np.float32)),
        r"x has shape \(2, 8\), expected \(N, H, W, C\)",
    ),
    (lambda: SelfAttention2D(8, rng=rng()).forward(draw(2, 3, 3, 8)), r"x is float64 but params\['query\.weight'\] is"),
]


@pytest.mark.parametrize(("build", "message"), WRONG)
def test_wrong_arguments_and_input(build, message):
    with pytest.raises(InputError, match=message):
        build()


# ---- PyTorch, where it is installed


@every_dtype
@every_case
def test_pytorch_parity(plain_torch, name, dtype):
    """With the weights as those of 1x1 convolutions, and autograd's gradients."""
    torch = plain_torch
    layer, x = case(name, dtype)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, *layer.params.values())]
    pictures, query, key, value, output, gamma = leaves

    def convolution(pictures, weight):
        return torch.nn.functional.conv2d(pictures, weight.T[:, :, None, None])

    first = pictures.permute(0, 3, 1, 2)
    queries, keys, values = (convolution(first, weight).flatten(2) for weight in (query, key, value))  # (N, D, P)
    beta = torch.softmax(torch.einsum("ndp,ndq->npq", queries, keys), dim=2)
    attended = torch.einsum("npq,neq->nep", beta, values).unflatten(2, x.shape[1:3])
    outcome = (first + gamma * convolution(attended, output)).permute(0, 2, 3, 1)
    expected = [outcome, *torch.autograd.grad(outcome, leaves, torch.tensor(draw(*x.shape, seed=5, dtype=dtype)))]
    for i, (found, right) in enumerate(zip(every_pass(layer, x), expected, strict=True)):
        right = right.detach().numpy()
        assert (found.dtype, found.shape) == (dtype, right.shape)
        limit = {np.float32: 2e-5, np.float64: 1e-11}[dtype]
        assert np.abs(found - right).max() <= limit * max(1, np.abs(right).max()), i
    out, _ = self_attention_forward(x, *layer.params.values())
    assert np.array_equal(out, layer.forward(x))
