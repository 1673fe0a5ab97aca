"""Toom-Cook is the same convolution: exact matrices, steps with their transposes, and the results of im2col."""

import numpy as np
import pytest

from minigan.errors import RunError
from minigan.kernels import gemm, lowering, threads, toom_cook

# (H, W), kernel, stride, padding; outputs of every length up to 7, borders that do not fit, H ≠ W
GEOMETRIES = [
    ((14, 14), (4, 4), (2, 2), (1, 1)),
    ((7, 9), (3, 3), (1, 1), (1, 1)),
    ((13, 10), (4, 3), (2, 1), (1, 0)),
    ((9, 8), (5, 5), (2, 2), (2, 2)),
    ((6, 5), (2, 2), (1, 1), (0, 1)),
    ((12, 7), (6, 5), (3, 2), (2, 2)),
    ((9, 11), (4, 4), (2, 2), (0, 0)),  # pixels that no window reaches
]


@pytest.mark.parametrize("taps", [2, 3])
@pytest.mark.parametrize("outputs", [1, 2, 3, 4, 7, 16])
def test_the_matrices_compute_a_correlation_exactly(outputs, taps):
    line = toom_cook.line(outputs, taps)
    got = np.einsum("xo,xa,xi->oai", line.a, line.g[line.point], line.b)
    wanted = np.zeros_like(got)
    for o in range(outputs):
        for a in range(taps):
            wanted[o, a, o + a] = 1
    np.testing.assert_array_equal(got, wanted)


def test_fewer_multiplications_than_the_definition():
    assert len(toom_cook.line(7, 2).b) == 10  # instead of 14
    assert len(toom_cook.line(4, 3).b) == 8  # instead of 12


def both(geometry, dtype, n=3, c=5, o=4, seed=0):
    """The two ways for one convolution, and x, weight, grad_output for it."""
    size, kernel, stride, padding = geometry
    rng = np.random.default_rng(seed)
    out = tuple((s + 2 * p - k) // d + 1 for s, k, d, p in zip(size, kernel, stride, padding, strict=True))
    x, weight, y = (
        rng.standard_normal(shape).astype(dtype) for shape in ((n, *size, c), (*kernel, c, o), (n, *out, o))
    )
    arguments = (x.shape, weight.shape, stride, padding, out)
    plan = toom_cook.plan(kernel, stride, out, np.dtype(dtype))
    return lowering.Im2col(*arguments), lowering.ToomCook(*arguments, plan), x, weight, y


def results(way, x, weight, y, bias, slope):
    v, u, m = way.input_side(x), way.weight_side(weight), way.output_side(y)
    return {
        "output": way.to_output(lowering.forward(way, v, u), bias, slope),
        "grad_input": way.to_input(lowering.backward_input(way, m, u), None),
        "grad_weight": way.to_weight(lowering.backward_weight(way, v, m)),
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("slope", [1, 0.2, 0])
def test_toom_cook_against_im2col(geometry, dtype, tolerance, slope):
    plain, fast, x, weight, y = both(geometry, dtype)
    bias = np.linspace(-1, 1, 4).astype(dtype)
    got, wanted = (results(way, x, weight, y.copy(), bias, slope) for way in (fast, plain))
    for name, array in wanted.items():
        assert got[name].dtype == dtype
        assert abs(got[name] - array).max() <= tolerance * abs(array).max(), name


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_each_step_and_its_transpose_are_adjoint(geometry):
    """⟨step(a), b⟩ = ⟨a, transpose(b)⟩ for the three sides."""
    _, way, x, weight, y = both(geometry, np.float64)
    rng = np.random.default_rng(1)
    for step, transpose, a in (
        (way.input_side, lambda b: way.to_input(b, None), x),
        (way.weight_side, way.to_weight, weight),
        (way.output_side, lambda b: way.to_output(b, None, 1), y),
    ):
        image = step(a)
        b = rng.standard_normal(image.shape)
        assert abs(np.vdot(image, b) - np.vdot(a, transpose(b))) <= 1e-12 * np.linalg.norm(image) * np.linalg.norm(b)


def test_one_thread_or_two_the_same_bits():
    geometry = ((14, 14), (4, 4), (2, 2), (1, 1))
    outcomes = []
    for count in (1, min(2, threads.available_cores())):
        with threads.threads(count):
            _, way, x, _, y = both(geometry, np.float32, n=24, c=32, o=32)
            outcomes.append((way.input_side(x), way.output_side(y), way.to_input(way.input_side(x), None)))
    for one, two in zip(*outcomes, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_cheaper_way_is_chosen():
    def chosen(c, o, kernel=(4, 4), padding=(1, 1)):
        shapes = ((2, 14, 14, c), (*kernel, c, o))
        return type(lowering.lowering(*shapes, (2, 2), padding, (7, 7), np.dtype(np.float32)))

    assert chosen(64, 128) is lowering.ToomCook
    assert chosen(1, 64) is lowering.Im2col  # too few channels
    assert chosen(64, 128, kernel=(8, 8), padding=(3, 3)) is lowering.Im2col  # four taps a phase


def test_products_in_one_go_are_the_single_ones():
    rng = np.random.default_rng(0)
    shapes = [(300, 40, 50), (1, 7, 3), (33, 64, 32), (500, 128, 90)]
    pairs = [(rng.standard_normal((m, k)), rng.standard_normal((k, n))) for m, k, n in shapes]
    pairs.append((pairs[0][1].T, pairs[0][0].T))  # transposed views, as the gradients use them
    triples = [(a, b, np.full((len(a), b.shape[1]), np.nan)) for a, b in pairs]
    gemm.products(triples)
    for a, b, out in triples:
        np.testing.assert_allclose(out, a @ b, rtol=1e-12, atol=1e-12)


def test_blas_has_its_threads_back_afterwards():
    if threads.openblas() is None:
        pytest.skip("NumPy's BLAS here is not OpenBLAS")
    _, getter = threads.openblas()
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
