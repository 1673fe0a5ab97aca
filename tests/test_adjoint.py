"""The kernels: adjoint pairs, each against its plain twin, the same with any number of threads and without the JIT."""

import inspect
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from minigan.kernels import im2col as kernels
from minigan.kernels import norm, pointwise, updates
from minigan.kernels import threads as team
from minigan.layers import conv2d_forward, conv_transpose2d_forward
from minigan.layers.conv import conv2d_output_size, conv_transpose2d_output_size

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
two_cores = pytest.mark.skipif(team.available_cores() < 2, reason="one core: there is no second thread to compare with")


def relative(a, b):
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    return np.abs(a - b).max() / max(np.abs(b).max(), np.finfo(b.dtype).tiny)


def geometry(seed):
    """A random convolution: batch, channels, image size, kernel, stride, padding (up to beyond the kernel)."""
    rng = np.random.default_rng(seed)
    while True:
        n, c, o = rng.integers(1, 5, 3)
        size, kernel, stride = rng.integers(1, 10, 2), rng.integers(1, 6, 2), rng.integers(1, 4, 2)
        padding = rng.integers(0, kernel + 2)
        if (size + 2 * padding >= kernel).all():
            return n, c, o, *(tuple(map(int, pair)) for pair in (size, kernel, stride, padding))


@pytest.mark.parametrize("seed", range(80))
def test_transposed_convolution_is_the_adjoint(seed):
    """⟨conv x, y⟩ = ⟨x, convᵀ y⟩ with the very same weight array."""
    n, c, o, size, kernel, stride, padding = geometry(seed)
    rng = np.random.default_rng(seed + 1000)
    x, weight = rng.standard_normal((n, *size, c)), rng.standard_normal((*kernel, c, o))
    out, _ = conv2d_forward(x, weight, None, stride, padding)
    y = rng.standard_normal(out.shape)
    smallest = conv_transpose2d_output_size(out.shape[1:3], kernel, stride, padding, (0, 0))
    extra = tuple(s - t for s, t in zip(size, smallest, strict=True))  # the pixels the stride did not reach
    assert all(0 <= e < s for e, s in zip(extra, stride, strict=True))
    back, _ = conv_transpose2d_forward(y, weight, None, stride, padding, extra)
    assert back.shape == x.shape
    difference = abs((out * y).sum() - (x * back).sum())
    assert difference <= 1e-12 * np.linalg.norm(out) * np.linalg.norm(y)


@every_dtype
@pytest.mark.parametrize("seed", range(40))
def test_im2col_and_col2im_against_their_twins(seed, dtype):
    n, c, _, size, kernel, stride, padding = geometry(seed)
    if seed % 2:  # as a transposed convolution calls them: an output padding makes the image larger than was reached
        out = size
        extra = tuple(s - 1 for s in stride)
        size = conv_transpose2d_output_size(out, kernel, stride, padding, extra)
        if min(size) < 1:
            padding = (0, 0)
            size = conv_transpose2d_output_size(out, kernel, stride, padding, extra)
    else:
        out = conv2d_output_size(size, kernel, stride, padding)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, *size, c)).astype(dtype)
    cols = kernels.im2col(x, kernel, stride, padding, out)
    assert np.array_equal(cols, kernels.im2col_plain(x, kernel, stride, padding, out))  # copies: no rounding at all
    cols, bias = rng.standard_normal(cols.shape).astype(dtype), rng.standard_normal(c).astype(dtype)
    image = kernels.col2im(cols, x.shape, kernel, stride, padding, out, bias)
    plain = kernels.col2im_plain(cols, x.shape, kernel, stride, padding, out, bias)
    assert relative(image, plain) <= TOLERANCE[dtype]


def passes_of(parts, rows, channels, slope, dtype):
    """{function name: its arguments} for the passes of bias, activation and batch norm; `out` fits `x`."""
    rng = np.random.default_rng(parts + rows + channels)

    def draw(*shape):
        return rng.standard_normal(shape).astype(dtype)

    x, grad, bias = draw(parts, rows, channels) + 3, draw(parts, rows, channels), draw(channels)
    mean, scale, gamma = draw(parts, channels), np.abs(draw(parts, channels)) + 1, draw(channels)
    out = norm.normalise_plain(x, mean + 3, scale, bias, slope)
    flat = (a.reshape(-1, channels) for a in (grad, out))
    stack = (grad, out, x, mean, scale)
    bits = np.random.default_rng(4).integers(0, 2**16, x.size, np.uint16)
    return {
        "add_bias": (pointwise, (x.reshape(-1, channels), bias, slope)),
        "leaky": (pointwise, (x - 3, slope)),
        "leaky_backward": (pointwise, (grad, out, slope)),
        "add_bias_backward": (pointwise, (*flat, slope)),
        "tanh_backward": (pointwise, (grad, out)),
        "sigmoid": (pointwise, (30 * grad,)),
        "softplus": (pointwise, (30 * grad,)),
        "keep": (pointwise, (x, bits, int(bits.max()), 1.5)),  # the least that is kept is among them
        "moments": (norm, (x,)),
        "normalise": (norm, (x, mean, scale, bias, slope)),
        "normalise_sums": (norm, (*stack, slope)),
        "normalise_backward": (norm, (*stack, gamma, draw(parts, channels), draw(parts, channels), slope)),
    }


def called(function, arguments):
    """What it returns and what it changes, as one list of arrays; the arguments stay."""
    copies = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
    result = function(*copies)
    results = [] if result is None else list(result) if isinstance(result, tuple) else [result]
    return results + [a for a, b in zip(copies, arguments, strict=True) if isinstance(a, np.ndarray)]


PASSES = list(passes_of(1, 2, 1, 1, np.float64))


def test_every_pass_is_listed():
    twins = [name for module in (pointwise, norm) for name in vars(module) if f"{name}_plain" in vars(module)]
    assert sorted(twins) == sorted(PASSES)


@every_dtype
@pytest.mark.parametrize("slope", [0, 0.2, 1])
@pytest.mark.parametrize("name", PASSES)
def test_passes_against_their_twins(name, slope, dtype):
    size = pointwise.CHUNK
    for parts, rows, channels in [(1, 2, 1), (2, 5, 3), (1, size, 4), (2, size + 1, 5), (3, 2 * size - 1, 2)]:
        module, arguments = passes_of(parts, rows, channels, slope, dtype)[name]
        fast = called(getattr(module, name), arguments)
        plain = called(getattr(module, f"{name}_plain"), arguments)
        for a, b in zip(fast, plain, strict=True):
            # A sum's rounding goes with the size of its terms, all of order 1 here, and not with what is left of them.
            assert np.abs(a - b).max() <= TOLERANCE[dtype] * max(np.abs(b).max(), rows**0.5), (parts, rows, channels)


def test_moments_do_not_cancel():
    """A mean far from zero: the textbook E x² - (E x)² would leave nothing of the variance in float32."""
    x = np.random.default_rng(5).standard_normal((1, 1000, 3)) + 1000
    mean, var = norm.moments(x.astype(np.float32))
    exact = x.astype(np.float32).astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=1), rtol=1e-7)
    np.testing.assert_allclose(var, exact.var(axis=1), rtol=1e-4)


UPDATES = {  # kernel: its constants
    "sgd": (0.1,),
    "momentum": (0.1, 0.9),
    "rmsprop": (0.1, 0.99, 0.01, 1e-8),
    "adagrad": (0.1, 1e-10),
    "adam": (0.9, 0.1, 0.999, 0.001, 0.1, 0.04, 1e-8),
    "average": (0.1,),
}


def update_arrays(name, size, dtype):
    """What the kernel takes after start and stop, and how many of these are arrays; squares are positive."""
    names = [p for p in inspect.signature(getattr(updates, f"{name}_plain")).parameters]
    rng, count = np.random.default_rng(6), len(names) - len(UPDATES[name])
    arrays = [rng.standard_normal(size).astype(dtype) for _ in range(count)]
    arrays = [np.abs(a) if n == "square" else a for n, a in zip(names, arrays, strict=False)]
    return arrays, [dtype(value) for value in UPDATES[name]]


def test_every_update_is_listed():
    own = {name for name in vars(updates) if f"{name}_plain" in vars(updates)}
    assert own == set(UPDATES)


@every_dtype
@pytest.mark.parametrize("name", UPDATES)
def test_updates_against_their_twins(name, dtype):
    fast, constants = update_arrays(name, 1003, dtype)
    plain, start = [a.copy() for a in fast], [a.copy() for a in fast]
    getattr(updates, name)(0, 1003, *fast, *constants)
    getattr(updates, f"{name}_plain")(*plain, *constants)
    changed = [not np.array_equal(a, b) for a, b in zip(fast, start, strict=True)]
    assert changed[0]
    assert changed[1:] == [False] + [True] * (len(fast) - 2)  # the gradient stays, what is remembered moves
    for a, b in zip(fast, plain, strict=True):
        assert relative(a, b) <= TOLERANCE[dtype]
    before = fast[0].copy()
    getattr(updates, name)(100, 200, *fast, *constants)  # one thread's share moves and nothing else
    moved = np.flatnonzero(fast[0] != before)
    assert moved.min() == 100
    assert moved.max() == 199


class Spy:
    """Calls a kernel and notes the shares it was called with."""

    def __init__(self, kernel):
        self.kernel, self.shares = kernel, []

    def __call__(self, start, stop, *arguments):
        self.shares.append((start, stop, threading.current_thread().name))
        self.kernel(start, stop, *arguments)


@two_cores
@every_dtype
def test_convolution_kernels_do_not_depend_on_the_threads(monkeypatch, dtype):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((5, 23, 31, 9)).astype(dtype)
    args = ((3, 4), (2, 1), (1, 2), (12, 32))
    cols, bias = rng.standard_normal((5 * 12 * 32, 108)).astype(dtype), rng.standard_normal(9).astype(dtype)
    results = []
    for count in (1, 2):
        spies = Spy(kernels._im2col), Spy(kernels._col2im)
        with team.threads(count), monkeypatch.context() as patch:
            patch.setattr(kernels, "_im2col", spies[0])
            patch.setattr(kernels, "_col2im", spies[1])
            results.append((kernels.im2col(x, *args), kernels.col2im(cols, x.shape, *args, bias)))
        assert [len({thread for *_, thread in spy.shares}) for spy in spies] == [count, count]
    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])


@two_cores
@every_dtype
@pytest.mark.parametrize("channels", [3, 5])
@pytest.mark.parametrize("name", PASSES)
def test_passes_do_not_depend_on_the_threads(monkeypatch, name, channels, dtype):
    module, arguments = passes_of(2, 12_345, channels, 0.2, dtype)[name]
    results, shares, run = [], [], team.run

    def spy(kernel, rows, work, *args):
        spied = Spy(kernel)
        run(spied, rows, 4 * work, *args)  # so that even the smallest of them is shared out
        shares.append(len(spied.shares))

    for count in (1, 2):
        with team.threads(count), monkeypatch.context() as patch:
            patch.setattr(team, "run", spy)
            results.append(called(getattr(module, name), arguments))
    assert shares == [1, 2]
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


@two_cores
@every_dtype
@pytest.mark.parametrize("name", UPDATES)
def test_updates_do_not_depend_on_the_threads(name, dtype):
    size, results = 300_001, []
    for count in (1, 2):
        arrays, constants = update_arrays(name, size, dtype)
        spy = Spy(getattr(updates, name))
        with team.threads(count):
            team.run(spy, size, size * len(arrays), *arrays, *constants)
        assert sorted(spy.shares)[0][0] == 0
        assert len(spy.shares) == len({thread for *_, thread in spy.shares}) == count
        results.append(arrays)
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))


# ---- without the JIT

SCRIPT = """
import json, os
import numpy as np
from minigan.layers import Conv2D, ConvTranspose2D, Dense, Flatten, LeakyReLU, Sequential
from minigan.optim import Adam

rng = np.random.default_rng(9)
layers = [Conv2D(2, 3, (3, 2), (2, 1), 1, rng=rng), LeakyReLU(), ConvTranspose2D(3, 2, 3, 2, 1, 1, rng=rng)]
network = Sequential([*layers, Flatten(), Dense(6 * 10 * 2, 1, rng=rng)]).astype(np.float64)
optimizer = Adam(network, lr=0.01)
for _ in range(2):
    out = network.forward(rng.standard_normal((3, 5, 4, 2)))
    network.zero_grad()
    grad_input = network.backward(rng.standard_normal(out.shape))
    optimizer.step()
arrays = {"out": out, "grad_input": grad_input, **network.params}
arrays |= {f"grad {name}": grad for name, grad in network.grads.items()}
result = {name: array.tolist() for name, array in arrays.items()}
"""


def test_without_the_jit_the_numbers_are_the_same():
    source = SCRIPT + "import numba\nassert numba.config.DISABLE_JIT\nprint(json.dumps(result))"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    process = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    compiled = {}
    exec(SCRIPT, compiled)
    plain = json.loads(process.stdout)  # 17 digits: json brings floats back exactly
    assert plain.keys() == compiled["result"].keys()
    for name, values in plain.items():
        assert relative(np.array(compiled["result"][name]), np.array(values)) <= 1e-12, name
