"""Pixel norm, minibatch deviation and minibatch discrimination: formulas, gradients, parts, PyTorch, planted bugs.

Each property is a function check_…(layer, x, parts) that the right layer passes and some wrong one has to fail.
"""

import copy
import inspect
import math

import numpy as np
import pytest

from minigan.errors import InputError
from minigan.gradcheck import check_gradients
from minigan.kernels import threads
from minigan.layers import Conv2D, Dense, Flatten, LeakyReLU, Sequential, Tanh, minibatch, progressive
from minigan.layers.minibatch import MinibatchDiscrimination, closeness_backward, closeness_forward
from minigan.layers.progressive import MinibatchStd, PixelNorm

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CASES = {  # the layer, the shape of x
    "pixel norm, vectors": (lambda: PixelNorm(), (4, 6)),
    "pixel norm, pictures": (lambda: PixelNorm(0.3), (4, 2, 3, 5)),
    "pixel norm, one channel": (lambda: PixelNorm(0.3), (4, 2, 3, 1)),
    "deviation, vectors": (lambda: MinibatchStd(), (6, 4)),
    "deviation, pictures": (lambda: MinibatchStd(), (4, 2, 3, 5)),
    "deviation, pairs": (lambda: MinibatchStd(), (4, 3, 1, 2)),
    "discrimination": (lambda: comparing(5, 4, 3), (6, 5)),
    "discrimination, one dimension": (lambda: comparing(3, 4, 1), (8, 3)),
    "discrimination, one kernel": (lambda: comparing(3, 1, 4), (4, 3)),
}
MIXING = [name for name in CASES if not name.startswith("pixel")]
every_case = pytest.mark.parametrize("name", CASES)
whole_or_two_parts = pytest.mark.parametrize("parts", [1, 2])


def draw(*shape, seed=1, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def rng():
    return np.random.default_rng(3)


def comparing(*arguments):
    return MinibatchDiscrimination(*arguments, rng=rng())


def case(name, dtype=np.float64):
    """The second part of x is larger and shifted, so that it has statistics of its own."""
    build, shape = CASES[name]
    x = draw(*shape, seed=11, dtype=dtype)
    x[shape[0] // 2 :] = 2 * x[shape[0] // 2 :] + 1
    return build().astype(dtype), x


def run(layer, x, parts):
    return layer.forward(x, parts=parts) if layer.mixes_samples else layer.forward(x)


def every_pass(layer, x, parts=1, **how):
    """[out, grad_input, the parameters' gradients …] of one forward and one backward pass."""
    layer.zero_grad()
    out = run(layer, x, parts)
    grad_input = layer.backward(draw(*out.shape, seed=5, dtype=x.dtype), **how)
    return [out, grad_input, *(grad.copy() for grad in layer.grads.values())]


class InTwoParts(Sequential):
    """Takes the two halves of an even batch apart, as d_step does with real and fake."""

    def forward(self, x, training=True):
        return super().forward(x, training, parts=2 if len(x) % 2 == 0 else 1)


def deviation(part):
    """The number that MinibatchStd appends, by loops over a part's samples."""
    roots = []
    for feature in part.reshape(len(part), -1).T.tolist():
        mean = sum(feature) / len(feature)
        roots.append(math.sqrt(sum((value - mean) ** 2 for value in feature) / len(feature) + 1e-8))
    return sum(roots) / len(roots)


def alike(part, layer):
    """(M, B): the numbers that MinibatchDiscrimination appends, by loops over pairs of a part's samples."""
    weight = layer.params["weight"].reshape(layer.in_features, layer.kernels, layer.dimensions)
    m = np.einsum("nd,dbk->nbk", part, weight)
    out = np.zeros((len(part), layer.kernels))
    for i, j, b in np.ndindex(len(part), len(part), layer.kernels):
        if i != j:
            out[i, b] += math.exp(-sum(abs(m[i, b, k] - m[j, b, k]) for k in range(layer.dimensions)))
    return out


def check_forward(layer, x, parts):
    out, expected = run(layer, x, parts), []
    if isinstance(layer, PixelNorm):
        for pixel in x.reshape(-1, x.shape[-1]).tolist():
            length = math.sqrt(sum(value**2 for value in pixel) / len(pixel) + layer.eps)
            expected += [value / length for value in pixel]
        np.testing.assert_allclose(out, np.reshape(expected, x.shape), rtol=0, atol=1e-12)
        return
    for part in np.split(x, parts):
        std = isinstance(layer, MinibatchStd)
        more = np.full((*part.shape[:-1], 1), deviation(part)) if std else alike(part, layer)
        expected.append(np.concatenate([part, more], axis=-1))
    np.testing.assert_allclose(out, np.concatenate(expected), rtol=0, atol=1e-12)


def check_backward(layer, x, parts):
    layer = InTwoParts([layer]) if parts == 2 else layer
    report = check_gradients(layer, x, tolerance=1e-7, max_entries=100)
    assert report.ok, f"{report}"


def check_parts(layer, x, parts):
    """Two parts in one batch are the same as each by itself: what comes out, what goes back, and their sum in grads."""
    out = layer.forward(x, parts=2)
    halves = np.split(draw(*out.shape, seed=5), 2)
    layer.zero_grad()
    together = [out, layer.backward(np.concatenate(halves)), *(grad.copy() for grad in layer.grads.values())]
    layer.zero_grad()
    apart = [(layer.forward(part), layer.backward(g)) for part, g in zip(np.split(x, 2), halves, strict=True)]
    expected = [np.concatenate(pair) for pair in zip(*apart, strict=True)]
    for found, right in zip(together, [*expected, *layer.grads.values()], strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)


# ---- the layers are right


@pytest.mark.parametrize("check", [check_forward, check_backward])
@whole_or_two_parts
@every_case
def test_against_formula_and_differences(name, parts, check):
    check(*case(name), parts)


@pytest.mark.parametrize("name", MIXING)
def test_parts_are_independent(name):
    layer, x = case(name)
    check_parts(layer, x, 2)
    changed, half = x.copy(), len(x) // 2
    changed[half:] = 0
    assert np.array_equal(layer.forward(changed, parts=2)[:half], layer.forward(x, parts=2)[:half])
    assert not np.allclose(layer.forward(changed)[:half], layer.forward(x)[:half], atol=1e-3), "samples of a part mix"


@every_case
def test_order_of_the_samples_does_not_matter_and_training_changes_nothing(name):
    layer, x = case(name)
    shuffle, out = np.random.default_rng(6).permutation(len(x)), run(layer, x, 1)
    np.testing.assert_allclose(run(layer, x[shuffle], 1), out[shuffle], rtol=0, atol=1e-12)
    assert np.array_equal(layer.forward(x, training=False), out)
    assert layer.mixes_samples == (name in MIXING)
    assert not layer.buffers


@every_case
@every_dtype
def test_dtype_stays_and_nothing_given_is_changed(name, dtype):
    layer, x = case(name, dtype)
    kept, params = x.copy(), copy.deepcopy(layer.params)
    results = every_pass(layer, x)
    assert np.array_equal(x, kept)
    assert all(np.array_equal(layer.params[key], param) for key, param in params.items())
    assert results[0].shape[1:] == layer.output_shape(x.shape[1:])
    expected = every_pass(layer.astype(np.float64), np.asfortranarray(x, np.float64))  # in any layout of memory
    for result, right in zip(results, expected, strict=True):
        assert (result.dtype, result.shape) == (dtype, right.shape)
        assert np.abs(result - right).max() <= TOLERANCE[dtype] * max(1, np.abs(right).max())


def test_gradients_are_replaced_or_left_out_as_asked():
    layer, x = case("discrimination")
    out, grad_input, grad = every_pass(layer, x)
    layer.grads["weight"][...] = 7
    layer.forward(x)
    g = draw(*out.shape, seed=5)
    assert layer.backward(g, need_input_grad=False, replace_grads=True) is None
    assert np.array_equal(layer.grads["weight"], grad)
    layer.forward(x)
    assert np.array_equal(layer.backward(g, need_param_grads=False), grad_input)
    assert np.array_equal(layer.grads["weight"], grad)


def test_the_number_of_threads_changes_nothing():
    m, g = draw(2, 40, 10, 5), draw(2, 40, 10, seed=2)

    def passes():
        out, cache = closeness_forward(m)
        return [out, closeness_backward(g, cache)]

    assert 2 * 40 * m.size > threads.WORTHWHILE, "the work is shared only where it is worthwhile"
    with threads.threads(1):
        alone = passes()
    with threads.threads(threads.available_cores()):
        assert all(map(np.array_equal, alone, passes()))


def test_pixel_norm_sets_the_length_and_keeps_the_direction():
    x = draw(3, 2, 2, 6)
    out = PixelNorm().forward(x)
    np.testing.assert_allclose((out**2).mean(axis=-1), 1, rtol=1e-6)
    np.testing.assert_allclose(PixelNorm().forward(50 * x), out, rtol=1e-6)
    assert np.array_equal(PixelNorm().forward(np.zeros((2, 3))), np.zeros((2, 3)))


def test_equal_samples_are_seen():
    """What both layers are for: a batch of one sample, over and over, gives other numbers than a varied one."""
    same = np.repeat(draw(1, 5), 6, axis=0)
    out = MinibatchStd().forward(same)
    np.testing.assert_allclose(out[:, 5], 1e-4, rtol=1e-9)  # √1e-8, where the variance is 0
    assert np.isfinite(MinibatchStd().forward(draw(1, 5))).all(), "one sample has no deviation, but a number"
    layer = comparing(5, 4, 3).astype(np.float64)
    np.testing.assert_allclose(layer.forward(same)[:, 5:], 5, rtol=1e-12)  # each is as close to 5 others as can be
    assert not layer.forward(draw(1, 5))[:, 5:].any(), "one sample has no others"
    assert not layer.forward(1e4 * draw(6, 5))[:, 5:].any(), "far apart"
    assert np.isfinite(layer.backward(np.ones((6, 9)))).all()


def test_at_the_kink_the_slope_is_the_mean_of_both_sides():
    """Two equal samples and a third one: between the equal ones nothing pulls, as between ±h on average."""
    layer = comparing(3, 4, 2).astype(np.float64)
    x, h = draw(3, 3), 1e-6
    x[1] = x[0]
    g = draw(3, 7, seed=5)
    layer.forward(x)
    found = layer.backward(g)
    for d in range(3):
        step = np.zeros((3, 3))
        step[0, d] = h
        above, below = ((layer.forward(moved) * g).sum() for moved in (x + step, x - step))
        assert found[0, d] == pytest.approx((above - below) / (2 * h), rel=1e-6)


def test_inside_a_discriminator():
    layers = [Conv2D(2, 3, 2, rng=rng()), PixelNorm(), MinibatchStd(), Conv2D(4, 2, 2, rng=rng()), Tanh(), Flatten()]
    layers += [Dense(4, 5, rng=rng()), comparing(5, 3, 2), LeakyReLU(), Dense(8, 1, rng=rng())]
    network = InTwoParts(layers)
    report = check_gradients(network, draw(6, 3, 4, 2), max_entries=80)
    assert report.ok, f"{report}"
    assert network.output_shape((3, 4, 2)) == (1,)
    assert network.mixes_samples


# ---- bugs: a changed line in a formula must be found by the check that is named


PIXEL, STD, ALIKE = "pixel norm, pictures", "deviation, pictures", "discrimination"
BUGS = {  # case, parts, check, function: what stands there, what stands there instead
    (PIXEL, 1, check_forward, "_mean_product"): {
        "sum for mean": (" / a.shape[-1]", ""),
        "over the picture": ("[..., None]", ".mean(axis=(1, 2), keepdims=True)[..., None]"),
    },
    (PIXEL, 1, check_forward, "pixel_norm_forward"): {"eps forgotten": ("square + eps", "square")},
    (PIXEL, 1, check_backward, "pixel_norm_backward"): {
        "projection dropped": ("-_mean_product", "0 * _mean_product"),
        "projection's sign": ("-_mean_product", "_mean_product"),
        "projection on g": ("(grad_output, out)", "(grad_output, grad_output)"),
        "not divided": ("grad *= inv_norm", ""),
        "divided twice": ("*= inv_norm", "*= inv_norm**2"),
    },
    (STD, 1, check_forward, "minibatch_std_forward"): {
        "unbiased": (".mean(axis=1, keepdims=True) + ", ".sum(axis=1, keepdims=True) / (len(x) - 1) + "),
        "eps outside": ("True) + VARIANCE_EPS).astype(x.dtype)", "True)).astype(x.dtype) + VARIANCE_EPS"),
        "root of the mean": ("= std.mean(axis=2)", "= np.sqrt(np.square(std).mean(axis=2))"),
        "over pixels, not samples": ("len(x) // parts, -1)", "-1, x.shape[-1])"),
    },
    (STD, 2, check_parts, "minibatch_std_forward"): {
        "one number for both parts": ("= std.mean(axis=2)", "= std.mean()"),
        "mean over both parts": ("= grouped - grouped.mean(axis=1,", "= grouped - grouped.mean(axis=(0, 1),"),
    },
    (STD, 1, check_backward, "minibatch_std_forward"): {
        "mean not subtracted in the gradient": ("return out, (deviation, std)", "return out, (grouped, std)"),
    },
    (STD, 1, check_backward, "minibatch_std_backward"): {
        "no gradient": ("deviation * (", "0 * deviation * ("),
        "M forgotten": ("size * features", "features"),
        "F forgotten": ("size * features", "size"),
        "not divided by σ": ("features * std", "features"),
        "gradient of the variance": ("features * std", "features / 2"),
        "one channel's place": ("grad_output[..., -1].reshape", "(grad_output[..., -1] * [1, 0, 0]).reshape"),
    },
    (STD, 2, check_backward, "minibatch_std_backward"): {
        "both parts' gradients": (".sum(axis=2, keepdims=True)", ".sum(axis=(0, 2), keepdims=True)"),
    },
    (ALIKE, 1, check_forward, "_closeness"): {
        "itself counted": ("closeness[part, i, i] = 0", "pass"),
        "squared distance": ("np.abs(", "np.square("),
        "mean distance": (".sum(axis=-1)", ".mean(axis=-1)"),
    },
    (ALIKE, 1, check_forward, "minibatch_discrimination_forward"): {
        "kernels and dimensions swapped": (
            "kernels, weight.shape[1] // kernels)",
            "weight.shape[1] // kernels, kernels).swapaxes(2, 3)",
        ),
    },
    (ALIKE, 2, check_parts, "minibatch_discrimination_backward"): {
        "one part's gradient of T": ("(x.T, grad_m,", "(x.T * (np.arange(len(x)) < len(x) // 2), grad_m,"),
    },
    (ALIKE, 2, check_parts, "_closeness"): {"the first part's samples": ("m[part])", "m[0])")},
    (ALIKE, 2, check_parts, "minibatch_discrimination_forward"): {
        "parts joined": ("reshape(parts, -1,", "reshape(1, -1,"),
    },
    (ALIKE, 1, check_backward, "_closeness_backward"): {
        "others' gradients dropped": ("grad_output[part, i] + grad_output[part]", "grad_output[part, i]"),
        "own gradient doubled": ("+ grad_output[part]", "+ grad_output[part, i]"),
        "sign": ("= -(", "= ("),
        "slope of the square": ("np.sign(", "2 * ("),
        "closeness forgotten": (" * closeness[part, i]", ""),
    },
    (ALIKE, 2, check_backward, "_closeness_backward"): {"the other part's samples": ("- m[part])", "- m[part - 1])")},
    (ALIKE, 1, check_backward, "minibatch_discrimination_backward"): {
        "features not sent back": ("grad_input += own", ""),
    },
}
PLANTED = [(*where, *what) for where, bugs in BUGS.items() for what in bugs.values()]
TITLES = [f"{where[0]}: {title}" for where, bugs in BUGS.items() for title in bugs]


@pytest.mark.parametrize(("name", "parts", "check", "function", "right", "wrong"), PLANTED, ids=TITLES)
def test_planted_bug_is_found(name, parts, check, function, right, wrong, monkeypatch):
    check(*case(name), parts)  # what fails below is the bug
    module = minibatch if function in vars(minibatch) else progressive
    source = inspect.getsource(getattr(module, function))
    assert source.count(right) == 1, "the formula has been written anew: plant the bug there"
    exec(source.replace(right, wrong), namespace := dict(vars(module)))
    monkeypatch.setattr(module, function, namespace[function])
    with pytest.raises(AssertionError) as caught:
        check(*case(name), parts)
    assert "raised" not in str(caught.value), "it must be caught as a wrong number, not by crashing"


# ---- how they start, and errors


def test_the_weight_starts_as_its_docstring_says():
    weight = comparing(30).params["weight"]
    assert (weight.shape, weight.dtype) == ((30, 250), np.float32)
    limit = np.sqrt(6 / 280)
    assert 0.99 * limit < np.abs(weight).max() <= limit


def shown(layer, *shape, **how):
    return layer.forward(draw(*shape, dtype=np.float32), **how)


WRONG = [
    (lambda: PixelNorm(0), "^PixelNorm: eps is 0, expected a small positive number"),
    (lambda: shown(PixelNorm(), 2, 3, 4), r"^PixelNorm\(\)\.forward: x has shape \(2, 3, 4\), expected \(N, C\) or"),
    (lambda: shown(MinibatchStd(), 5), r"^MinibatchStd\(\)\.forward: x has shape \(5,\), expected \(N, C\) or"),
    (lambda: shown(MinibatchStd(), 5, 2, parts=2), r"^MinibatchStd\(\)\.forward: a batch of 5 cannot .* 2 equal parts"),
    (lambda: shown(MinibatchStd(), 5, 2, parts=0), r"^MinibatchStd\(\): parts is 0, expected a whole number"),
    (lambda: comparing(0), "^MinibatchDiscrimination: in_features is 0, expected a whole number of at least 1"),
    (lambda: comparing(5, 0), "^MinibatchDiscrimination: kernels is 0, expected a whole number of at least 1"),
    (lambda: comparing(5, 2, 1.5), r"^MinibatchDiscrimination: dimensions is 1\.5, expected a whole number"),
    (lambda: MinibatchDiscrimination(5), r"^MinibatchDiscrimination: rng is None, expected a numpy\.random\.Generator"),
    (lambda: shown(comparing(5), 6, 4), r"^MinibatchDiscrimination\(5, kernels=50.*\(6, 4\), expected \(N, 5\)"),
    (lambda: shown(comparing(5), 6, 5, parts=4), r"^MinibatchDiscrimination\(5.*a batch of 6 cannot be split into 4"),
]


@pytest.mark.parametrize(("build", "message"), WRONG)
def test_wrong_arguments_and_input(build, message):
    with pytest.raises(InputError, match=message):
        build()


# ---- PyTorch, where it is installed


def in_torch(torch, layer, x, params):
    """The layer's output for one part, composed of PyTorch's own functions."""
    if isinstance(layer, PixelNorm):
        return x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + layer.eps)
    if isinstance(layer, MinibatchStd):
        std = torch.sqrt(x.var(dim=0, unbiased=False) + 1e-8).mean()
        return torch.cat([x, std.expand(*x.shape[:-1], 1)], dim=-1)
    m = (x @ params[0]).unflatten(1, (layer.kernels, layer.dimensions)).transpose(0, 1)
    close = torch.exp(-(m[:, :, None] - m[:, None]).abs().sum(dim=-1))
    return torch.cat([x, close.sum(dim=2).T - 1], dim=1)


@every_dtype
@whole_or_two_parts
@every_case
def test_pytorch_parity(name, parts, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is a reference here, never a requirement")
    layer, x = case(name, dtype)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, *layer.params.values())]
    outcome = torch.cat([in_torch(torch, layer, part, leaves[1:]) for part in leaves[0].chunk(parts)])
    g = torch.tensor(draw(*outcome.shape, seed=5, dtype=dtype))
    expected = [outcome, *torch.autograd.grad(outcome, leaves, g)]
    for i, (found, right) in enumerate(zip(every_pass(layer, x, parts), expected, strict=True)):
        right = right.detach().numpy()
        assert (found.dtype, found.shape) == (dtype, right.shape)
        assert np.abs(found - right).max() <= TOLERANCE[dtype] * max(1, np.abs(right).max()), i
