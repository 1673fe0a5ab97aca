"""Holes, and the fills against their definitions, written as matrices pixel by pixel."""

import numpy as np
import pytest

import minigan
from minigan.base.errors import InputError
from minigan.image_to_image import filters, inpainting
from minigan.kernels import smoothing


def draw(*shape, seed=3):
    return np.random.default_rng(seed).standard_normal(shape)


def holes(*shape, seed=4):
    return np.random.default_rng(seed).random((*shape, 1)) < 0.4


def matrix(h, w):
    """L of an h x w picture, pixel by pixel."""
    made = np.zeros((h * w, h * w))
    for i in range(h):
        for j in range(w):
            for a, b in ((i - 1, j), (i + 1, j), (i, j - 1), (i, j + 1)):
                if 0 <= a < h and 0 <= b < w:
                    made[i * w + j, i * w + j] += 1
                    made[i * w + j, a * w + b] -= 1
    return made


def test_the_laplacian():
    x = draw(2, 4, 5, 3)
    for n in range(2):
        for c in range(3):
            np.testing.assert_allclose(
                inpainting.laplacian(x)[n, ..., c].ravel(), matrix(4, 5) @ x[n, ..., c].ravel(), atol=1e-12
            )


def solved(x, hole, power):
    """The missing pixels by a dense solver, picture by picture."""
    out = x.copy()
    laplacian = np.linalg.matrix_power(matrix(*x.shape[1:3]), power)
    for n in range(len(x)):
        inside = hole[n].ravel()
        for c in range(x.shape[3]):
            flat = x[n, ..., c].ravel().copy()
            right = -laplacian[np.ix_(inside, ~inside)] @ flat[~inside]
            flat[inside] = np.linalg.solve(laplacian[np.ix_(inside, inside)], right)
            out[n, ..., c] = flat.reshape(x.shape[1:3])
    return out


@pytest.mark.parametrize(("fill", "power"), [(inpainting.harmonic, 1), (inpainting.biharmonic, 2)])
def test_smooth_fills(fill, power, monkeypatch):
    monkeypatch.setattr(inpainting, "TOLERANCE", 1e-10)
    x, hole = draw(3, 7, 6, 2), holes(3, 7, 6)
    expected = solved(x, hole, power)
    spoilt = np.where(hole, 1e3, x)  # what was in the hole plays no part
    before = spoilt.copy()
    np.testing.assert_allclose(fill(spoilt, hole), expected, atol=1e-6)
    assert np.array_equal(spoilt, before)
    assert abs(expected - solved(x, hole, 3 - power)).max() > 0.1  # the two fills differ


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("most", [4, 500])
def test_plain_and_fast_fills_agree(most, power, dtype):
    """Stopped after few steps, long before the solution, and at the tolerance; systems of very different sizes, one of
    them zero."""
    hole = holes(4, 9, 6)
    b = (draw(4, 9, 6, 2) * hole * np.reshape([1, 1e6, 0, 1e-6], (4, 1, 1, 1))).astype(dtype)
    plain, fast = (smooth(b, hole, power, 1e-6, most) for smooth in (inpainting.smooth, smoothing.smooth))
    assert plain.dtype == fast.dtype == dtype
    assert (abs(fast - plain) <= 1e-6 * abs(plain).max(axis=(1, 2), keepdims=True)).all()


@pytest.mark.parametrize("fill", [inpainting.harmonic, inpainting.biharmonic])
def test_plain_mode_fills_without_the_kernel(fill, monkeypatch):
    x, hole = draw(3, 7, 6, 2), holes(3, 7, 6)
    expected = fill(x, hole)
    monkeypatch.delattr(smoothing, "smooth")
    with minigan.plain():
        np.testing.assert_allclose(fill(x, hole), expected, atol=1e-9)


def test_fills_of_simple_pictures():
    """A ramp goes on across a hole inside: both are exact; a thin plate also goes on to the border."""
    ramp = np.broadcast_to(np.arange(9.0)[None, :, None, None], (1, 9, 8, 1)).astype(np.float32)
    middle = np.zeros((1, 9, 8, 1), bool)
    middle[:, 3:6, 2:6] = True
    for fill in (inpainting.harmonic, inpainting.biharmonic):
        np.testing.assert_allclose(fill(ramp, middle), ramp, atol=0.02)
    grey = np.full((2, 6, 6, 1), 77, np.float32)
    np.testing.assert_allclose(inpainting.harmonic(grey, holes(2, 6, 6)), grey)
    everything = np.ones((1, 6, 6, 1), bool)
    np.testing.assert_array_equal(inpainting.biharmonic(grey[:1], everything), np.full((1, 6, 6, 1), 127.5))
    with pytest.raises(InputError, match="does not go with pictures"):
        inpainting.harmonic(grey, everything[:, :5])


def test_mean_fill():
    x, hole = draw(3, 4, 5, 2), holes(3, 4, 5)
    for n in range(3):
        for c in range(2):
            known = x[n, ..., c][~hole[n, ..., 0]]
            expected = np.where(hole[n, ..., 0], known.mean(), x[n, ..., c])
            np.testing.assert_allclose(inpainting.mean_fill(x, hole)[n, ..., c], expected)


def test_poisson_blending(monkeypatch):
    """L x = L guide in the hole, and nothing is changed outside."""
    monkeypatch.setattr(inpainting, "TOLERANCE", 1e-10)
    x, guide, hole = draw(2, 6, 7, 2), draw(2, 6, 7, 2, seed=9), holes(2, 6, 7)
    made = inpainting.poisson(x, hole, guide)
    inside = np.broadcast_to(hole, x.shape)
    np.testing.assert_allclose(made[~inside], x[~inside], atol=1e-12)
    np.testing.assert_allclose(inpainting.laplacian(made)[inside], inpainting.laplacian(guide)[inside], atol=1e-6)
    np.testing.assert_allclose(
        inpainting.poisson(x + 5, hole, guide), made + 5, atol=1e-6
    )  # the guide's level is nothing


def test_conjugate_gradients():
    """Each system by itself, and in so many steps as there are unknowns."""
    rng = np.random.default_rng(1)
    roots = rng.standard_normal((4, 6, 6))
    matrices = roots @ roots.transpose(0, 2, 1) + np.eye(6) * np.array([0.1, 1, 10, 100])[:, None, None]
    b = rng.standard_normal((4, 6))
    b[2] = 0  # nothing to do here, and nothing to divide by

    def times(v):
        return np.einsum("nij,nj->ni", matrices.astype(v.dtype), v)

    found = inpainting.conjugate_gradients(times, b, tolerance=1e-12, most=40)
    np.testing.assert_allclose(found, np.linalg.solve(matrices, b[..., None])[..., 0], atol=1e-9)
    assert not found[2].any()
    assert inpainting.conjugate_gradients(times, b.astype(np.float32)).dtype == np.float32
    rough = inpainting.conjugate_gradients(times, b, tolerance=0.5)
    assert (np.linalg.norm(times(rough) - b, axis=1) <= 0.5 * np.linalg.norm(b, axis=1) + 1e-12).all()


def test_holes():
    rng = np.random.default_rng(1)
    centre = inpainting.centre_hole(2, 28, 32, rng)
    assert centre[:, 7:21, 8:24].all()
    assert centre.sum() == 2 * 14 * 16
    assert 0.45 < inpainting.random_hole(50, 28, 28, rng).mean() < 0.55
    scratches = inpainting.scratch_hole(200, 28, 28, rng)
    assert 0.15 < scratches.mean() < 0.35
    assert not np.array_equal(scratches[0], scratches[1])
    assert scratches.any(axis=0).all()
    assert scratches.any(axis=(1, 2, 3)).all()


# ---- filters for blur


def test_unsharp():
    images = np.random.default_rng(1).integers(0, 256, (2, 9, 8, 3)).astype(np.uint8)
    smooth = filters.gaussian(images, 1.0).astype(float)
    expected = np.rint(np.clip(images + 2.0 * (images - smooth), 0, 255))
    assert np.array_equal(filters.unsharp(images, 1.0, 2.0), expected)


def test_wiener():
    """The picture x for which ‖A x - y‖² + noise² ‖x‖² is smallest, less the mean; without noise, x itself."""
    images = np.random.default_rng(1).integers(60, 200, (2, 7, 6, 2)).astype(np.uint8)
    rows, columns = filters.gaussian_weights(7, 0.8), filters.gaussian_weights(6, 0.8)
    both = np.kron(rows, columns)
    for noise in (0.1, 0.5):
        made = filters.wiener(images, 0.8, noise)
        for n in range(2):
            for c in range(2):
                y = images[n, ..., c].ravel().astype(float)
                x = np.linalg.solve(both.T @ both + noise**2 * np.eye(42), both.T @ (y - y.mean())) + y.mean()
                expected = np.rint(np.clip(x, 0, 255)).reshape(7, 6)
                assert abs(made[n, ..., c] - expected).max() <= 1  # a rounding may fall the other way
    blurred = filters.gaussian(images, 0.5)
    assert abs(filters.wiener(blurred, 0.5, 1e-3).astype(int) - images).max() < 12
    assert abs(blurred.astype(int) - images).max() > 12
