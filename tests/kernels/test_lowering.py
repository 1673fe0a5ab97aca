"""Toom-Cook is the same convolution: exact matrices, steps with their transposes, and the results of im2col."""

import numpy as np
import pytest

from minigan.base.errors import RunError
from minigan.kernels import gemm, lowering
from minigan.kernels.lowering import INPUT, OUTPUT
from minigan.kernels.parallel import threads
from minigan.kernels.toom_cook import plans

# (H, W), kernel, stride, padding; outputs of every length up to 7, borders that do not fit, H ≠ W
GEOMETRIES = [
    ((14, 14), (4, 4), (2, 2), (1, 1)),
    ((7, 9), (3, 3), (1, 1), (1, 1)),
    ((13, 10), (4, 3), (2, 1), (1, 0)),
    ((9, 8), (5, 5), (2, 2), (2, 2)),
    ((6, 5), (2, 2), (1, 1), (0, 1)),
    ((12, 7), (6, 5), (3, 2), (2, 2)),
    ((9, 11), (4, 4), (2, 2), (0, 0)),  # pixels that no window reaches
    ((7, 7), (5, 5), (2, 2), (2, 2)),  # six points
    ((14, 16), (5, 3), (2, 2), (2, 1)),
]


@pytest.mark.parametrize(("kernel_size", "stride"), [(2, 1), (3, 1), (4, 1), (5, 1), (4, 2), (5, 2), (3, 2), (7, 3)])
@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 5, 7, 16])
def test_the_matrices_compute_a_correlation_exactly(outputs, kernel_size, stride):
    """Σ over the rows of A G B is 1 where the sample meets the tap, in each phase, and 0 elsewhere."""
    axis = plans.axis_transform(outputs, kernel_size, stride)
    for b in range(stride):
        got = np.einsum("xo,xa,xi->oai", axis.a, axis.g[b, axis.point], axis.b[b])
        wanted = np.zeros_like(got)
        for o in range(outputs):
            for a in range(-(-(kernel_size - b) // stride)):
                wanted[o, a, o + a] = 1
        np.testing.assert_allclose(got, wanted, rtol=0, atol=2e-15)


def test_fewer_multiplications_than_the_definition():
    for outputs, kernel_size, stride, count in [(7, 4, 2, 18), (7, 5, 2, 20), (4, 5, 2, 11), (4, 3, 1, 6)]:
        assert plans.multiplications(outputs, kernel_size, stride) == count < outputs * kernel_size
        axis = plans.axis_transform(outputs, kernel_size, stride)
        assert axis.phases[axis.point].sum() == count


def both(geometry, dtype, n=3, c=5, o=4, seed=0):
    """The two algorithms for one convolution, and x, weight, grad_output for it."""
    size, kernel, stride, padding = geometry
    rng = np.random.default_rng(seed)
    out = tuple((s + 2 * p - k) // d + 1 for s, k, d, p in zip(size, kernel, stride, padding, strict=True))
    x, weight, y = (
        rng.standard_normal(shape).astype(dtype) for shape in ((n, *size, c), (*kernel, c, o), (n, *out, o))
    )
    arguments = (x.shape, weight.shape, stride, padding, out)
    return lowering.Im2col(*arguments), lowering.ToomCook(*arguments, np.dtype(dtype)), x, weight, y


def results(algorithm, x, weight, y, bias):
    u = algorithm.weight_side(weight)
    arrays = (
        lowering.convolve(algorithm, x, u, bias),
        lowering.convolve(algorithm, y, u, 0, OUTPUT),
        *lowering.convolve_backward(algorithm, y, x, u, True, True),
        *lowering.convolve_backward(algorithm, x, y, u, True, True, OUTPUT),
    )
    names = ("output", "transposed", "grad_input", "grad_weight", "transposed's grad_input", "transposed's grad_weight")
    return dict(zip(names, arrays, strict=True))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_toom_cook_against_im2col(geometry, dtype, tolerance):
    plain, fast, x, weight, y = both(geometry, dtype)
    bias = np.linspace(-1, 1, 4).astype(dtype)
    got, wanted = (results(algorithm, x, weight, y, bias) for algorithm in (fast, plain))
    for name, array in wanted.items():
        assert got[name].dtype == dtype
        assert abs(got[name] - array).max() <= tolerance * abs(array).max(), name


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_float32_loses_little_to_im2col(geometry):
    """Root mean square errors against float64, at 64 channels: within six times those of im2col."""
    plain, fast, x, weight, y = both(geometry, np.float32, n=8, c=64, o=64)
    exact = results(plain, *(array.astype(np.float64) for array in (x, weight, y)), 0)
    plain_results, fast_results = (results(algorithm, x, weight, y, 0) for algorithm in (plain, fast))
    for name, wanted in exact.items():
        errors = [np.sqrt(np.mean((got[name] - wanted) ** 2)) for got in (plain_results, fast_results)]
        assert errors[1] <= 6 * errors[0], name
        assert errors[1] <= 2e-6 * np.sqrt(np.mean(wanted**2)), name


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_each_step_and_its_transpose_are_adjoint(geometry):
    """⟨step(a), b⟩ = ⟨a, transpose(b)⟩ for the three sides."""
    _, algorithm, x, weight, y = both(geometry, np.float64)
    rng = np.random.default_rng(1)

    def pictures(values, side, like):
        algorithm.to_pictures(values, side, np.zeros(like.shape[3]), out := np.full_like(like, np.nan))
        return out

    sides = (
        (lambda a: algorithm.to_values(a, INPUT), lambda b: pictures(b, INPUT, x), x),
        (algorithm.weight_side, algorithm.to_weight, weight),
        (lambda a: algorithm.to_values(a, OUTPUT), lambda b: pictures(b, OUTPUT, y), y),
    )
    for step, transpose, a in sides:
        image = step(a)
        b = rng.standard_normal(image.shape)
        assert abs(np.vdot(image, b) - np.vdot(a, transpose(b))) <= 1e-12 * np.linalg.norm(image) * np.linalg.norm(b)


@pytest.mark.parametrize("pieces", [1, 7, 1 << 30])
def test_chunks_of_any_size_give_the_same(monkeypatch, pieces):
    """A chunk of one picture, of some, and of all; 5 pictures do not divide evenly among threads or chunks."""
    plain, fast, x, weight, y = both(GEOMETRIES[0], np.float64, n=5)
    bias = np.zeros(4)
    wanted = results(plain, x, weight, y, bias)
    monkeypatch.setattr(lowering, "CHUNK_BYTES", pieces * fast.v_size * 8 // 3)
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    for algorithm in (plain, fast):
        for name, array in results(algorithm, x, weight, y, bias).items():
            np.testing.assert_allclose(array, wanted[name], rtol=0, atol=1e-12 * abs(wanted[name]).max(), err_msg=name)


def test_the_cheaper_way_is_chosen():
    def chosen(c, o, kernel=(4, 4), padding=(1, 1)):
        shapes = ((2, 14, 14, c), (*kernel, c, o))
        return type(lowering.lowering(*shapes, (2, 2), padding, (7, 7), np.dtype(np.float32)))

    assert chosen(64, 128) is lowering.ToomCook
    assert chosen(1, 64) is lowering.Im2col  # too few channels
    assert chosen(64, 128, kernel=(12, 12), padding=(5, 5)) is lowering.Im2col  # six taps a phase


@pytest.mark.parametrize(("m", "k", "n"), [(300, 40, 50), (1, 7, 3), (64, 512, 784), (500, 1280, 90)])
def test_a_shared_product_is_the_product(monkeypatch, m, k, n):
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    for left, right in ((a, b), (b.T, a.T), (np.asfortranarray(a), b)):  # transposed views, as the gradients use them
        out = gemm.product(left, right)
        np.testing.assert_allclose(out, left @ right, rtol=1e-12, atol=1e-12)


def test_blas_has_its_threads_back_afterwards():
    getter = threads.blas_threads
    if getter() is None:
        pytest.skip("threadpoolctl does not know NumPy's BLAS here")
    before = getter()
    with threads.one_blas_thread:
        assert getter() == 1
        with threads.one_blas_thread:
            assert getter() == 1
        assert getter() == 1
    assert getter() == before

    def fail():
        with threads.one_blas_thread:
            raise RunError("planted")

    with pytest.raises(RunError):
        fail()
    assert getter() == before
