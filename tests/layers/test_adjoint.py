"""The convolutions are adjoint, a variance does not cancel, and kernels compute the same without the JIT."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from minigan.layers import BatchNorm
from minigan.layers.conv import conv2d, conv_transpose2d, conv_transpose2d_output_size


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
    out, _ = conv2d.forward(x, weight, 0, stride, padding)
    y = rng.standard_normal(out.shape)
    smallest = conv_transpose2d_output_size(out.shape[1:3], kernel, stride, padding, (0, 0))
    extra = tuple(s - t for s, t in zip(size, smallest, strict=True))  # the pixels the stride did not reach
    assert all(0 <= e < s for e, s in zip(extra, stride, strict=True))
    back, _ = conv_transpose2d.forward(y, weight, 0, stride, padding, extra)
    assert back.shape == x.shape
    difference = abs((out * y).sum() - (x * back).sum())
    assert difference <= 1e-12 * np.linalg.norm(out) * np.linalg.norm(y)


def test_a_variance_does_not_cancel():
    """A mean far from zero: the textbook E x² - (E x)² would leave nothing of the variance in float32."""
    x = (np.random.default_rng(5).standard_normal((1000, 3)) + 1000).astype(np.float32)
    layer, exact = BatchNorm(3, momentum=1), x.astype(np.float64)
    layer.forward(x)
    np.testing.assert_allclose(layer.buffers["running_mean"], exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(layer.buffers["running_var"], exact.var(axis=0, ddof=1), rtol=1e-4)


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
        np.testing.assert_allclose(
            compiled["result"][name], values, rtol=0, atol=1e-12 * np.abs(values).max(), err_msg=name
        )
