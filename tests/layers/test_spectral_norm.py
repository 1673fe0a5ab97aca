"""Spectral norm and equalised learning rate: formula, gradients, state, PyTorch, and bugs that must be found.

Each property is a function check_…(layer, x) that the right layer passes and that some wrong one has to fail.
"""

import copy

import numpy as np
import pytest
from samples import close, draw, rng

from minigan.gradcheck import check_function, check_gradients
from minigan.layers import Conv2D, ConvTranspose2D, Dense, Sequential
from minigan.layers.spectral_norm import EqualizedRate, SpectralNorm, power_iteration
from minigan.optim import SGD, Adam

GAIN = 1.7
CASES = {  # the wrapped layer, the shape of x
    "dense": (lambda: Dense(6, 4, rng=rng()), (5, 6)),
    "conv": (lambda: Conv2D(2, 4, (2, 3), (2, 1), 1, rng=rng()), (3, 4, 5, 2)),
    "transposed": (lambda: ConvTranspose2D(3, 2, (2, 3), 2, 1, 1, rng=rng()), (3, 3, 2, 3)),
    "dense, one output": (lambda: Dense(5, 1, rng=rng()), (4, 5)),
    "conv without bias": (lambda: Conv2D(3, 2, 3, bias=False, rng=rng()), (2, 4, 5, 3)),
    "transposed, as many outputs": (lambda: ConvTranspose2D(3, 3, 2, 2, rng=rng()), (2, 2, 3, 3)),
}
every_case = pytest.mark.parametrize("name", CASES)
each_layer = pytest.mark.parametrize("name", ["dense", "conv", "transposed"])
every_kind = pytest.mark.parametrize("kind", [SpectralNorm, EqualizedRate])


def unit(x):
    return x / np.sqrt((x * x).sum())


def wrapped(kind, layer):
    return kind(layer, rng=rng(4), **({"gain": GAIN} if issubclass(kind, EqualizedRate) else {}))


def make(kind, name, dtype=np.float64):
    """A wrapped layer with a bias that is not 0, and for the spectral norm u and v far from the singular vectors."""
    build, shape = CASES[name]
    layer = wrapped(kind, build().astype(dtype))
    if "bias" in layer.params:
        layer.params["bias"] = draw(*layer.params["bias"].shape, seed=8, dtype=dtype)
    if layer.buffers:
        matrix = as_matrix(layer, layer.params["weight"])
        layer.buffers["u"][...] = u = unit(draw(len(matrix), seed=9, dtype=dtype))
        layer.buffers["v"][...] = unit(matrix.T @ u + 0.3)
    return layer, draw(*shape, dtype=dtype)


def as_matrix(layer, weight):
    """A row for each output."""
    if isinstance(layer.layer, ConvTranspose2D):
        return np.stack([weight[:, :, o].ravel() for o in range(weight.shape[2])])
    return np.stack([weight[..., o].ravel() for o in range(weight.shape[-1])])


def sigma(layer, weight=None):
    matrix = as_matrix(layer, layer.params["weight"] if weight is None else weight)
    return layer.buffers["u"] @ matrix @ layer.buffers["v"]


def largest(layer, weight):
    return np.linalg.svd(as_matrix(layer, weight), compute_uv=False)[0]


def fan_in(layer):
    inner = layer.layer
    return inner.in_features if isinstance(inner, Dense) else np.prod(inner.kernel_size) * inner.in_channels


def plain(layer, weight, x):
    """What the wrapped layer makes of x with that weight, the wrapper being out of the way."""
    inner = copy.deepcopy(layer.layer)
    inner.params["weight"] = weight
    return inner.forward(x)


def gradients(layer, x, **how):
    """Output, input gradient and parameters' gradients of one forward and one backward pass."""
    layer.zero_grad()
    out = layer.forward(x, **how)
    grad_input = layer.backward(draw(*out.shape, seed=5, dtype=x.dtype))
    return [out, grad_input, *(grad.copy() for grad in layer.grads.values())]


def right_gradients(layer, x, **how):
    report = check_gradients(layer, x, tolerance=1e-7, max_entries=100, **how)
    assert report.ok, f"{report}"


# ---- what a right layer does


def check_use(layer, x):
    """In use, W/σ with σ from the u and v as they are, which stay."""
    u, v = (layer.buffers[name].copy() for name in ("u", "v"))
    close([layer.forward(x, training=False)], [plain(layer, layer.params["weight"] / sigma(layer), x)])
    assert np.array_equal(layer.buffers["u"], u)
    assert np.array_equal(layer.buffers["v"], v)


def check_iteration(layer, x):
    """In training, one step of the iteration and then W/σ with the new u and v, in the arrays that others may hold."""
    held, matrix = dict(layer.buffers), as_matrix(layer, layer.params["weight"])
    for _ in range(2):
        v = unit(matrix.T @ held["u"])
        u = unit(matrix @ v)
        out = layer.forward(x)
        close([held["u"], held["v"]], [u, v])
        close([out], [plain(layer, layer.params["weight"] / (u @ matrix @ v), x)])
    assert all(layer.buffers[name] is array for name, array in held.items())


def check_gradient(layer, x):
    right_gradients(layer, x, training=False)


def check_training_gradient(layer, x):
    """∂L/∂W after a forward pass in training, against differences of the formula with its u and v held fast."""
    grad = gradients(layer, x)[2]
    g = draw(*layer.forward(x, training=False).shape, seed=5)

    def objective(weight):
        return float((plain(layer, weight / sigma(layer, weight), x) * g).sum()), grad

    report = check_function(objective, layer.params["weight"], tolerance=1e-7)
    assert report.ok, f"{report}"


def check_two_forwards(layer, x):
    """Each backward goes with the last forward, also when the one before it had none."""
    alone = copy.deepcopy(layer)
    if alone.buffers:
        u, v = power_iteration(as_matrix(alone, alone.params["weight"]), alone.buffers["u"])
        alone.buffers["u"][...], alone.buffers["v"][...] = u, v
    layer.forward(x + 1)
    close(gradients(layer, x), gradients(alone, x))


def check_params_stay(layer, x):
    params = dict(layer.params)
    kept = {key: param.copy() for key, param in params.items()}
    for training in (True, False):
        layer.backward(layer.forward(x, training=training))
        for now in (layer.params, layer.layer.params):
            assert now.keys() == kept.keys()
            assert all(now[key] is params[key] and np.array_equal(now[key], kept[key]) for key in kept)


def check_rate(layer, x):
    """c W with c = gain/√fan_in, in training and in use."""
    expected = plain(layer, GAIN / np.sqrt(fan_in(layer)) * layer.params["weight"], x)
    for training in (True, False):
        close([layer.forward(x, training=training)], [expected])


CHECKS = {
    SpectralNorm: [
        *(check_use, check_iteration, check_gradient, check_training_gradient, check_two_forwards, check_params_stay)
    ],
    EqualizedRate: [check_rate, check_gradient, check_two_forwards, check_params_stay],
}


@every_case
@pytest.mark.parametrize(("kind", "check"), [(kind, check) for kind, checks in CHECKS.items() for check in checks])
def test_layer(kind, check, name):
    check(*make(kind, name))


# ---- σ


FOLLOWED = {
    "dense": (lambda: Dense(100, 20, rng=rng()), (1, 100)),
    "conv": (lambda: Conv2D(8, 12, 3, rng=rng()), (1, 3, 3, 8)),
    "transposed": (lambda: ConvTranspose2D(32, 12, (3, 4), rng=rng()), (1, 1, 1, 32)),
}


@pytest.mark.parametrize("name", FOLLOWED)
def test_sigma_after_warm_up_and_while_the_weight_moves(name):
    build, shape = FOLLOWED[name]
    layer, x = SpectralNorm(build(), rng=rng()), draw(*shape, dtype=np.float32)
    weight = layer.params["weight"]
    assert sigma(layer) == pytest.approx(largest(layer, weight), rel=0.01)
    assert largest(layer, layer._effective(False)[0]) == pytest.approx(1, rel=0.01)
    at_first, by_rows = copy.deepcopy(layer), np.zeros_like(np.moveaxis(weight, layer._output_axis, 0))
    by_rows[0] = 1.5 * largest(layer, weight) / np.sqrt(by_rows[0].size)
    towards = np.moveaxis(by_rows, 0, layer._output_axis)
    for _ in range(300):
        weight += (towards - weight) / np.float32(300)
        layer.forward(x)
        assert sigma(layer) == pytest.approx(largest(layer, weight), rel=0.01)
    assert sigma(at_first, weight) < 0.5 * largest(layer, weight), "it takes the iteration to follow"


def test_the_gradient_is_that_of_the_largest_singular_value():
    """Once u and v have arrived, differences see no more than the formula does, although a step turns u and v too."""
    layer, x = make(SpectralNorm, "conv")
    for _ in range(2000):
        layer.forward(x)
    left, _, right = np.linalg.svd(as_matrix(layer, layer.params["weight"]))
    close([np.outer(layer.buffers["u"], layer.buffers["v"])], [np.outer(left[:, 0], right[0])])
    right_gradients(layer, x, training=True)


def test_averaged_vectors_are_as_good():
    """The averaged generator holds averages of unit vectors, which are shorter."""
    layer, x = make(SpectralNorm, "transposed")
    expected = layer.forward(x, training=False)
    layer.buffers["u"] *= 0.5
    layer.buffers["v"] *= 0.7
    close([layer.forward(x, training=False)], [expected])


# ---- the equalised rate


AT_THE_START = {
    "dense": (lambda: Dense(300, 40, bias=False, rng=rng()), (500, 300)),
    "conv": (lambda: Conv2D(20, 40, (3, 4), rng=rng()), (40, 8, 9, 20)),
    "transposed": (lambda: ConvTranspose2D(20, 40, (3, 4), 1, (2, 3), rng=rng()), (40, 8, 9, 20)),  # whole windows only
}


@pytest.mark.parametrize("gain", [None, 1.0])
@pytest.mark.parametrize("name", AT_THE_START)
def test_variance_at_the_start(name, gain):
    """x ~ N(0, 1) gives y of variance gain², up to what some 10 000 weights leave to chance."""
    build, shape = AT_THE_START[name]
    layer = EqualizedRate(build(), rng()) if gain is None else EqualizedRate(build(), rng(), gain)
    assert layer.params["weight"].std() == pytest.approx(1, abs=0.03)
    assert layer.params["weight"].mean() == pytest.approx(0, abs=0.03)
    assert layer.forward(draw(*shape, dtype=np.float32)).std() == pytest.approx(gain or np.sqrt(2), rel=0.04)


@each_layer
def test_adam_moves_every_layer_at_the_same_rate(name):
    """Adam's first step is lr for every entry of W, so lr c for the weight that is computed with."""
    layer, x = make(EqualizedRate, name)
    before, bias = layer._effective(True)[0], layer.params["bias"].copy()
    gradients(layer, x)
    Adam(layer, lr=0.01).step()
    moved = np.abs(layer._effective(True)[0] - before)
    np.testing.assert_allclose(moved, 0.01 * GAIN / np.sqrt(fan_in(layer)), rtol=1e-4)
    np.testing.assert_allclose(np.abs(layer.params["bias"] - bias), 0.01, rtol=1e-4)


# ---- as one of the library's layers


@every_kind
@every_case
@pytest.mark.parametrize("training", [True, False])
def test_single_precision_and_replaced_parameters(kind, name, training):
    """What is computed has the dtype of the parameters. When these are replaced, u and v keep theirs."""
    layers = {dtype: make(kind, name, dtype)[0] for dtype in (np.float32, np.float64)}
    x, expected = make(kind, name)[1], None
    for dtype in (np.float64, np.float32):
        for made in layers:
            network, given = Sequential([copy.deepcopy(layers[made])]), layers[np.float32].params
            for key, param in given.items():
                network.params[f"0.{key}"] = param.astype(dtype)
            found = gradients(network, x.astype(dtype), training=training)
            assert {array.dtype for array in found} == {np.dtype(dtype)}
            assert all(buffer.dtype == made for buffer in network.buffers.values())
            expected = expected or found
            close(found, expected, 1e-5)


@every_kind
def test_the_learnt_weight_comes_back_after_an_exception(kind, monkeypatch):
    layer, x = make(kind, "conv")
    weight, grad, seen = layer.params["weight"], layer.grads["weight"], []

    def fail(inner, *args, **options):
        seen.append((inner.params["weight"] is weight, layer.params["weight"] is weight))
        raise ZeroDivisionError

    monkeypatch.setattr(Conv2D, "_forward", fail)
    with pytest.raises(ZeroDivisionError):
        layer.forward(x)
    assert seen == [(False, True)], "while it computes, only the wrapped layer sees the other weight"
    assert layer.layer.params["weight"] is weight
    assert layer.layer.grads["weight"] is layer.grads["weight"] is grad


# ---- PyTorch, where it is installed


def twin(torch, inner):
    """PyTorch's layer of the same kind, and the order of its weight's axes in ours."""
    if isinstance(inner, Dense):
        return torch.nn.Linear(inner.in_features, inner.out_features, dtype=torch.float64), (1, 0)
    kind, extra = torch.nn.Conv2d, {"bias": "bias" in inner.params, "dtype": torch.float64}
    if isinstance(inner, ConvTranspose2D):
        kind, extra = torch.nn.ConvTranspose2d, {**extra, "output_padding": inner.output_padding}
    return kind(inner.in_channels, inner.out_channels, inner.kernel_size, inner.stride, inner.padding, **extra), (
        3,
        2,
        0,
        1,
    )


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of the older function: the newer one iterates u before v
@every_case
def test_pytorch_parity(name):
    """Three steps of gradient descent from the same start, and then use."""
    torch = pytest.importorskip("torch", reason="PyTorch is a reference here, never a requirement")
    layer, x = make(SpectralNorm, name)
    theirs, axes = twin(torch, layer.layer)
    theirs = torch.nn.utils.spectral_norm(theirs)

    def their_v():
        v = layer.buffers["v"]
        return v.reshape(-1, layer.layer.in_channels).T.ravel() if len(axes) == 4 else v

    theirs.weight_u, theirs.weight_v = torch.tensor(layer.buffers["u"]), torch.tensor(their_v())
    for training in (True, True, True, False):
        theirs.weight_orig.data = torch.tensor(layer.params["weight"].transpose(axes).copy())
        if "bias" in layer.params:
            theirs.bias.data = torch.tensor(layer.params["bias"])
        found = gradients(layer, x, training=training)
        leaves = [torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True), theirs.weight_orig]
        outcome = theirs.train(training)(leaves[0])
        g = torch.tensor(np.moveaxis(draw(*found[0].shape, seed=5), -1, 1).copy())
        right = torch.autograd.grad(outcome, [*leaves, *([theirs.bias] if "bias" in layer.params else [])], g)
        out, grad_input, grad_weight, *grad_bias = (array.detach().numpy() for array in (outcome, *right))
        expected = [np.moveaxis(out, 1, -1), np.moveaxis(grad_input, 1, -1), grad_weight.transpose(np.argsort(axes))]
        close(found, [*expected, *grad_bias], 1e-10)
        close([layer.buffers["u"], their_v()], [theirs.weight_u.numpy(), theirs.weight_v.numpy()], 1e-10)
        SGD(layer, lr=0.05).step()
