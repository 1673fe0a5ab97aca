"""Self-attention: formula, gradients, symmetries, extreme scores, PyTorch, and bugs that must be found.

Each property is a function check_…(layer, x) that the right layer passes and that some wrong one has to fail.
"""

import math

import numpy as np
import pytest
from planting import is_found, table
from samples import draw, rng

from minigan.gradcheck import check_function, check_gradients
from minigan.layers import attention as module
from minigan.layers.attention import SelfAttention2D, attention_backward, attention_forward

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
    out, cache = module.attention_forward(queries, keys, values)
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


# ---- bugs: a changed line in a formula must be found by the check that is named


BUGS = {  # the check, the function: what stands there, what stands there instead
    (check_forward, "attention_forward"): {
        "softmax over the queries": ("e.sum(axis=2", "e.sum(axis=1"),
        "softmax not normalised": (" / e.sum(axis=2, keepdims=True)", ""),
        "scores scaled, as in transformers": (
            "keys.transpose(0, 2, 1)",
            "keys.transpose(0, 2, 1) / keys.shape[2] ** 0.5",
        ),
        "queries and keys swapped": ("queries @ keys.", "keys @ queries."),
        "another sample's values": ("beta @ values,", "beta @ values[:1],"),
    },
    (check_extremes, "attention_forward"): {
        "maximum not subtracted": (" - scores.max(axis=2, keepdims=True)", ""),
        "one maximum for all rows": ("scores.max(axis=2, keepdims=True)", "scores.max()"),
    },
    (check_forward, "self_attention_forward"): {"x not added": ("return x + gamma", "return gamma")},
    (check_starts_as_identity, "self_attention_forward"): {
        "γ forgotten": ("x + gamma * seen", "x + seen"),
        "γ at x": ("return x + gamma", "return gamma * x + gamma"),
    },
    (check_equivariance, "self_attention_forward"): {
        "a place knows its number": (
            "seen = a @ output",
            "seen = a @ output + np.arange(a.shape[1])[:, None] % 4",
        ),
    },
    (check_backward, "attention_backward"): {
        "softmax: row's mean dropped": (" - (beta * b).sum(axis=2, keepdims=True)", ""),
        "softmax: over the other axis": ("(beta * b).sum(axis=2", "(beta * b).sum(axis=1"),
        "softmax: β dropped": ("grad_scores = beta * ", "grad_scores = "),
        "softmax: sign of the row's mean": ("(b - (beta", "(b + (beta"),
        "keys' gradient not transposed": ("grad_scores.transpose(0, 2, 1) @", "grad_scores @"),
        "values' gradient not transposed": ("beta.transpose(0, 2, 1) @", "beta @"),
        "queries for keys": ("grad_scores @ keys", "grad_scores @ queries"),
    },
    (check_backward, "self_attention_backward"): {
        "γ's gradient with γ": ("(g * seen)", "(gamma * g * seen)"),
        "γ's gradient a mean": ("(g * seen).sum(", "(g * seen).mean("),
        "γ's gradient from y": ("(g * seen)", "(g * (gamma * seen + rows))"),
        "γ not sent back": ("((gamma * g) @ output.T", "(g @ output.T"),
        "shortcut not sent back": ("grad_input = g + ", "grad_input = "),
        "o's gradient from the values": ("a, gamma * g)", "a, g)"),
        "query's and key's gradients swapped": ("in (grad_q, grad_k,", "in (grad_k, grad_q,"),
    },
    (check_starts_as_identity, "self_attention_backward"): {
        "shortcut twice": ("grad_input = g + ", "grad_input = 2 * g + "),
    },
}


@pytest.mark.parametrize(("check", "function", "right", "wrong"), table(BUGS))
def test_planted_bug_is_found(check, function, right, wrong, monkeypatch):
    is_found(monkeypatch, check, lambda: check(*case("rectangle, three features")), module, function, right, wrong)


# ---- how it starts


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
