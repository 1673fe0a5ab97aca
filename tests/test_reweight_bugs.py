"""Wrong spectral norms and equalised rates that the checks of test_reweight.py must find, and wrong arguments."""

import numpy as np
import pytest
from test_reweight import (
    CHECKS,
    GAIN,
    as_matrix,
    check_gradient,
    check_iteration,
    check_params_stay,
    check_rate,
    check_training_gradient,
    check_two_forwards,
    check_use,
    close,
    draw,
    each_layer,
    every_case,
    fan_in,
    gradients,
    make,
    unit,
)

from minigan.layers import ConvTranspose2D, Dense
from minigan.layers.reweight import EqualizedRate, SpectralNorm, power_iteration
from minigan.optim import SGD

# ---- planted bugs


def spectral(iterations=1, in_use=0, stale=False, power=1, order="vu", keep=True):
    """The forward half by hand: how many iterations, which u and v make σ, and by which power of σ W is divided."""

    def _effective(self, training):
        matrix = self._matrix(self.params["weight"])
        u, v = old = self.buffers["u"].copy(), self.buffers["v"].copy()
        for _ in range(iterations if training else in_use):
            for name in order:
                u, v = (u, unit(matrix.T @ u)) if name == "v" else (unit(matrix @ v), v)
        if keep:
            self.buffers["u"][...], self.buffers["v"][...] = u, v
        u, v = old if stale else (u, v)
        scale = u @ matrix @ v
        normalised = matrix / scale**power
        return self._as_weight(normalised), (normalised, u, v, scale)

    return {"_effective": _effective}


def pulled(back):
    """The backward half by hand: back(G, W̄, u vᵀ, σ), matrices with a row for each output."""

    def _pull_back(self, grad_weight, cache):
        normalised, u, v, scale = cache
        return self._as_weight(back(self._matrix(grad_weight), normalised, np.outer(u, v), scale))

    return {**spectral(), "_pull_back": _pull_back}


def right(g, w, uv, s):
    return (g - (g * w).sum() * uv) / s


def one_step_on(g, w, uv, s):
    return right(g, w, np.outer(*power_iteration(w, uv[:, 0])), s)


def equalized(forward=lambda c, layer: c, backward=lambda c: c):
    """Other factors than c on the way forward or on the way back."""
    return {
        "_effective": lambda self, training: (self.params["weight"] * forward(self.scale, self), None),
        "_pull_back": lambda self, grad_weight, cache: grad_weight * backward(self.scale),
    }


def of_fan(fan):
    return equalized(lambda c, layer: GAIN / np.sqrt(fan(layer)))


def of_the_first_forward(self, training):
    weight, cache = SpectralNorm._effective(self, training)
    self.first = getattr(self, "first", cache)
    return weight, self.first


def in_place(self, training):
    weight, cache = type(self).__base__._effective(self, training)
    self.params["weight"][...] = weight
    return weight, cache


def left_in_params(self, x, training, **options):
    out, cache = type(self).__base__._forward(self, x, training, **options)
    self.params["weight"] = self._effective(False)[0]
    return out, cache


PARAMS_BUGS = {"W̄ left in params": {"_forward": left_in_params}, "W changed in place": {"_effective": in_place}}
BUGS = {
    (SpectralNorm, check_gradient): {
        "no gradient through σ": pulled(lambda g, w, uv, s: g / s),
        "divided by σ²": pulled(lambda g, w, uv, s: right(g, w, uv, s) / s),
        "not divided by σ": pulled(lambda g, w, uv, s: right(g, w, uv, s) * s),
        "W for W̄": pulled(lambda g, w, uv, s: right(g, w * s, uv, s)),
        "only G divided by σ": pulled(lambda g, w, uv, s: g / s - (g * w).sum() * uv),
        "sign": pulled(lambda g, w, uv, s: (g + (g * w).sum() * uv) / s),
        "u and v swapped": pulled(lambda g, w, uv, s: right(g, w, uv.T.reshape(g.shape), s)),
        "W̄ for u vᵀ": pulled(lambda g, w, uv, s: right(g, w, w, s)),
        "mean for sum": pulled(lambda g, w, uv, s: (g - (g * w).mean() * uv) / s),
    },
    (SpectralNorm, check_training_gradient): {"u and v one step on": pulled(one_step_on)},
    (SpectralNorm, check_iteration): {
        "σ from stale u and v": spectral(stale=True),
        "no iteration": spectral(iterations=0),
        "two iterations": spectral(iterations=2),
        "u before v": spectral(order="uv"),
        "u and v not kept": spectral(keep=False),
    },
    (SpectralNorm, check_use): {
        "iteration in use": spectral(in_use=1),
        "iteration in use, not kept": spectral(in_use=1, keep=False),
        "divided by σ² forward": spectral(power=2),
        "divided by √σ": spectral(power=0.5),
    },
    (SpectralNorm, check_two_forwards): {"memory of the first forward": {"_effective": of_the_first_forward}},
    (SpectralNorm, check_params_stay): PARAMS_BUGS,
    (EqualizedRate, check_params_stay): PARAMS_BUGS,
    (EqualizedRate, check_gradient): {
        "gain forgotten in the gradient": equalized(backward=lambda c: c / GAIN),
        "gradient not scaled": equalized(backward=lambda c: 1),
        "gradient scaled twice": equalized(backward=lambda c: c**2),
        "gradient divided": equalized(backward=lambda c: 1 / c),
    },
    (EqualizedRate, check_rate): {
        "gain forgotten": equalized(lambda c, layer: c / GAIN),
        "divided by c": equalized(lambda c, layer: 1 / c),
        "fan_out for fan_in": of_fan(lambda layer: len(as_matrix(layer, layer.params["weight"]))),
        "all entries for fan_in": of_fan(lambda layer: layer.params["weight"].size),
        "one input too many": of_fan(lambda layer: fan_in(layer) + 1),
    },
}
PLANTED = [(kind, check, bug) for (kind, check), bugs in BUGS.items() for bug in bugs]


def altered(kind, methods):
    return type("Altered", (kind,), methods)


@each_layer
@pytest.mark.parametrize(("kind", "methods"), [(SpectralNorm, pulled(right)), (EqualizedRate, equalized())])
def test_nothing_planted(kind, methods, name):
    for check in CHECKS[kind]:
        check(*make(altered(kind, methods), name))


@each_layer
@pytest.mark.parametrize(("kind", "check", "bug"), PLANTED)
def test_planted_bug_is_found(kind, check, bug, name):
    with pytest.raises(AssertionError) as caught:
        check(*make(altered(kind, BUGS[kind, check][bug]), name))
    assert "raised" not in str(caught.value), "it must be caught as a wrong number, not by crashing"


@pytest.mark.parametrize("check", [check_use, check_iteration])
def test_planted_axis_is_found(check):
    """A row for each input: nothing crashes only where there are as many inputs as outputs."""
    methods = {"_output_axis": property(lambda self: -1, lambda self, axis: None)}
    with pytest.raises(AssertionError):
        check(*make(altered(SpectralNorm, methods), "transposed, as many outputs"))


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
