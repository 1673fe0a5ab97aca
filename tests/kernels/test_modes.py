"""Plain or fast: the same training, passes that change between the two, and a Python without Numba."""

import os
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
from layer_zoo import LAYERS, made
from test_structure import ROOT

import minigan
from minigan.base.mode import is_plain
from minigan.gan import build_gan
from minigan.kernels.parallel import threads

MODES = {"plain": minigan.plain, "fast": nullcontext}


@pytest.fixture(autouse=True)
def one_thread():
    """Of BLAS too, which in plain mode has its own, and these would take the cores from one another."""
    with threads.threads(1):
        yield


def passes(name, forward, backward, dtype=np.float32):
    """Output and all gradients, each pass in a mode of its own."""
    layer, x, condition = made(name, 1, dtype)
    with forward():
        out = layer.forward(x, *([] if condition is None else [condition]))
    g = np.random.default_rng(3).standard_normal(out.shape).astype(dtype)
    with backward():
        back = layer.backward(g)
    return [out, *(back if isinstance(back, tuple) else (back,)), *layer.grads.values()]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("one", MODES)
def test_a_cache_remembers_whose_it_is(one, name):
    """Bit by bit: what the forward pass was made of makes the backward pass too, whatever the mode by then."""
    (other,) = MODES.keys() - {one}
    mixed, pure = passes(name, MODES[one], MODES[other]), passes(name, MODES[one], MODES[one])
    assert all(map(np.array_equal, mixed, pure))


def test_the_modes_are_two():
    """Or all of this would compare something with itself."""
    assert not is_plain()
    for name in ("wide_conv", "wide_transposed", "batch_norm", "group_norm", "attention"):
        plain, fast = (passes(name, mode, mode) for mode in MODES.values())
        assert not all(map(np.array_equal, plain, fast)), name
    with minigan.plain():
        assert is_plain()
        with pytest.raises(ZeroDivisionError), minigan.plain():
            raise ZeroDivisionError
        assert is_plain()
    assert not is_plain()


def train(preset, mode, steps, batch, dtype):
    shape = (8, 9, 1) if preset == "mlp" else None  # most of its time goes into a million parameters
    gan, rng = build_gan(preset, batch_size=batch, seed=1, dtype=dtype, sample_shape=shape), np.random.default_rng(0)
    with mode():
        for _ in range(steps):
            gan.train_step(np.tanh(rng.standard_normal((batch, *gan.sample_shape))).astype(dtype))
        return gan, gan.sample(16, np.random.default_rng(5))


@pytest.mark.parametrize(("preset", "steps"), [("dcgan", 20), ("wgan-gp", 20), ("toy", 200), ("mlp", 200)])
def test_training_is_the_same(preset, steps):
    (_, plain), (_, fast) = (train(preset, mode, steps, 6, np.float64) for mode in MODES.values())
    assert np.abs(plain - fast).max() <= 1e-8
    assert not np.array_equal(plain, fast)


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np
import minigan
from minigan.gradcheck import check_gradients
from minigan.layers import Conv2D
for preset in ("toy", "dcgan"):
    gan, rng = minigan.build_gan(preset, batch_size=4, seed=1, dtype=np.float64), np.random.default_rng(0)
    for _ in range(2):
        gan.train_step(np.tanh(rng.standard_normal((4, *gan.sample_shape))))
    print(*gan.sample(2, np.random.default_rng(5)).ravel())
report = check_gradients(Conv2D(2, 3, 3, 2, 1, rng=np.random.default_rng(3)), rng.standard_normal((2, 5, 4, 2)))
assert report.ok, report
assert not [name for name in sys.modules if name.startswith("numba.")]
"""


def test_without_numba_the_formulas_do_it_all():
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT_NUMBA],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    assert len(process.stderr.splitlines()) == 1
    assert process.stderr.startswith("minigan: formulas run in plain NumPy, as right but slower: Numba is missing")
    for line, preset in zip(process.stdout.splitlines(), ("toy", "dcgan"), strict=True):
        gan, _ = train(preset, minigan.plain, 2, 4, np.float64)
        expected = gan.sample(2, np.random.default_rng(5)).ravel()
        np.testing.assert_allclose(np.array(line.split(), float), expected, rtol=0, atol=1e-8)
