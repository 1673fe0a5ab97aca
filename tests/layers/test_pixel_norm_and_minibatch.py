"""Pixel norm, minibatch deviation and minibatch discrimination: formulas, gradients, parts, PyTorch, planted bugs.

Each property is a function check_…(layer, x, num_splits) that the right layer passes and some wrong one has to fail.
"""

import math

import numpy as np
import pytest
from planting import is_found, table
from samples import draw, rng
from test_layers import InTwoParts

from minigan.gradcheck import check_gradients
from minigan.layers import minibatch, pixel_norm
from minigan.layers.minibatch import MinibatchDiscrimination, MinibatchStd
from minigan.layers.pixel_norm import PixelNorm

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
every_case = pytest.mark.parametrize("name", CASES)
whole_or_two_parts = pytest.mark.parametrize("num_splits", [1, 2])


def comparing(*arguments):
    return MinibatchDiscrimination(*arguments, rng=rng())


def case(name, dtype=np.float64):
    """The second part of x is larger and shifted, so that it has statistics of its own."""
    build, shape = CASES[name]
    x = draw(*shape, seed=11, dtype=dtype)
    x[shape[0] // 2 :] = 2 * x[shape[0] // 2 :] + 1
    return build().astype(dtype), x


def run(layer, x, num_splits):
    return layer.forward(x, num_splits=num_splits) if layer.uses_batch_statistics else layer.forward(x)


def every_pass(layer, x, num_splits=1, **how):
    """[out, grad_input, the parameters' gradients …] of one forward and one backward pass."""
    layer.zero_grad()
    out = run(layer, x, num_splits)
    grad_input = layer.backward(draw(*out.shape, seed=5, dtype=x.dtype), **how)
    return [out, grad_input, *(grad.copy() for grad in layer.grads.values())]


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


def check_forward(layer, x, num_splits):
    out, expected = run(layer, x, num_splits), []
    if isinstance(layer, PixelNorm):
        for pixel in x.reshape(-1, x.shape[-1]).tolist():
            length = math.sqrt(sum(value**2 for value in pixel) / len(pixel) + layer.eps)
            expected += [value / length for value in pixel]
        np.testing.assert_allclose(out, np.reshape(expected, x.shape), rtol=0, atol=1e-12)
        return
    for part in np.split(x, num_splits):
        std = isinstance(layer, MinibatchStd)
        more = np.full((*part.shape[:-1], 1), deviation(part)) if std else alike(part, layer)
        expected.append(np.concatenate([part, more], axis=-1))
    np.testing.assert_allclose(out, np.concatenate(expected), rtol=0, atol=1e-12)


def check_backward(layer, x, num_splits):
    layer = InTwoParts([layer]) if num_splits == 2 else layer
    report = check_gradients(layer, x, tolerance=1e-7, max_entries=100)
    assert report.ok, f"{report}"


def check_splits(layer, x, num_splits):
    """Two parts in one batch are the same as each by itself: what comes out, what goes back, and their sum in grads."""
    out = layer.forward(x, num_splits=2)
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
def test_against_formula_and_differences(name, num_splits, check):
    check(*case(name), num_splits)


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


# ---- bugs: a changed line in a formula must be found by the check that is named


PIXEL, STD, ALIKE = "pixel norm, pictures", "deviation, pictures", "discrimination"
BUGS = {  # case, num_splits, check, function: what stands there, what stands there instead
    (PIXEL, 1, check_forward, "pixel_norm_forward"): {
        "sum for mean": (".mean(axis=-1", ".sum(axis=-1"),
        "over the picture": (".mean(axis=-1", ".mean(axis=(1, 2, 3)"),
        "eps forgotten": ("square + eps", "square"),
    },
    (PIXEL, 1, check_backward, "pixel_norm_backward"): {
        "projection dropped": (" - out * (grad_output * out).mean(axis=-1, keepdims=True)", ""),
        "projection's sign": ("grad_output - out", "grad_output + out"),
        "projection on g": ("(grad_output * out)", "(grad_output * grad_output)"),
        "not divided": ("return r * ", "return "),
        "divided twice": ("return r * ", "return r**2 * "),
    },
    (STD, 1, check_forward, "minibatch_std_forward"): {
        "unbiased": ("squares.mean(axis=1, keepdims=True)", "squares.sum(axis=1, keepdims=True) / (len(x) - 1)"),
        "eps outside": ("True) + 1e-8).astype(x.dtype)", "True)).astype(x.dtype) + 1e-8"),
        "root of the mean": ("= std.mean(axis=2)", "= np.sqrt(np.square(std).mean(axis=2))"),
        "over pixels, not samples": ("len(x) // num_splits, -1)", "-1, x.shape[-1])"),
    },
    (STD, 2, check_splits, "minibatch_std_forward"): {
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
    (ALIKE, 1, check_forward, "closeness_forward"): {
        "itself counted": ("np.arange(m.shape[1])] = 0", "np.arange(m.shape[1])] = 1"),
        "squared distance": ("np.abs(", "np.square("),
        "mean distance": (".sum(axis=4)", ".mean(axis=4)"),
    },
    (ALIKE, 1, check_forward, "minibatch_discrimination_forward"): {
        "kernels and dimensions swapped": ("kernels, -1)", "weight.shape[1] // kernels, kernels).swapaxes(2, 3)"),
    },
    (ALIKE, 2, check_splits, "minibatch_discrimination_backward"): {
        "one part's gradient of T": ("x.T @ d", "(x.T * (np.arange(len(x)) < len(x) // 2)) @ d"),
    },
    (ALIKE, 2, check_splits, "closeness_forward"): {"the first part's samples": ("- m[:, None]", "- m[:1, None]")},
    (ALIKE, 2, check_splits, "minibatch_discrimination_forward"): {
        "parts joined": ("reshape(num_splits, len(x) // num_splits,", "reshape(1, len(x),"),
    },
    (ALIKE, 1, check_backward, "closeness_backward"): {
        "others' gradients dropped": (" + grad_output[:, None]", ""),
        "own gradient doubled": ("+ grad_output[:, None]", "+ grad_output[:, :, None]"),
        "sign": ("return -(", "return ("),
        "slope of the square": ("np.sign(", "2 * ("),
        "closeness forgotten": (") * c\n", ") * (c > 0)\n"),
    },
    (ALIKE, 2, check_backward, "closeness_backward"): {"the other part's samples": ("- m[:, None]", "- m[::-1, None]")},
    (ALIKE, 1, check_backward, "minibatch_discrimination_backward"): {"features not sent back": ("g + d @", "d @")},
}


@pytest.mark.parametrize(("name", "num_splits", "check", "function", "right", "wrong"), table(BUGS))
def test_planted_bug_is_found(name, num_splits, check, function, right, wrong, monkeypatch):
    module = minibatch if function in vars(minibatch) else pixel_norm
    is_found(
        monkeypatch, (name, num_splits, check), lambda: check(*case(name), num_splits), module, function, right, wrong
    )


# ---- how it starts


def test_the_weight_starts_as_its_docstring_says():
    weight = comparing(30).params["weight"]
    assert (weight.shape, weight.dtype) == ((30, 250), np.float32)
    limit = np.sqrt(6 / 280)
    assert 0.99 * limit < np.abs(weight).max() <= limit


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
def test_pytorch_parity(name, num_splits, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is a reference here, never a requirement")
    layer, x = case(name, dtype)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, *layer.params.values())]
    outcome = torch.cat([in_torch(torch, layer, part, leaves[1:]) for part in leaves[0].chunk(num_splits)])
    g = torch.tensor(draw(*outcome.shape, seed=5, dtype=dtype))
    expected = [outcome, *torch.autograd.grad(outcome, leaves, g)]
    for i, (found, right) in enumerate(zip(every_pass(layer, x, num_splits), expected, strict=True)):
        right = right.detach().numpy()
        assert (found.dtype, found.shape) == (dtype, right.shape)
        assert np.abs(found - right).max() <= TOLERANCE[dtype] * max(1, np.abs(right).max()), i
