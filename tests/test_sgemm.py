"""Our own matrix products: those of np.matmul in float64 to float32's precision, whatever the sizes and the steps."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config

from minigan.kernels import gemm, sgemm, threads, vectors

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(not vectors.FUSED or config.DISABLE_JIT, reason="no compiled code or fused sums")


def draw(rng, rows, columns, turned):
    x = rng.standard_normal((columns, rows) if turned else (rows, columns), dtype=np.float32)
    return x.T if turned else x


def multiply(a, b, out, add):
    steps = [step // 4 for array in (a, b) for step in array.strides]
    factors = (a.ctypes.data, *steps[:2], b.ctypes.data, *steps[2:])
    row = out.strides[0] // 4
    sgemm.multiply(*factors, out.ctypes.data, row, *out.shape, a.shape[1], int(add), sgemm.scratch())


def largest_error(a, b, out, before):
    """Of out = a b + before, as a share of what rounding may come to: the same sum of absolute values."""
    exact = a.astype(np.float64) @ b + before
    scale = np.abs(a.astype(np.float64)) @ np.abs(b) + np.abs(before)
    return (np.abs(out - exact) / scale).max()


SIZES = [1, 2, 3, sgemm.FEW_ROWS, sgemm.ROWS - 1, sgemm.ROWS, sgemm.ROWS + 1, 2 * sgemm.ROWS + sgemm.FEW_ROWS + 1]
WIDTHS = [1, vectors.LANES - 1, vectors.LANES, vectors.LANES + 1, sgemm.WIDTH - 1, sgemm.WIDTH, 3 * sgemm.WIDTH + 5]
DEPTHS = [1, vectors.LANES - 1, vectors.LANES, 3 * vectors.LANES + 1, sgemm.DEPTH, sgemm.DEPTH + 1, 2 * sgemm.DEPTH + 9]


@pytest.mark.parametrize("a_turned", [False, True])
@pytest.mark.parametrize("b_turned", [False, True])
@pytest.mark.parametrize("add", [False, True])
def test_products_of_all_sizes(a_turned, b_turned, add):
    """Around the edges of tiles, panels and depths, into the middle of a larger array, which is left alone."""
    rng = np.random.default_rng(0)
    for rows in SIZES:
        for columns in WIDTHS:
            for depth in DEPTHS:
                a, b = draw(rng, rows, depth, a_turned), draw(rng, depth, columns, b_turned)
                around = rng.standard_normal((rows + 2, columns + 2), dtype=np.float32)
                kept, out = around.copy(), around[1:-1, 1:-1]
                before = out.copy() if add else np.zeros_like(out)
                multiply(a, b, out, add)
                assert largest_error(a, b, out, before) < 2e-6, (rows, columns, depth)
                around[1:-1, 1:-1] = kept[1:-1, 1:-1]
                np.testing.assert_array_equal(around, kept)


def test_every_number_is_the_same_sum_however_out_is_cut():
    rng = np.random.default_rng(1)
    a, b = draw(rng, 77, 1300, False), draw(rng, 1300, 201, False)
    whole, parts = np.empty((77, 201), np.float32), np.empty((77, 201), np.float32)
    multiply(a, b, whole, False)
    for rows in (slice(0, 5), slice(5, 30), slice(30, 77)):
        for columns in (slice(0, 70), slice(70, 71), slice(71, 201)):
            multiply(a[rows], b[:, columns], parts[rows, columns], False)
    np.testing.assert_array_equal(parts, whole)


@pytest.mark.skipif(threads.available_cores() < 2, reason="one core: there is no team")
def test_the_number_of_threads_changes_nothing():
    rng = np.random.default_rng(2)
    a, b = draw(rng, 130, 300, False), draw(rng, 300, 270, True)
    outs = []
    for count in (1, 2):
        with threads.threads(count):
            outs.append(gemm.product(a, b, np.empty((130, 270), np.float32)))
    np.testing.assert_array_equal(*outs)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_stays_in_its_row_and_column(bad):
    rng = np.random.default_rng(3)
    a, b, out = draw(rng, 30, 40, False), draw(rng, 40, 50, True), np.empty((30, 50), np.float32)
    a[7, 3], b[5, 49] = bad, bad
    multiply(a, b, out, False)
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(np.isfinite(out), np.isfinite(a @ b))


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stacks(dtype, add):
    rng = np.random.default_rng(4)
    a, b = rng.standard_normal((5, 33, 40)).astype(dtype), rng.standard_normal((5, 40, 64)).astype(dtype)
    for factors in (
        (a, b),
        (a.transpose(0, 2, 1).copy().transpose(0, 2, 1), b.transpose(0, 2, 1).copy().transpose(0, 2, 1)),
    ):
        out = rng.standard_normal((5, 33, 64)).astype(dtype)
        expected = out * add + a.astype(np.float64) @ b
        gemm.stack(*factors, out, add=add)
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-4 if dtype == np.float32 else 1e-13)


@pytest.mark.parametrize("features", [{"avx2": True, "fma": True}, {"neon": True}, {"sse2": True}])
def test_registers_of_other_processors(features, tmp_path):
    """Vectors of 8 and 4 numbers, and no fused multiply-adds: what this processor can do too, only slower."""
    source = f"""
import llvmlite.binding
ask, llvmlite.binding.get_host_cpu_features = llvmlite.binding.get_host_cpu_features, lambda: {features}
from minigan.kernels import vectors
llvmlite.binding.get_host_cpu_features = ask
import numpy as np
from minigan.kernels import gemm
rng = np.random.default_rng(0)
x, weight, grad = (rng.standard_normal(shape, dtype=np.float32) for shape in ((70, 300), (300, 90), (70, 90)))
out, grad_x, grad_weight = np.empty_like(grad), np.empty_like(x), np.empty_like(weight)
gemm.product(x, weight, out, np.zeros(90, np.float32))
gemm.products((x.T, grad, grad_weight), (grad, weight.T, grad_x))
made, wanted = (out, grad_x, grad_weight), (x @ weight, grad @ weight.T, x.T @ grad)
print(vectors.LANES, vectors.FUSED, max(abs(m - w).max() for m, w in zip(made, wanted)) < 1e-4)
"""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [sys.executable, "-c", source], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    lanes, fused = (8 if "avx2" in features else 4), "sse2" not in features
    assert process.stdout == f"{lanes} {fused} True\n", process.stderr
