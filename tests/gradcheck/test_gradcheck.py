"""The checker itself: right layers pass, every planted bug fails and is named, nothing is ever raised."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

from minigan.base.errors import InputError
from minigan.gradcheck import check_function, check_gradients, numerical_gradient


def normal(*shape, seed=1, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


class Base:
    """The layer contract, with one array per keyword."""

    def __init__(self, **params):
        self.params = params
        self.grads = {name: np.zeros_like(value) for name, value in params.items()}
        self.buffers = {}


WEIGHT_BUGS = {
    "sign": lambda g: -g,
    "no 1/N": lambda g: g * 6,
    "1/N twice": lambda g: g / 6,
    "factor": lambda g: g / 2,
    "transposed": lambda g: g.T,
    "reshaped": lambda g: g.T.reshape(g.shape),
    "infinite": lambda g: g / 0,
    "never written": lambda g: 0 * g,
    "one entry": lambda g: g + g.dtype.type(0.01) * g * (np.arange(g.size) == 2 * g.shape[1] + 1).reshape(g.shape),
}


class Dense(Base):
    def __init__(self, n_in=4, n_out=3, bug=None):
        super().__init__(weight=normal(n_in, n_out), bias=normal(n_out, seed=2))
        self.bug = bug

    def forward(self, x, training=True):
        out = x @ self.params["weight"] + self.params["bias"]
        self.x = x.copy()
        if self.bug == "left over":
            self.x = self.first = getattr(self, "first", x)[: len(x)]
        if self.bug == "x changed":
            x *= 2
        return out.astype(np.float64) if self.bug == "promotion" else out

    def backward(self, grad_output, need_param_grads=True):
        weight = WEIGHT_BUGS.get(self.bug, lambda g: g)(self.x.T @ grad_output)
        if need_param_grads and self.bug == "= for +=":
            self.grads["weight"] = np.zeros_like(weight)
        if need_param_grads or self.bug == "flag ignored":
            self.grads["weight"] += weight
            self.grads["bias"] += grad_output.sum(axis=0)
        grad_input = grad_output @ self.params["weight"].T
        if self.bug == "grad_output changed":
            grad_output *= 2
        if self.bug == "optimizer in backward":
            self.params["bias"] -= self.params["bias"].dtype.type(0.1)
        return grad_input


class Elementwise(Base):
    def backward(self, grad_output, need_param_grads=True):
        return grad_output * self.slope


class Tanh(Elementwise):
    def forward(self, x, training=True):
        out = np.tanh(x)
        self.slope = 1 - out**2
        return out


class LeakyReLU(Elementwise):
    def forward(self, x, training=True):
        self.slope = np.where(x > 0, 1, 0.2).astype(x.dtype)
        return x * self.slope


class Dropout(Elementwise):
    def __init__(self, seed=0):
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def forward(self, x, training=True):
        self.slope = (self.rng.random(x.shape) < 0.5).astype(x.dtype) if training else np.ones_like(x)
        return x * self.slope


class BatchNorm(Base):
    def __init__(self, size=3, dropped=()):
        super().__init__(gamma=normal(size) + 2, beta=normal(size, seed=2))
        self.buffers = {"mean": np.zeros(size, np.float32), "var": np.ones(size, np.float32)}
        self.dropped = dropped

    def forward(self, x, training=True):
        mean, var = (x.mean(axis=0), x.var(axis=0)) if training else (self.buffers["mean"], self.buffers["var"])
        if training:
            self.buffers["mean"] = self.buffers["mean"] * x.dtype.type(0.9) + x.dtype.type(0.1) * mean
        self.training, self.std = training, np.sqrt(var + x.dtype.type(1e-5))
        self.normal = (x - mean) / self.std
        return self.params["gamma"] * self.normal + self.params["beta"]

    def backward(self, grad_output, need_param_grads=True):
        if need_param_grads:
            self.grads["gamma"] += (grad_output * self.normal).sum(axis=0)
            self.grads["beta"] += grad_output.sum(axis=0)
        g = grad_output * self.params["gamma"]
        if not self.training:
            return g / self.std
        mean = g.mean(axis=0) * ("mean" not in self.dropped)
        product = self.normal * (g * self.normal).mean(axis=0) * ("product" not in self.dropped)
        return (g - mean - product) / self.std


class Conv(Base):
    """Channels last, no padding; loops over the kernel."""

    def __init__(self, kernel=(2, 3), stride=(1, 2), bug=None):
        super().__init__(weight=normal(*kernel, 2, 3))
        self.stride, self.bug = stride, bug

    def patch(self, x, i, j, out_shape, stride):
        return x[:, i :: stride[0], j :: stride[1]][:, : out_shape[1], : out_shape[2]]

    def forward(self, x, training=True):
        self.x = x
        kh, kw, _, channels = self.params["weight"].shape
        shape = (len(x), (x.shape[1] - kh) // self.stride[0] + 1, (x.shape[2] - kw) // self.stride[1] + 1, channels)
        out = np.zeros(shape, x.dtype)
        for i, j in np.ndindex(kh, kw):
            out += self.patch(x, i, j, shape, self.stride) @ self.params["weight"][i, j]
        return out

    def backward(self, grad_output, need_param_grads=True):
        grad_input, shape, weight = np.zeros_like(self.x), grad_output.shape, np.zeros_like(self.params["weight"])
        for i, j in np.ndindex(weight.shape[:2]):
            weight[i, j] = np.tensordot(self.patch(self.x, i, j, shape, self.stride), grad_output, ([0, 1, 2],) * 2)
            patch = self.patch(grad_input, i, j, shape, self.stride[:: -1 if self.bug == "stride" else 1])
            patch += (grad_output @ self.params["weight"][i, j].T)[:, : patch.shape[1], : patch.shape[2]]
        if need_param_grads:
            weight = {"axes": weight.swapaxes(0, 1), "rotated": weight[::-1, ::-1]}.get(self.bug, weight)
            self.grads["weight"] += weight
        return grad_input


class Stack(Base):
    """A container: its dicts hold the very arrays of the children under dotted names."""

    def __init__(self, *layers):
        self.layers, self.buffers = layers, {}
        self.params = {f"{i}.{name}": p for i, layer in enumerate(layers) for name, p in layer.params.items()}
        self.grads = {f"{i}.{name}": g for i, layer in enumerate(layers) for name, g in layer.grads.items()}

    def forward(self, x, training=True):
        for layer in self.layers:
            x = layer.forward(x, training)
        return x

    def backward(self, grad_output, need_param_grads=True):
        for layer in self.layers[::-1]:
            grad_output = layer.backward(grad_output, need_param_grads)
        return grad_output


class Embedding(Base):
    def __init__(self):
        super().__init__(table=normal(5, 3))

    def forward(self, x, training=True):
        self.x = x
        return self.params["table"][x]

    def backward(self, grad_output, need_param_grads=True):
        if need_param_grads:
            np.add.at(self.grads["table"], self.x, grad_output)


IMAGE = normal(3, 5, 8, 2, seed=3)
BATCH = normal(6, 4, seed=3)
RIGHT = [
    (Dense(), BATCH),
    (Dense(), BATCH[:1]),
    (Tanh(), BATCH),
    (LeakyReLU(), BATCH + 0.05 * np.sign(BATCH)),
    (BatchNorm(), normal(6, 3)),
    (Conv(), IMAGE),
    (Dropout(), BATCH),
    (Stack(Dense(4, 5), Dropout(), Dense(5, 3), BatchNorm(), Tanh()), BATCH),
    (Embedding(), np.array([0, 3, 3, 1])),
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("layer", "x"), RIGHT)
def test_a_right_layer_passes_at_the_strict_tolerance(layer, x, training):
    report = check_gradients(layer, x, training=training)
    assert report, str(report)
    assert str(report).splitlines()[-1].startswith("OK")
    assert not report.notes


BUGS = [  # layer, input, the row that must fail, a piece of its sentence
    (Dense(bug="sign"), BATCH, "weight", "sign"),
    (Dense(bug="no 1/N"), BATCH, "weight", "a 1/N missing"),
    (Dense(bug="1/N twice"), BATCH, "weight", "a 1/N doubled"),
    (Dense(bug="factor"), BATCH, "weight", "Half of what"),
    (Dense(4, 4, bug="transposed"), BATCH, "weight", "transpose is right"),
    (Dense(bug="reshaped"), BATCH, "weight", "wrong places"),
    (Dense(bug="infinite"), BATCH, "weight", "analytic gradient is not finite"),
    (Dense(bug="one entry"), BATCH, "weight", "Right in 11 of 12"),
    (Dense(bug="never written"), BATCH, "weight", "never written"),
    (BatchNorm(dropped=["mean"]), normal(6, 3), "input", "batch mean dropped"),
    (BatchNorm(dropped=["product"]), normal(6, 3), "input", "batch mean dropped"),
    (Conv((3, 3), bug="axes"), IMAGE, "weight", "kernel height and width swapped"),
    (Conv(bug="rotated"), IMAGE, "weight", "rotated by 180°"),
    (Conv(bug="stride"), IMAGE, "input", "a stride"),
    (Dense(bug="= for +="), BATCH, "accumulates", "= instead of +="),
    (Dense(bug="x changed"), BATCH, "leaves inputs alone", "changes x in place"),
    (Dense(bug="grad_output changed"), BATCH, "leaves inputs alone", "changes grad_output in place"),
    (Dense(bug="optimizer in backward"), BATCH, "leaves inputs alone", "changes bias in place"),
    (Dense(bug="flag ignored"), BATCH, "can skip grads", "leave these alone: weight, bias"),
    (Dense(bug="promotion"), BATCH, "keeps float32", "out is float64"),
    (Dense(bug="left over"), BATCH, "forgets", "earlier call"),
]


@pytest.mark.parametrize(("layer", "x", "row", "cause"), BUGS)
def test_a_planted_bug_is_caught_and_named(layer, x, row, cause):
    report = check_gradients(layer, x)
    text = str(report)
    assert not report, text
    assert [r.name for r in report.rows if not r.ok] == [row], text
    assert cause in text
    assert text.splitlines()[-1] == f"WRONG: {row}"


def test_a_small_entry_off_by_one_percent_beside_large_ones_is_found_and_located():
    x = BATCH * np.array([1, 1, 1e-6, 1], np.float32)
    assert check_gradients(Dense(), x)
    report = check_gradients(Dense(bug="one entry"), x)
    worst = report.worst
    assert (worst.name, worst.index) == ("weight", (2, 1)), str(report)
    assert worst.analytic == pytest.approx(1.01 * worst.numeric, rel=1e-3)
    assert worst.error == pytest.approx(0.01 / 2.01, rel=0.1)
    assert f"weight [2, 1]: analytic {worst.analytic:.8g}, numeric {worst.numeric:.8g}" in str(report)


def test_an_error_outside_the_sample_is_seen():
    x = normal(5, 20)
    assert check_gradients(Dense(20, 30), x, max_entries=10)
    report = check_gradients(Dense(20, 30, bug="one entry"), x, max_entries=10)
    assert not report
    assert (report.worst.name, report.worst.checked, report.worst.index) == ("weight", 10, None)
    assert "outside the sample" in str(report)


def test_a_true_zero_is_not_blamed_for_rounding():
    report = check_gradients(Stack(Dense(4, 3), BatchNorm(3)), 30 * BATCH)  # batch norm takes the bias out again
    assert report, str(report)


def test_entries_near_a_kink_are_counted_but_not_blamed():
    x = BATCH.astype(np.float64)
    x[0, 0], x[1, 1], x[2, 2] = 0.0, 3e-6, -8e-6
    report = check_gradients(LeakyReLU(), x)
    assert report, str(report)
    assert "3 entries near a kink" in str(report)
    wrong = planted(LeakyReLU, backward=lambda self, grad_output: -grad_output)
    assert not check_gradients(wrong, x)
    only = check_gradients(LeakyReLU(), np.zeros((3, 2)))
    assert not only
    assert "nothing was compared" in str(only)


def planted(base, **methods):
    return type("Planted", (base,), methods)()


BROKEN = [
    (planted(Dense, forward=lambda self, x: 1 / 0), "ZeroDivisionError: division by zero"),
    (planted(Dense, backward=lambda self, grad_output: None), "gradient of input is NoneType"),
    (planted(Dense, forward=lambda self, x: None), "'NoneType' object has no attribute"),
    (Dense(bug="transposed"), "ValueError"),
    (planted(Base, forward=Tanh.forward), "no attribute 'backward'"),
    (planted(Tanh, backward=lambda self, grad_output: grad_output[:2]), "expected float64 (6, 4)"),
    (planted(Tanh, forward=lambda self, x: x + np.random.default_rng().random()), "repeated from the same state"),
    (planted(Tanh, forward=lambda self, x: Tanh.forward(self, x) / 0), "not finite"),
    (None, "no attribute 'forward'"),
]


@pytest.mark.parametrize(("layer", "words"), BROKEN)
def test_nothing_is_raised(layer, words):
    report = check_gradients(layer, BATCH)
    assert not report
    assert words in str(report)
    assert not report.worst.ok


def test_nothing_to_compare_is_no_success():
    assert not check_gradients(Tanh(), np.zeros((0, 4)))
    assert not check_gradients(Dense(), [[1, 2], [3]])
    assert not check_function(lambda: (1.0,))


def test_a_layer_may_know_neither_params_nor_training_nor_need_param_grads():
    class Square:
        def forward(self, x):
            self.x = x
            return x * x

        def backward(self, grad_output):
            return 2 * self.x * grad_output

    report = check_gradients(Square(), BATCH)
    assert report, str(report)
    assert "no need_param_grads" in str(report)


def test_the_layer_and_its_input_are_left_as_they_are():
    layer, x = Stack(Dense(), BatchNorm(), Dropout()), BATCH.copy()
    layer.grads["0.weight"] += 7
    before = copy.deepcopy(layer)
    assert check_gradients(layer, x)
    assert np.array_equal(x, BATCH)
    assert pickle.dumps(layer) == pickle.dumps(before)  # every array, dtype, cache and generator state


def test_a_layer_with_astype_is_converted_by_it():
    def astype(self, dtype):
        self.params, self.grads = ({k: v.astype(dtype) for k, v in d.items()} for d in (self.params, self.grads))
        asked.append(dtype)
        return self

    asked = []
    assert check_gradients(planted(Dense, astype=astype), BATCH)
    assert asked == [np.float64, np.float32]


def least_squares(p, t):
    return ((p - t) ** 2).mean(), 2 * (p - t) / p.size, 2 * (t - p) / p.size


def test_check_function():
    report = check_function(least_squares, BATCH, 2 * BATCH, names=["prediction", "target"])
    assert report, str(report)
    assert [row.name for row in report.rows if row.checked] == ["prediction", "target"]

    def no_mean(p, t):
        value, gradient, minus = least_squares(p, t)
        return value, gradient * len(p), -minus

    text = str(check_function(no_mean, BATCH, 2 * BATCH))
    assert "a 1/N missing" in text
    assert "up to the sign" in text


WRONG_FUNCTIONS = [
    (lambda x: (x, x), "must be a scalar"),
    (lambda x: (x.sum(),), "ValueError"),
    (lambda x: (x.sum(), 1.0), "gradient of array 0 is float ()"),
    (lambda x: (x.sum(), np.ones(2)), "expected float64 (6, 4)"),
    (lambda x: (np.random.default_rng().random(), x), "two calls"),
    (lambda x: (1 / 0, x), "ZeroDivisionError"),
    (lambda x: (x.sum(), np.ones_like(x), x.fill(0))[:2], "changes its arrays in place"),
]


@pytest.mark.parametrize(("f", "words"), WRONG_FUNCTIONS)
def test_check_function_raises_nothing(f, words):
    report = check_function(f, BATCH)
    assert not report
    assert words in str(report)


def test_numerical_gradient():
    x = normal(3, 2, dtype=np.float64)
    kept = x.copy()
    assert np.allclose(numerical_gradient(lambda x: (x**3).sum(), x), 3 * x**2, rtol=0, atol=1e-9)
    assert np.array_equal(x, kept)
    with pytest.raises(ZeroDivisionError):
        numerical_gradient(lambda x: 1 / 0, x)
    assert np.array_equal(x, kept)
    with pytest.raises(InputError, match="float64"):
        numerical_gradient(np.sum, x.astype(np.float32))


def test_imports_numpy_and_the_standard_library_only():
    code = "import sys, minigan.gradcheck; print({'numba', 'matplotlib', 'minigan.layers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
