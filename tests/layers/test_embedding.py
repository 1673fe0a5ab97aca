"""Embedding and conditional batch norm: formula, gradients, statistics, parts, PyTorch, and bugs that must be found.

Each property is a function check_…() that the right code passes and that some wrong one has to fail.
"""

import copy

import numpy as np
import pytest
from planting import is_found, table
from samples import close, draw, rng

from minigan.base.errors import InputError
from minigan.gradcheck import check_function
from minigan.layers import BatchNorm, batch_norm
from minigan.layers import embedding as module
from minigan.layers.batch_norm import Statistics
from minigan.layers.embedding import ConditionalBatchNorm, embedding_backward, embedding_forward

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = {"vectors": (6, 4), "pictures": (4, 2, 3, 5), "one channel": (4, 3, 2, 1)}
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
whole_or_two_parts = pytest.mark.parametrize("num_splits", [1, 2])
FEATURES = 3  # numbers in a condition


def make(shape, dtype=np.float64):
    """A layer with weights and statistics of no special values, x and c."""
    layer = ConditionalBatchNorm(shape[-1], FEATURES, rng=rng(), dtype=dtype)
    for seed, name in enumerate(layer.params):
        layer.params[name] = draw(FEATURES, shape[-1], seed=seed, dtype=dtype)
    for seed, name in enumerate(layer.buffers):
        layer.buffers[name] = np.abs(draw(shape[-1], seed=seed + 20, dtype=dtype)) + dtype(0.5)
    x = 2 * draw(*shape, seed=11, dtype=dtype) - 1
    x[len(x) // 2 :] *= 3  # the second part has statistics of its own
    return layer, x, draw(shape[0], FEATURES, seed=12, dtype=dtype)


def every_pass(layer, x, c, num_splits=1, training=True, **how):
    """[out, ∂L/∂x, ∂L/∂c, ∂L/∂W_γ, ∂L/∂W_β] of one forward and one backward pass."""
    layer.zero_grad()
    out = layer.forward(x, c, training, num_splits)
    grads = layer.backward(draw(*out.shape, seed=5, dtype=x.dtype), **how)
    return [out, *grads, *(grad.copy() for grad in layer.grads.values())]


def check_forward(shape, num_splits=1, training=True):
    """Sample by sample and channel by channel, from numbers that were averaged here."""
    layer, x, c = make(shape)
    mean, var = (layer.buffers[name].copy() for name in ("running_mean", "running_var"))
    out, size = layer.forward(x, c, training, num_splits), len(x) // num_splits
    for n, *place, channel in np.ndindex(x.shape):
        seen = x[n // size * size :][:size, ..., channel]
        m, v = (seen.mean(), ((seen - seen.mean()) ** 2).mean()) if training else (mean[channel], var[channel])
        gamma, beta = (c[n] @ layer.params[f"{name}.weight"][:, channel] for name in ("gamma", "beta"))
        where = (n, *place, channel)
        expected = (1 + gamma) * (x[where] - m) / (v + 1e-5) ** 0.5 + beta
        assert out[where] == pytest.approx(expected, rel=1e-10, abs=1e-12)
    for part in np.split(x, num_splits) if training else ():
        rows = part.reshape(-1, shape[-1])
        mean, var = 0.9 * mean + 0.1 * rows.mean(axis=0), 0.9 * var + 0.1 * rows.var(axis=0, ddof=1)
    close(layer.buffers.values(), (mean, var))


def check_backward(shape, num_splits=1, training=True):
    layer, x, c = make(shape)

    def objective(x, c, gamma_weight, beta_weight):
        fresh = copy.deepcopy(layer)
        fresh.params.update({"gamma.weight": gamma_weight, "beta.weight": beta_weight})
        out, *grads = every_pass(fresh, x, c, num_splits, training)
        return float((out * draw(*out.shape, seed=5)).sum()), *grads

    names = ["x", "c", "gamma.weight", "beta.weight"]
    report = check_function(objective, x, c, *layer.params.values(), names=names, tolerance=1e-7, max_entries=100)
    assert report.ok, f"{report}"


def check_is_batch_norm(shape, num_splits=1):
    """A condition of 0 leaves a plain batch norm: output, ∂L/∂x and running statistics, bit by bit, step after step."""
    layer, x, c = make(shape)
    plain = BatchNorm(shape[-1], dtype=np.float64)
    plain.buffers = copy.deepcopy(layer.buffers)
    for training in (True, True, False):
        assert np.array_equal(
            layer.forward(x, 0 * c, training, num_splits), plain.forward(x, training, num_splits=num_splits)
        )
        g = draw(*shape, seed=5)
        assert np.array_equal(layer.backward(g)[0], plain.backward(g))
        for name, buffer in plain.buffers.items():
            assert np.array_equal(layer.buffers[name], buffer)


def check_splits(shape, num_splits=2):
    """Two parts in one batch are the same as each by itself: all that comes out, and the running statistics."""
    layer, x, c = make(shape)
    once, twice = copy.deepcopy(layer), copy.deepcopy(layer)
    g = np.split(draw(*shape, seed=5), 2)
    together = [once.forward(x, c, num_splits=2), *once.backward(np.concatenate(g))]
    apart = []
    for part, condition, grad in zip(np.split(x, 2), np.split(c, 2), g, strict=True):
        apart.append([twice.forward(part, condition), *twice.backward(grad)])
    close(together, [np.concatenate(pair) for pair in zip(*apart, strict=True)])
    for kind in ("grads", "buffers"):
        close(getattr(once, kind).values(), getattr(twice, kind).values())


def check_embedding(indices=(2, 0, 2, 2, 4), count=5):
    weight, g = draw(count, 3), draw(len(indices), 3, seed=2)
    out, cache = module.embedding_forward(np.array(indices), weight)
    assert np.array_equal(out, [weight[i] for i in indices])
    expected = np.zeros((count, 3))
    for i, row in zip(indices, g, strict=True):
        expected[i] += row
    np.testing.assert_allclose(module.embedding_backward(g, cache), expected, rtol=0, atol=1e-14)


# ---- embedding


@pytest.mark.parametrize("indices", [(2, 0, 2, 2, 4), (0,), (4, 3, 2, 1, 0), (1, 1, 1)])
@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_embedding_is_a_row_each_and_equal_indices_add_up(indices, kind):
    check_embedding(np.array(indices, kind))


@every_dtype
def test_embedding_gradient(dtype):
    indices, weight, g = np.array([1, 3, 1, 0, 3, 3]), draw(5, 2), draw(6, 2, seed=2)

    def objective(weight):
        out, cache = embedding_forward(indices, weight)
        return float((g * out).sum()), embedding_backward(g, cache)

    report = check_function(objective, weight, tolerance=1e-7)
    assert report.ok, f"{report}"
    out, cache = embedding_forward(indices, weight.astype(dtype))
    assert out.dtype == embedding_backward(out, cache).dtype == dtype
    out[...] = 7
    assert np.array_equal(weight, draw(5, 2)), "the output is no view of the weight"


@pytest.mark.parametrize("indices", [np.array([0, 5]), np.array([-1]), np.array([0.0]), np.array([[0, 1]]), "one"])
def test_wrong_indices(indices):
    with pytest.raises(InputError, match=r"^embedding_forward: indices are .* whole numbers \(N,\) from 0 to 4"):
        embedding_forward(indices, draw(5, 2))


# ---- conditional batch norm


@pytest.mark.parametrize("check", [check_forward, check_backward])
@whole_or_two_parts
@every_shape
def test_against_formula_and_differences(shape, num_splits, check):
    check(shape, num_splits)


@pytest.mark.parametrize("check", [check_forward, check_backward])
@every_shape
def test_against_formula_and_differences_in_use(shape, check):
    check(shape, training=False)


@whole_or_two_parts
@every_shape
def test_a_condition_of_zero_leaves_batch_norm(shape, num_splits):
    check_is_batch_norm(shape, num_splits)


def test_a_layer_starts_as_its_docstring_says():
    layer = ConditionalBatchNorm(200, 50, rng=rng())
    assert list(layer.params) == list(layer.grads) == ["gamma.weight", "beta.weight"]
    for param in layer.params.values():
        assert (param.shape, param.dtype) == ((50, 200), np.float32)
        assert abs(param.std() / 0.02 - 1) < 0.03  # of 10 000 draws: 4 standard deviations
        assert abs(param.mean()) < 0.001
    assert not np.array_equal(*layer.params.values())
    assert np.array_equal(layer.buffers["running_mean"], np.zeros(200))
    assert np.array_equal(layer.buffers["running_var"], np.ones(200))
    assert layer.uses_batch_statistics
    assert layer.output_shape((7, 7, 200)) == (7, 7, 200)


# ---- bugs: a changed line in a formula must be found by the check that is named


AFFINE, BACK = (module, "conditional_affine_forward"), (module, "conditional_affine_backward")
NORMALISE, BATCH_NORM = (Statistics, "_normalise"), (batch_norm, "batch_norm_backward")
LOOK_UP, LOOK_UP_BACK = (module, "embedding_forward"), (module, "embedding_backward")
BUGS = {  # the check, the function: what stands there, what stands there instead
    (check_forward, *AFFINE): {
        "γ without its 1": ("1 + condition", "condition"),
        "β with a 1": ("gamma_weight, condition @", "gamma_weight, 1 + condition @"),
        "γ and β swapped": ("gamma, beta = ", "beta, gamma = "),
        "β forgotten": (" + beta[:, None]", ""),
        "one condition for all": ("gamma[:, None]", "gamma[:1, None]"),
    },
    (check_backward, *BACK): {
        "γ not in x's gradient": ("(gamma[:, None] * grad)", "grad"),
        "γ's gradient without x̂": ('"npc,npc->nc", grad, samples', '"npc->nc", grad'),
        "γ's gradient a mean": ('nc", grad, samples)', 'nc", grad, samples) / grad.shape[1]'),
        "β's gradient of one place": ("grad.sum(axis=1)", "grad[:, 0]"),
        "β not in c's gradient": (" + grad_beta @ beta_weight.T", ""),
        "γ not in c's gradient": ("grad_gamma @ gamma_weight.T + ", ""),
        "weights' gradients swapped": (
            "condition.T @ grad_gamma, condition.T @ grad_beta",
            "condition.T @ grad_beta, condition.T @ grad_gamma",
        ),
        "weights' gradient a mean": ("@ grad_gamma,", "@ grad_gamma / len(grad),"),
    },
    (check_backward, *BATCH_NORM): {
        "statistics as constants": ("(g - grad_beta / M - x_hat * (grad_gamma / M))", "g"),
    },
    (check_splits, *NORMALISE): {
        "parts joined": ("np.split(x, num_splits)]", "[x]]"),
        "only the first part's statistics": ("in passes:", "in passes[:1]:"),
    },
    (check_forward, *NORMALISE): {
        "biased running variance": (" * (count / (count - 1))", ""),
        "count of the whole batch": ("self.check_splits(x, num_splits)", "len(x)"),
        "momentum of the old statistic": ("self.momentum * (batch_mean", "(1 - self.momentum) * (batch_mean"),
    },
    (check_embedding, *LOOK_UP_BACK): {
        "last of equal indices": ("np.add.at(grad_weight, indices, grad_output)", "grad_weight[indices] = grad_output"),
        "mean of equal indices": (
            "return grad_weight",
            "return grad_weight / np.maximum(np.bincount(indices, minlength=count), 1)[:, None]",
        ),
    },
    (check_embedding, *LOOK_UP): {"the next row": ("weight[indices]", "weight[indices - 1]")},
}


@pytest.mark.parametrize(("check", "owner", "function", "right", "wrong"), table(BUGS))
def test_planted_bug_is_found(check, owner, function, right, wrong, monkeypatch):
    arguments = () if check is check_embedding else (SHAPES["pictures"], 2)
    is_found(monkeypatch, check, lambda: check(*arguments), owner, function, right, wrong)


# ---- PyTorch, where it is installed


@every_dtype
@pytest.mark.parametrize("training", [True, False])
@whole_or_two_parts
@every_shape
def test_pytorch_parity(shape, num_splits, training, dtype):
    torch = pytest.importorskip("torch", reason="PyTorch is a reference here, never a requirement")
    layer, x, c = make(shape, dtype)
    leaves = [torch.tensor(array, requires_grad=True) for array in (x, c, *layer.params.values())]
    running = [torch.tensor(buffer) for buffer in layer.buffers.values()]
    normal = [
        torch.nn.functional.batch_norm(part.reshape(-1, shape[-1]), *running, training=training, momentum=0.1, eps=1e-5)
        for part in leaves[0].chunk(num_splits)
    ]
    places = torch.cat(normal).reshape(len(x), -1, shape[-1])
    _, condition, gamma_weight, beta_weight = leaves
    outcome = ((1 + condition @ gamma_weight)[:, None] * places + (condition @ beta_weight)[:, None]).reshape(shape)
    expected = [outcome, *torch.autograd.grad(outcome, leaves, torch.tensor(draw(*shape, seed=5, dtype=dtype)))]
    found = every_pass(layer, x, c, num_splits, training)
    close(found, [right.detach().numpy() for right in expected], TOLERANCE[dtype])
    close(layer.buffers.values(), [buffer.numpy() for buffer in running], TOLERANCE[dtype])
    out, cache = embedding_forward(np.array([1, 0, 1]), layer.params["beta.weight"])
    rows = torch.nn.functional.embedding(torch.tensor([1, 0, 1]), beta_weight)
    (grad,) = torch.autograd.grad(rows, beta_weight, torch.tensor(2 * out))
    close([out, embedding_backward(2 * out, cache)], [rows.detach().numpy(), grad.numpy()], TOLERANCE[dtype])
