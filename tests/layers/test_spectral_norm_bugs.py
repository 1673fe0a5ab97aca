"""Wrong spectral norms and equalised rates that the checks of test_spectral_norm.py must find."""

import pytest
from planting import is_found, table
from test_spectral_norm import (
    GAIN,
    check_gradient,
    check_iteration,
    check_params_stay,
    check_rate,
    check_training_gradient,
    check_two_forwards,
    check_use,
    make,
)

from minigan.layers import spectral_norm
from minigan.layers.spectral_norm import EqualizedRate, SpectralNorm

STEP, KEPT = "power_iteration(matrix, u)", 'self.buffers["u"][...], self.buffers["v"][...] = u, v'
MADE = "return self._as_weight(normalised), cache"
LEFT = {"W̄ left in params": ("self.layer.params = self.params", 'self.params["weight"] = weight')}
BUGS = {  # the kind, the check, where: what stands there, what stands there instead
    (SpectralNorm, check_gradient, spectral_norm, "spectral_norm_backward"): {
        "no gradient through σ": (" - (grad * normalised).sum() * np.outer(u, v)", ""),
        "divided by σ²": ("/ sigma", "/ sigma**2"),
        "not divided by σ": ("/ sigma", ""),
        "W for W̄": ("grad * normalised", "sigma * grad * normalised"),
        "only G divided by σ": ("(grad - (grad * normalised).sum()", "(grad - sigma * (grad * normalised).sum()"),
        "sign": ("(grad - ", "(grad + "),
        "u and v swapped": ("np.outer(u, v)", "np.outer(v, u).reshape(grad.shape)"),
        "W̄ for u vᵀ": ("np.outer(u, v)", "normalised"),
        "mean for sum": (".sum()", ".mean()"),
    },
    (SpectralNorm, check_training_gradient, spectral_norm, "spectral_norm_backward"): {
        "u and v one step on": ("np.outer(u, v)", "np.outer(*power_iteration(normalised, u))"),
    },
    (SpectralNorm, check_iteration, SpectralNorm, "_effective"): {
        "σ from stale u and v": (f"u, v = {STEP}\n        {KEPT}", KEPT.replace("u, v", STEP)),
        "no iteration": (STEP, "u, v"),
        "two iterations": (STEP, "power_iteration(matrix, u, 2)"),
        "u before v": (STEP, "_unit(matrix @ v), _unit(matrix.T @ _unit(matrix @ v))"),
        "u and v not kept": (KEPT, "pass"),
    },
    (SpectralNorm, check_use, SpectralNorm, "_effective"): {
        "iteration in use": ("if training:", "if True:"),
        "iteration in use, not kept": ("_unit(u), _unit(v)", STEP),
    },
    (SpectralNorm, check_use, spectral_norm, "spectral_norm_forward"): {
        "divided by σ² forward": ("matrix / sigma", "matrix / sigma**2"),
        "divided by √σ": ("matrix / sigma", "matrix / sigma**0.5"),
    },
    (SpectralNorm, check_two_forwards, SpectralNorm, "_effective"): {
        "memory of the first forward": (MADE, f'cache = vars(self).setdefault("first", cache); {MADE}'),
    },
    (SpectralNorm, check_params_stay, SpectralNorm, "_effective"): {
        "W changed in place": (MADE, f'self.params["weight"][...] = self._as_weight(normalised); {MADE}'),
    },
    (SpectralNorm, check_params_stay, spectral_norm._Reweighted, "_forward"): LEFT,
    (EqualizedRate, check_params_stay, spectral_norm._Reweighted, "_forward"): LEFT,
    (EqualizedRate, check_params_stay, EqualizedRate, "_effective"): {
        "W changed in place": ("return weight *", "weight *= 2; return weight *"),
    },
    (EqualizedRate, check_gradient, EqualizedRate, "_pull_back"): {
        "gain forgotten in the gradient": ("(self.scale)", f"(self.scale / {GAIN})"),
        "gradient not scaled": ("(self.scale)", "(1)"),
        "gradient scaled twice": ("(self.scale)", "(self.scale**2)"),
        "gradient divided": ("(self.scale)", "(1 / self.scale)"),
    },
    (EqualizedRate, check_rate, EqualizedRate, "_effective"): {
        "gain forgotten": ("(self.scale)", f"(self.scale / {GAIN})"),
        "divided by c": ("(self.scale)", "(1 / self.scale)"),
        "fan_out for fan_in": ("(self.scale)", f"({GAIN} / weight.shape[self._output_axis] ** 0.5)"),
        "all entries for fan_in": ("(self.scale)", f"({GAIN} / weight.size**0.5)"),
        "one input too many": ("(self.scale)", f"({GAIN} / (({GAIN} / self.scale) ** 2 + 1) ** 0.5)"),
    },
}


@pytest.mark.parametrize(("kind", "check", "owner", "function", "right", "wrong"), table(BUGS))
def test_planted_bug_is_found(kind, check, owner, function, right, wrong, monkeypatch):
    is_found(monkeypatch, (kind, check), lambda: check(*make(kind, "transposed")), owner, function, right, wrong)


@pytest.mark.parametrize("check", [check_use, check_iteration])
def test_planted_axis_is_found(check):
    """A row for each input: nothing crashes only where there are as many inputs as outputs."""
    axis = property(lambda self: -1, lambda self, axis: None)
    with pytest.raises(AssertionError):
        check(*make(type("Altered", (SpectralNorm,), {"_output_axis": axis}), "transposed, as many outputs"))
