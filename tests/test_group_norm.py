"""Group, instance and layer norm: formula, gradients, second order, kernels, PyTorch, and bugs that must be found.

Each property is a function check_…(layer, x) that the right layer passes and that some wrong one has to fail.
"""

import inspect

import numpy as np
import pytest

from minigan.errors import InputError
from minigan.gradcheck import check_function, check_gradients
from minigan.kernels import group_norm as kernels
from minigan.kernels import threads
from minigan.layers import group_norm as layers
from minigan.layers.base import EVERYTHING, Need
from minigan.layers.group_norm import GroupNorm, InstanceNorm, LayerNorm

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
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


def draw(*shape, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def lively(layer, dtype=np.float64):
    """γ around 2 and β around 0, no two alike, so that neither can be forgotten or mistaken for a constant."""
    for seed, (name, shift) in enumerate({"gamma": 2, "beta": 0}.items()):
        layer.params[name] = draw(*layer.params[name].shape, seed=seed, dtype=dtype) + dtype(shift)
    layer.zero_grad()
    return layer


def case(name, dtype=np.float64):
    build, shape = CASES[name]
    return lively(build(), dtype), 3 * draw(*shape, dtype=dtype) + 1


def cache_of(layer, x):
    return layer._forward(x, True)[1]


def every_pass(layer, x, s, t):
    """[y, Jᵀ s, J t, ∂⟪s, J t⟫/∂x, ∂/∂γ, ∂/∂β], the last two summed over the two backward passes."""
    layer.zero_grad()
    cache = cache_of(layer, x)
    results = [layer.forward(x), layer.backward(s), layer._tangent(t, cache)]
    return [*results, layer._tangent_backward(s, t, cache, EVERYTHING), *layer.grads.values()]


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
    found = layer._tangent(t, cache_of(layer, x))
    assert np.abs(found - expected).max() <= 1e-7 * np.abs(expected).max()


def check_tangent_backward(layer, x):
    """Against central differences of ⟪s, J(x; γ) t⟫, where J t is from the pass that check_tangent judges."""
    s, t = draw(*x.shape, seed=6), draw(*x.shape, seed=7)

    def objective(x, gamma, beta):
        layer.params.update(gamma=gamma, beta=beta)
        layer.zero_grad()
        cache = cache_of(layer, x)
        grad_input = layer._tangent_backward(s, t, cache, EVERYTHING)
        value = float((s * layer._tangent(t, cache)).sum())
        return value, grad_input, *(grad.copy() for grad in layer.grads.values())

    params = layer.params["gamma"], layer.params["beta"]
    report = check_function(objective, x, *params, names=["x", "gamma", "beta"], tolerance=1e-6)
    assert report.ok, f"{report}"


# ---- the layers are right


@pytest.mark.parametrize("check", [check_forward, check_backward, check_tangent, check_tangent_backward])
@every_case
def test_against_formula_and_differences(name, check):
    check(*case(name))


@every_case
def test_tangent_and_backward_are_transposes(name):
    """⟪s, J t⟫ = ⟪Jᵀ s, t⟫, with Jᵀ s the ordinary backward pass."""
    layer, x = case(name)
    s, t = draw(*x.shape, seed=6), draw(*x.shape, seed=7)
    forward = (s * layer._tangent(t, cache_of(layer, x))).sum()
    layer.forward(x)
    assert forward == pytest.approx((layer.backward(s) * t).sum(), rel=1e-12)


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


@every_case
def test_a_sample_sees_no_other_and_training_changes_nothing(name):
    layer, x = case(name)
    out, alone = layer.forward(x), layer.forward(x[:1])
    assert np.array_equal(alone, out[:1])
    changed = np.concatenate([x[:1], 100 * draw(2, *x.shape[1:], seed=8)])
    assert np.array_equal(layer.forward(changed)[:1], alone)
    assert np.array_equal(layer.forward(x, training=False), out)
    assert not layer.mixes_samples
    assert not layer.buffers


@every_case
@every_dtype
def test_dtype_stays_and_nothing_given_is_changed(name, dtype):
    layer, x = case(name, dtype)
    given = [x, draw(*x.shape, seed=6, dtype=dtype), draw(*x.shape, seed=7, dtype=dtype)]
    kept = [array.copy() for array in given]
    results = every_pass(layer, *given)
    assert all(map(np.array_equal, given, kept))
    assert all(result.dtype == dtype for result in results)
    expected = every_pass(layer.astype(np.float64), *(array.astype(np.float64) for array in given))
    for result, right in zip(results, expected, strict=True):
        assert result.shape == right.shape
        assert np.abs(result - right).max() <= TOLERANCE[dtype] * np.abs(right).max()


def test_any_memory_layout():
    strided = [draw(4, 3, 2, 5, seed=seed).transpose(3, 1, 2, 0) for seed in range(3)]
    results = (every_pass(lively(GroupNorm(2, 4)), *given) for given in (strided, map(np.ascontiguousarray, strided)))
    assert all(map(np.array_equal, *results))


def test_second_order_gradients_add_up_or_are_replaced_or_left_alone():
    layer, x = case("pictures, two groups")
    s, t, cache = draw(*x.shape, seed=6), draw(*x.shape, seed=7), cache_of(layer, x)
    grad_input = layer._tangent_backward(s, t, cache, EVERYTHING)
    once = layer.grads["gamma"].copy()
    assert np.abs(once).min() > 1e-3
    layer.grads["beta"][...] = 7
    layer._tangent_backward(s, t, cache, EVERYTHING)
    np.testing.assert_allclose(layer.grads["gamma"], 2 * once, rtol=1e-12)
    assert (layer.grads["beta"] == 7).all()
    again = layer._tangent_backward(s, t, cache, Need(params=False))
    assert np.array_equal(again, grad_input)
    np.testing.assert_allclose(layer.grads["gamma"], 2 * once, rtol=1e-12)
    layer._tangent_backward(s, t, cache, Need(replace=True))
    np.testing.assert_allclose(layer.grads["gamma"], once, rtol=1e-12)
    assert not layer.grads["beta"].any()


# ---- kernels


def passes_of(shape, groups, dtype):
    """{kernel: its arguments}, x away from zero; the statistics are any numbers, not those of x."""
    x, s, t = (draw(*shape, seed=seed, dtype=dtype) + dtype(shift) for seed, shift in enumerate((3, 0, 1)))
    mean, inv_std = np.repeat(draw(2, shape[0], groups, seed=4) ** 2 + 0.5, shape[2] // groups, axis=2)
    gamma, beta = draw(2, shape[2], seed=5, dtype=dtype)
    return {
        "normalise": (x, gamma, beta, groups, 1e-2),
        "normalise_backward": (s, x, mean, inv_std, gamma, groups),
        "normalise_tangent_backward": (s, t, x, mean, inv_std, gamma, groups),
    }


SHAPES = [((1, 2, 1), 1), ((3, 1, 8), 4), ((4, 5, 6), 3), ((2, 49, 20), 20), ((2, 7, 33), 1), ((5, 1600, 32), 4)]


def test_every_kernel_is_listed():
    twins = {name for name in vars(kernels) if name.endswith("_plain")}
    assert {f"{name}_plain" for name in passes_of((1, 2, 1), 1, np.float32)} == twins


@every_dtype
@pytest.mark.parametrize(("shape", "groups"), SHAPES)
def test_kernels_against_their_twins(shape, groups, dtype):
    for name, arguments in passes_of(shape, groups, dtype).items():
        fast = getattr(kernels, name)(*arguments)
        plain = getattr(kernels, f"{name}_plain")(*arguments)
        for a, b in zip(fast, plain, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            # A sum's rounding goes with the size of its terms, all of order 1 here, and not with what is left of them.
            terms = (shape[0] * shape[1]) ** 0.5 if a.ndim == 1 else 1
            assert np.abs(a - b).max() <= TOLERANCE[dtype] * max(np.abs(b).max(), terms), name


def test_the_number_of_threads_changes_nothing():
    for name, arguments in passes_of((5, 1600, 32), 4, np.float32).items():
        with threads.threads(1):
            alone = getattr(kernels, name)(*arguments)
        with threads.threads(threads.available_cores()):
            together = getattr(kernels, name)(*arguments)
        assert all(map(np.array_equal, alone, together)), name


@every_dtype
def test_statistics_do_not_cancel(dtype):
    """Values far from zero: E[x²] - μ² would lose every digit in float32, and eight of sixteen in float64."""
    x = (draw(3, 5, 4, 6) + 10_000).astype(dtype)
    out = GroupNorm(2, 6).astype(dtype).forward(x)
    small = x.astype(np.float64) - 10_000  # exact
    expected = GroupNorm(2, 6).astype(np.float64).forward(small)
    assert np.abs(out - expected).max() <= {np.float32: 1e-6, np.float64: 1e-11}[dtype]


# ---- bugs: a changed line in a formula must be found by the check that is named


FORWARD, BACKWARD = (check_forward, "normalise_plain"), (check_backward, "normalise_backward_plain")
TANGENT, SECOND = (check_tangent, "group_norm_tangent"), (check_tangent_backward, "normalise_tangent_backward_plain")
BUGS = {  # the check, the function, what stands there, what stands there instead
    "unbiased variance": (*FORWARD, "**2, groups)", "**2, groups) * x[0].size / (x[0].size - groups)"),
    "eps outside the root": (
        *FORWARD,
        "_group_mean(deviation**2, groups) + eps",
        "(_group_mean(deviation**2, groups) ** 0.5 + eps) ** 2",
    ),
    "eps forgotten": (*FORWARD, " + eps", ""),
    "mean not subtracted": (*FORWARD, "gamma * deviation", "gamma * x"),
    "γ forgotten": (*FORWARD, "gamma * deviation", "deviation"),
    "γ on β too": (*FORWARD, "deviation * inv_std + beta", "(deviation * inv_std + beta)"),
    "statistics over the batch": (check_forward, "_group_mean", "(1, 3))", "(1, 3)); means[:] = means.mean(axis=0)"),
    "another group's statistics": (check_forward, "_group_mean", "axis=1)[", "axis=1)[:, ::-1]["),
    "mean dropped": (*BACKWARD, " - _group_mean(h, groups)", ""),
    "product dropped": (*BACKWARD, " - x_hat * _group_mean(h * x_hat, groups)", ""),
    "half the product": (*BACKWARD, "- x_hat *", "- 0.5 * x_hat *"),
    "deviation dropped": (*BACKWARD, "inv_std * (h", "(h"),
    "mean over the batch": (*BACKWARD, "(h, groups)", "(h, groups).mean(axis=0)"),
    "γ outside the means, as in batch norm": (
        *BACKWARD,
        "(h - _group_mean(h, groups) - x_hat * _group_mean(h * x_hat, groups))",
        "gamma * (g - _group_mean(g, groups) - x_hat * _group_mean(g * x_hat, groups))",
    ),
    "γ's gradient from x": (*BACKWARD, "(g * x_hat)", "(g * x)"),
    "γ's gradient with γ": (*BACKWARD, "(g * x_hat)", "(h * x_hat)"),
    "γ's gradient a mean": (*BACKWARD, "(g * x_hat).sum", "(g * x_hat).mean"),
    "β's sign": (*BACKWARD, "g.sum(", "-g.sum("),
    "J t: mean dropped": (check_tangent, BACKWARD[1], " - _group_mean(h, groups)", ""),
    "J t: product's sign": (check_tangent, BACKWARD[1], "- x_hat *", "+ x_hat *"),
    "J t: γ forgotten": (*TANGENT, "moved *= gamma", "moved *= 1"),
    "J t: γ twice": (*TANGENT, "np.ones_like(gamma)", "gamma"),
    "J t: Jᵀ for J": (*TANGENT, "np.ones_like(gamma), groups)\n    moved *= gamma", "gamma, groups)"),
    "second: p q for 3 p q": (*SECOND, "3 * p * q", "p * q"),
    "second: 2 p q for 3 p q": (*SECOND, "3 * p * q", "2 * p * q"),
    "second: ⟨h t⟩ for the covariance": (*SECOND, " - mean_h * mean_t", ""),
    "second: h's term dropped": (*SECOND, " + q * (h - mean_h)", ""),
    "second: t's term dropped": (*SECOND, " + p * (t - mean_t)", ""),
    "second: h not centred": (*SECOND, "(h - mean_h)", "h"),
    "second: p and q swapped": (*SECOND, "h * x_hat, t * x_hat", "t * x_hat, h * x_hat"),
    "second: bend dropped": (*SECOND, "(bend + ", "("),
    "second: 1/σ for 1/σ²": (*SECOND, "-(inv_std**2)", "-inv_std"),
    "second: sign": (*SECOND, "-(inv_std**2)", "inv_std**2"),
    "second: γ forgotten": (*SECOND, "(h, t, h * t, h * x_hat", "(s, t, s * t, s * x_hat"),
    "second: γ's gradient with γ": (*SECOND, "(s * inv_std", "(h * inv_std"),
    "second: γ's gradient without q": (*SECOND, "- mean_t - x_hat * q", "- mean_t"),
    "second: γ's gradient not divided": (*SECOND, "s * inv_std *", "s *"),
}
every_planted_shape = pytest.mark.parametrize("shape", [(2, 2, 3, 6), (4, 12)], ids=["pictures", "vectors"])


@pytest.fixture
def _twins(monkeypatch):
    """The plain twins in the place of the kernels, since their source is the formula."""
    for name in passes_of((1, 2, 1), 1, np.float32):
        monkeypatch.setattr(kernels, name, lambda *arguments, twin=f"{name}_plain": getattr(kernels, twin)(*arguments))


@pytest.mark.usefixtures("_twins")
@every_planted_shape
@pytest.mark.parametrize("name", BUGS)
def test_planted_bug_is_found(name, shape, monkeypatch):
    check, function, right, wrong = BUGS[name]
    layer, x = lively(GroupNorm(3, shape[-1], eps=0.01)), draw(*shape)
    check(layer, x)  # what fails below is the bug
    module = kernels if function in vars(kernels) else layers
    source = inspect.getsource(getattr(module, function))
    assert source.count(right) == 1, "the formula has been written anew: plant the bug there"
    exec(source.replace(right, wrong), namespace := dict(vars(module)))
    monkeypatch.setattr(module, function, namespace[function])
    with pytest.raises(AssertionError) as caught:
        check(layer, x)
    assert "raised" not in str(caught.value), "it must be caught as a wrong number, not by crashing"


# ---- errors


WRONG_ARGUMENTS = [
    (lambda: GroupNorm(4, 6), "^GroupNorm: num_groups is 4, expected a divisor of num_channels, which is 6"),
    (lambda: GroupNorm(0, 6), "^GroupNorm: num_groups is 0, expected a whole number of at least 1"),
    (lambda: GroupNorm(2, 6.0), r"^GroupNorm: num_channels is 6\.0, expected a whole number"),
    (lambda: InstanceNorm(0), "^InstanceNorm: num_features is 0, expected a whole number"),
    (lambda: LayerNorm("6"), "^LayerNorm: num_features is '6', expected a whole number"),
    (lambda: LayerNorm(6, eps=0), "^LayerNorm: eps is 0, expected a small positive number"),
]
WRONG_INPUT = [
    (lambda: GroupNorm(2, 6), (3, 5), r"^GroupNorm\(2, 6\)\.forward: x has shape \(3, 5\), expected .*the last axis 6"),
    (lambda: InstanceNorm(6), (3, 2, 2, 5), r"^InstanceNorm\(6\)\.forward: x has shape .*the last axis 6"),
    (lambda: LayerNorm(6), (3, 2, 6), r"^LayerNorm\(6\).*\(3, 2, 6\), expected \(N, C\) or \(N, H, W, C\)"),
    (lambda: InstanceNorm(6), (3, 6), r"^InstanceNorm\(6\).*\(3, 6\), so that each mean would be over a single number"),
    (lambda: InstanceNorm(6), (3, 1, 1, 6), r"^InstanceNorm\(6\).*over a single number.*expected more pixels"),
    (lambda: GroupNorm(6, 6), (3, 6), r"^GroupNorm\(6, 6\).*over a single number.*more channels in a group"),
    (lambda: LayerNorm(1), (3, 1), r"^LayerNorm\(1\).*over a single number"),
]


@pytest.mark.parametrize(("build", "message"), WRONG_ARGUMENTS)
def test_wrong_arguments(build, message):
    with pytest.raises(InputError, match=message):
        build()


@pytest.mark.parametrize(("build", "shape", "message"), WRONG_INPUT)
def test_wrong_input(build, shape, message):
    with pytest.raises(InputError, match=message):
        build().forward(draw(*shape, dtype=np.float32))


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
    pairs += zip(layers.group_norm_tangent_backward(s, t, cache), second, strict=True)
    for i, (found, expected) in enumerate(pairs):
        expected = expected.detach().numpy()
        assert (found.dtype, found.shape) == (dtype, expected.shape)
        limit = {np.float32: 1e-5, np.float64: 1e-10}[dtype]
        assert np.abs(found - expected).max() <= limit * np.abs(expected).max(), i
    inner = (s * layers.group_norm_tangent(t, cache)).sum()
    assert inner == pytest.approx((first[0].detach().numpy() * t).sum(), rel=1e-4 if dtype == np.float32 else 1e-10)
