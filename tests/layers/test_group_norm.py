"""Group, instance and layer norm: formula, gradients, second order, kernels, PyTorch, and bugs that must be found.

Each property is a function check_…(layer, x) that the right layer passes and that some wrong one has to fail.
"""

import numpy as np
import pytest
from planting import is_found, table
from samples import draw, lively

from minigan.gradcheck import check_function, check_gradients
from minigan.layers import group_norm as layers
from minigan.layers.group_norm import GroupNorm, InstanceNorm, LayerNorm

every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CASES = {  # the class's arguments, the shape of x
    "vectors": (lambda: GroupNorm(2, 8), (4, 8)),
    "vectors, pairs": (lambda: GroupNorm(4, 8, eps=0.3), (3, 8)),
    "pictures, one group": (lambda: GroupNorm(1, 4), (3, 2, 3, 4)),
    "pictures, two groups": (lambda: GroupNorm(2, 6), (3, 3, 2, 6)),
    "pictures, three groups": (lambda: GroupNorm(3, 6, eps=0.3), (2, 2, 4, 6)),
    "one pixel": (lambda: GroupNorm(2, 6), (3, 1, 1, 6)),
    "one sample": (lambda: GroupNorm(2, 4), (1, 2, 3, 4)),
    "instance": (lambda: InstanceNorm(3, eps=0.3), (3, 2, 4, 3)),
    "instance, one channel": (lambda: InstanceNorm(1), (4, 3, 2, 1)),
    "layer, vectors": (lambda: LayerNorm(5), (4, 5)),
    "layer, pictures": (lambda: LayerNorm(3, eps=0.3), (3, 2, 4, 3)),
}
every_case = pytest.mark.parametrize("name", CASES)


def case(name, dtype=np.float64):
    build, shape = CASES[name]
    return lively(build(), dtype), 3 * draw(*shape, dtype=dtype) + 1


def cache_of(layer, x):
    return layer._forward(x, True)[1]


def every_pass(layer, x, s, t):
    """[y, Jᵀ s, J t, ∂⟪s, J t⟫/∂x, ∂/∂γ, ∂/∂β], the last two summed over the two backward passes."""
    layer.zero_grad()
    cache = cache_of(layer, x)
    results = [layer.forward(x), layer.backward(s), layer.jvp(t, cache)]
    return [*results, layer.jvp_backward(s, t, cache), *layer.grads.values()]


def check_forward(layer, x):
    """Against the formula, one sample and one group at a time."""
    size = layer.num_channels // layer.num_groups
    expected = np.empty_like(x)
    for n in range(len(x)):
        for first in range(0, layer.num_channels, size):
            group = x[n, ..., first : first + size]
            mean = sum(group.ravel()) / group.size
            variance = sum((group.ravel() - mean) ** 2) / group.size
            expected[n, ..., first : first + size] = (group - mean) / (variance + layer.eps) ** 0.5
    expected = layer.params["gamma"] * expected + layer.params["beta"]
    np.testing.assert_allclose(layer.forward(x), expected, rtol=0, atol=1e-12)


def check_backward(layer, x):
    report = check_gradients(layer, x, tolerance=1e-7, max_entries=150)
    assert report.ok, f"{report}"


def check_tangent(layer, x):
    """Against central differences of the forward pass along t."""
    t, h = draw(*x.shape, seed=5), 1e-5
    expected = (layer.forward(x + h * t) - layer.forward(x - h * t)) / (2 * h)
    found = layer.jvp(t, cache_of(layer, x))
    assert np.abs(found - expected).max() <= 1e-7 * np.abs(expected).max()


def check_tangent_backward(layer, x):
    """Against central differences of ⟪s, J(x; γ) t⟫, where J t is from the pass that check_tangent judges."""
    s, t = draw(*x.shape, seed=6), draw(*x.shape, seed=7)

    def objective(x, gamma, beta):
        layer.params.update(gamma=gamma, beta=beta)
        layer.zero_grad()
        cache = cache_of(layer, x)
        grad_input = layer.jvp_backward(s, t, cache)
        value = float((s * layer.jvp(t, cache)).sum())
        return value, grad_input, *(grad.copy() for grad in layer.grads.values())

    params = layer.params["gamma"], layer.params["beta"]
    report = check_function(objective, x, *params, names=["x", "gamma", "beta"], tolerance=1e-6)
    assert report.ok, f"{report}"


# ---- the layers are right


@pytest.mark.parametrize("check", [check_forward, check_backward, check_tangent, check_tangent_backward])
@every_case
def test_against_formula_and_differences(name, check):
    check(*case(name))


@pytest.mark.parametrize(("special", "groups"), [(InstanceNorm, 6), (LayerNorm, 1)])
def test_special_cases_of_group_norm(special, groups):
    x, s, t = (draw(3, 2, 4, 6, seed=seed) for seed in range(3))
    special, general = lively(special(6, eps=0.01)), lively(GroupNorm(groups, 6, eps=0.01))
    assert all(map(np.array_equal, every_pass(special, x, s, t), every_pass(general, x, s, t)))


@pytest.mark.parametrize("channels", [1, 6])
def test_layer_norm_of_vectors_is_that_of_the_paper(channels):
    """Ba et al. 2016, equation 4, with pictures that are one pixel, or one channel, of the same numbers."""
    rows = draw(5, 6)
    expected = (rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.var(axis=1, keepdims=True) + 1e-5)
    x = rows.reshape(5, -1, 1, channels)
    np.testing.assert_allclose(LayerNorm(channels).astype("f8").forward(x), expected.reshape(x.shape), atol=1e-12)
    np.testing.assert_allclose(LayerNorm(6).astype("f8").forward(rows), expected, rtol=0, atol=1e-12)


@every_dtype
def test_statistics_do_not_cancel(dtype):
    """Values far from zero: E[x²] - μ² would lose every digit in float32, and eight of sixteen in float64."""
    x = (draw(3, 5, 4, 6) + 10_000).astype(dtype)
    out = GroupNorm(2, 6).astype(dtype).forward(x)
    small = x.astype(np.float64) - 10_000  # exact
    expected = GroupNorm(2, 6).astype(np.float64).forward(small)
    assert np.abs(out - expected).max() <= {np.float32: 1e-6, np.float64: 1e-11}[dtype]


# ---- bugs: a changed line in a formula must be found by the check that is named


BUGS = {  # the check, the function: what stands there, what stands there instead
    (check_forward, "group_norm_forward"): {
        "unbiased variance": ("deviation**2, groups)", "deviation**2, groups) * x[0].size / (x[0].size - groups)"),
        "eps outside the root": (
            "group_mean(deviation**2, groups) + eps",
            "(group_mean(deviation**2, groups) ** 0.5 + eps) ** 2",
        ),
        "eps forgotten": ("groups) + eps)", "groups))"),
        "mean not subtracted": ("x_hat = deviation", "x_hat = x"),
        "γ forgotten": ("gamma * x_hat", "x_hat"),
        "γ on β too": ("gamma * x_hat + beta", "gamma * (x_hat + beta)"),
    },
    (check_forward, "group_mean"): {
        "statistics over the batch": ("axis=(1, 3)", "axis=(0, 1, 3)"),
        "another group's statistics": ("(mean, grouped", "(mean[:, :, ::-1], grouped"),
    },
    (check_backward, "group_norm_backward"): {
        "mean dropped": (" - group_mean(h, groups)", ""),
        "product dropped": (" - x_hat * group_mean(h * x_hat, groups)", ""),
        "half the product": ("- x_hat *", "- 0.5 * x_hat *"),
        "deviation dropped": ("grad_input = r * ", "grad_input = "),
        "mean over the batch": ("(h, groups) -", "(h, groups).mean(axis=0) -"),
        "γ outside the means, as in batch norm": (
            "(h - group_mean(h, groups) - x_hat * group_mean(h * x_hat, groups))",
            "gamma * (g - group_mean(g, groups) - x_hat * group_mean(g * x_hat, groups))",
        ),
        "γ's gradient from x": ("(g * x_hat)", "(g * x_hat / r)"),
        "γ's gradient with γ": ("(g * x_hat)", "(h * x_hat)"),
        "γ's gradient a mean": ("(g * x_hat).sum", "(g * x_hat).mean"),
        "β's sign": (" g.sum(", " -g.sum("),
    },
    (check_tangent, "group_norm_jvp"): {
        "mean dropped": (" - group_mean(t, groups)", ""),
        "product's sign": ("- x_hat *", "+ x_hat *"),
        "γ forgotten": ("gamma * r", "r"),
        "γ twice": ("gamma * r", "gamma**2 * r"),
        "Jᵀ for J": (
            "(gamma * r * (t - group_mean(t, groups) - x_hat * group_mean(t * x_hat, groups)))",
            "(r * (gamma * t - group_mean(gamma * t, groups) - x_hat * group_mean(gamma * t * x_hat, groups)))",
        ),
    },
    (check_tangent_backward, "group_norm_jvp_backward"): {
        "p q for 3 p q": ("3 * p * q", "p * q"),
        "2 p q for 3 p q": ("3 * p * q", "2 * p * q"),
        "⟨h t⟩ for the covariance": (" - mean_h * mean_t", ""),
        "h's term dropped": (" + q * (h - mean_h)", ""),
        "t's term dropped": (" + p * (t - mean_t)", ""),
        "h not centred": ("(h - mean_h)", "h"),
        "p and q swapped": ("h * x_hat, t * x_hat", "t * x_hat, h * x_hat"),
        "bend dropped": ("x_hat * (c - 3 * p * q) + ", ""),
        "1/σ for 1/σ²": ("-(r**2)", "-r"),
        "sign": ("-(r**2)", "r**2"),
        "γ forgotten": ("h = gamma * s", "h = s"),
        "γ's gradient with γ": ("(s * r *", "(h * r *"),
        "γ's gradient without q": ("- mean_t - x_hat * q", "- mean_t"),
        "γ's gradient not divided": ("(s * r *", "(s *"),
    },
}


@pytest.mark.parametrize(("check", "function", "right", "wrong"), table(BUGS))
def test_planted_bug_is_found(check, function, right, wrong, monkeypatch):
    def checked():
        check(lively(GroupNorm(3, 6, eps=0.01)), draw(2, 2, 3, 6))

    is_found(monkeypatch, check, checked, layers, function, right, wrong)


# ---- how it starts


def test_parameters_start_as_the_identity():
    for layer in (GroupNorm(2, 6), InstanceNorm(6), LayerNorm(6, dtype=np.float64)):
        assert np.array_equal(layer.params["gamma"], np.ones(6))
        assert np.array_equal(layer.params["beta"], np.zeros(6))
    assert layer.params["gamma"].dtype == layer.params["beta"].dtype == np.float64
    assert layer.output_shape((4, 5, 6)) == (4, 5, 6)


# ---- PyTorch, where it is installed


@every_dtype
@every_case
def test_pytorch_parity(name, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is a reference here, never a requirement")
    layer, x = case(name, dtype)
    gamma, beta = layer.params["gamma"], layer.params["beta"]
    s, t = draw(*x.shape, seed=6, dtype=dtype), draw(*x.shape, seed=7, dtype=dtype)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, gamma, beta)]
    channels_first = torch.movedim(leaves[0], -1, 1)
    normal = torch.nn.functional.group_norm(channels_first, layer.num_groups, *leaves[1:], layer.eps)
    outcome = torch.movedim(normal, 1, -1)
    first = torch.autograd.grad(outcome, leaves, torch.tensor(s), create_graph=True)
    second = torch.autograd.grad((first[0] * torch.tensor(t)).sum(), leaves[:2])

    out, cache = layers.group_norm_forward(x, gamma, beta, layer.num_groups, layer.eps)
    pairs = [(out, outcome), *zip(layers.group_norm_backward(s, cache), first, strict=True)]
    pairs += zip(layers.group_norm_jvp_backward(s, t, cache), second, strict=False)
    for i, (found, expected) in enumerate(pairs):
        expected = expected.detach().numpy()
        assert (found.dtype, found.shape) == (dtype, expected.shape)
        limit = {np.float32: 1e-5, np.float64: 1e-10}[dtype]
        assert np.abs(found - expected).max() <= limit * np.abs(expected).max(), i
    inner = (s * layers.group_norm_jvp(t, cache)).sum()
    assert inner == pytest.approx((first[0].detach().numpy() * t).sum(), rel=1e-4 if dtype == np.float32 else 1e-10)
