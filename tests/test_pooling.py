"""The pooling kernels against their plain twins: any window and stride, ties, NaN; sum and scatter are transposes."""

import numpy as np
import pytest

from minigan.kernels import pooling, threads

GEOMETRIES = [((5, 7), (2, 2), (2, 2)), ((5, 7), (3, 2), (1, 2)), ((6, 4), (1, 2), (3, 1)), ((4, 4), (4, 4), (4, 4))]


def sizes(size, kernel, stride):
    return tuple((s - k) // d + 1 for s, k, d in zip(size, kernel, stride, strict=True))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_sum_and_scatter(geometry, dtype, tolerance, monkeypatch):
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    size, kernel, stride = geometry
    rng, out = np.random.default_rng(0), sizes(size, kernel, stride)
    x = rng.standard_normal((3, *size, 5)).astype(dtype)
    y = rng.standard_normal((3, *out, 5)).astype(dtype)
    total = pooling.window_sum(x, kernel, stride, out, 0.3)
    spread = pooling.window_scatter(y, x.shape, kernel, stride, 0.3)
    assert total.dtype == spread.dtype == dtype
    np.testing.assert_allclose(total, pooling.window_sum_plain(x, kernel, stride, out, 0.3), rtol=0, atol=tolerance)
    wanted = pooling.window_scatter_plain(y, x.shape, kernel, stride, 0.3)
    np.testing.assert_allclose(spread, wanted, rtol=0, atol=tolerance)
    assert abs(np.vdot(total, y) - np.vdot(x, spread)) <= 10 * tolerance * np.linalg.norm(x) * np.linalg.norm(y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("kind", ["distinct", "ties", "nan"])
def test_max(geometry, kind, dtype, monkeypatch):
    """A search rounds nothing: the very same entries, winners and gradients."""
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    size, kernel, stride = geometry
    rng, out = np.random.default_rng(1), sizes(size, kernel, stride)
    x = rng.standard_normal((3, *size, 5)).astype(dtype)
    if kind == "ties":
        x = np.sign(x)
    if kind == "nan":
        x[rng.random(x.shape) < 0.2] = np.nan
    y, winner = pooling.window_max(x, kernel, stride, out)
    wanted, first = pooling.window_max_plain(x, kernel, stride, out)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, wanted)
    np.testing.assert_array_equal(winner, first)
    g = rng.standard_normal(y.shape).astype(dtype)
    grad = pooling.window_max_backward(g, winner, x.shape, kernel, stride)
    wanted = pooling.window_max_backward_plain(g, first, x.shape, kernel, stride)
    np.testing.assert_allclose(grad, wanted, rtol=1e-6, atol=1e-6)
