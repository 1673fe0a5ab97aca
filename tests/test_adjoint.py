"""The kernels: adjoint pairs, plain twins, any number of threads, recycled memory, and without the JIT."""

import gc
import inspect
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from minigan.errors import InputError
from minigan.kernels import im2col as kernels
from minigan.kernels import memory, updates
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


# ---- threads


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


def count_rows(start, stop, rows):
    rows[start:stop] += 1


def works():
    rows = np.zeros(1000)
    team.run(count_rows, len(rows), 10 * team.WORTHWHILE, rows)
    return (rows == 1).all()


@two_cores
@pytest.mark.parametrize("where", ["helper", "caller", "both"])
def test_an_exception_in_a_kernel_reaches_the_caller(where):
    done = []

    def fails(start, stop):
        if where == "both" or (where == "caller") == (start == 0):
            raise ZeroDivisionError(f"rows {start} to {stop}")
        time.sleep(0.05)
        done.append(start)

    with team.threads(2):
        with pytest.raises(ZeroDivisionError, match="rows 500 to 1000" if where == "helper" else "rows 0 to 500"):
            team.run(fails, 1000, 10 * team.WORTHWHILE)
        assert len(done) == (where != "both"), "the call must not return while the other thread still works"
        assert all(works() for _ in range(50))


@two_cores
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_an_interrupt_while_waiting_leaves_no_helper_at_work():
    """Ctrl-C in a notebook, then the next cell: run must not leave, then or later, before its helper is done."""
    main = threading.main_thread().ident

    def slow_helper(start, stop, rows, interrupt):
        if start:
            time.sleep(0.1)  # by now the caller waits for this thread
            if interrupt:
                signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.1)
        rows[start:stop] += 1

    interrupted, later = np.zeros(1000), np.zeros(1000)
    with team.threads(2):
        try:
            with pytest.raises(KeyboardInterrupt):
                team.run(slow_helper, 1000, 10 * team.WORTHWHILE, interrupted, True)
            interrupted = interrupted.copy()
            team.run(slow_helper, 1000, 10 * team.WORTHWHILE, later, False)
            later = later.copy()
        finally:
            team._team.helpers.clear()  # the other tests start with a fresh team whatever happened here
    assert (later == 1).all(), "the second call took the first call's result for its own and left too early"
    assert (interrupted == 1).all(), "the interrupted call left while its helper was still writing"


def test_the_thread_count_comes_back():
    before = team.get_threads()

    def fail_with_one_thread():
        with team.threads(1):
            assert team.get_threads() == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_with_one_thread()
    assert team.get_threads() == before
    for wrong in (0, team.available_cores() + 1, 1.0, True, "2"):
        with pytest.raises(InputError, match=f"threads: got {wrong!r}, expected a whole number from 1 to"):
            team.set_threads(wrong)
    assert team.get_threads() == before


def test_two_threads_of_a_program_have_a_team_each():
    results = []
    callers = [threading.Thread(target=lambda: results.append(all(works() for _ in range(50)))) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [True] * 3


# ---- memory


SHAPE = (131, 257)  # used by no other test, larger than memory.SMALLEST


def test_memory_in_use_is_never_given_out():
    rng, held = np.random.default_rng(8), []
    for step in range(300):
        array = memory.empty(SHAPE, np.float32)
        assert array.shape == SHAPE
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        array.fill(step)
        # Whoever holds anything that leads to the memory holds it: the array, a row, a view of a view, a transpose.
        held.append((step, [array, array[3:4], array.view(np.int32).view(np.float32), array.T[1:, 2:]][step % 4]))
        del array
        if len(held) > 5:
            held.pop(int(rng.integers(len(held))))
        for value, view in held:
            assert (view == value).all()
    held.clear()


def test_memory_no_longer_in_use_is_given_out_again():
    first = memory.empty(SHAPE, np.float64)
    address = first.ctypes.data
    view = first[5]
    del first
    gc.collect()
    assert memory.empty(SHAPE, np.float64).ctypes.data != address, "a view still uses it"
    del view
    gc.collect()
    addresses = {memory.empty(SHAPE, np.float64).ctypes.data, memory.empty((SHAPE[0] * 2, SHAPE[1]), "f4").ctypes.data}
    assert address in addresses
    again = [memory.empty(SHAPE, np.float64) for _ in range(2)]
    assert len({array.ctypes.data for array in again}) == 2
    assert not memory.zeros(SHAPE, np.float64).any()


def test_idle_memory_is_released_in_the_end():
    shape = (137, 263)
    size = 137 * 263 * 8
    del (array := {0: memory.empty(shape, np.float64)})[0]
    assert array == {}
    assert size in memory._blocks.by_size
    for _ in range(memory.PATIENCE + 1):
        memory.empty((100, 100), np.float64)
    kept = [memory.empty((100, 100), np.float64) for _ in range(3)]  # more than there are: a new block is made
    assert size not in memory._blocks.by_size
    assert len({array.ctypes.data for array in kept}) == 3


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
