"""Products carried out without the GIL: the same numbers as np.matmul, whoever does which share, asleep or awake."""

import time

import numpy as np
import pytest
from numba import config

from minigan.kernels import bell, gemm, orders, pointwise, threads, vectors

needs_orders = pytest.mark.skipif(
    not vectors.FUSED or config.DISABLE_JIT, reason="no compiled code, or no vectors that are known"
)
two_cores = pytest.mark.skipif(threads.available_cores() < 2, reason="one core: there is no team")


def draw(*shape):
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


@needs_orders
@pytest.mark.parametrize("count", [1, pytest.param(2, marks=two_cores)])
@pytest.mark.parametrize(
    ("rows", "depth", "columns"),
    [(64, 100, 257), (64, 784, 512), (128, 70, 300), (128 + 1, 70, 300), (700, 90, 33)],
)
def test_dense_products_are_those_of_matmul(rows, depth, columns, count):
    x, weight, grad, bias = draw(rows, depth), draw(depth, columns), draw(rows, columns), draw(columns)
    out, grad_x, grad_weight = (np.full(s.shape, np.nan, np.float32) for s in (grad, x, weight))
    with threads.threads(count):
        gemm.product(x, weight, out, bias, 0.2)
        gemm.products((x.T, grad, grad_weight), (grad, weight.T, grad_x))
    expected = x @ weight
    pointwise.add_bias_plain(expected, bias, 0.2)
    for made, wanted in ((out, expected), (grad_x, grad @ weight.T), (grad_weight, x.T @ grad)):
        np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@needs_orders
def test_what_can_be_ordered_is_ordered(monkeypatch):
    """Else the test above would compare np.matmul with itself."""
    counted = []
    monkeypatch.setattr(threads, "carry_out", lambda count, write: counted.append(count))
    x, weight = draw(64, 128), draw(128, 256)
    gemm.product(x, weight, np.empty((64, 256), np.float32), draw(256))
    gemm.products((x.T, draw(64, 256), weight.copy()), (draw(64, 256), weight.T, x.copy()))
    assert counted == [1, 2]


@needs_orders
@pytest.mark.parametrize("odd", ["float64", "gaps", "thin", "small"])
def test_other_products_are_left_to_matmul(odd, monkeypatch):
    x, weight = draw(64, 256), draw(256, 128)
    if odd == "float64":
        x, weight = x.astype(np.float64), weight.astype(np.float64)
    if odd == "gaps":
        x, weight = draw(64, 512)[:, ::2], weight
    if odd == "thin":
        x, weight = draw(100_000, 20), draw(20, 1)
    if odd == "small":
        x, weight = draw(6, 256), weight
    monkeypatch.setattr(threads, "carry_out", None)
    out = gemm.product(x, weight, np.empty((len(x), weight.shape[1]), x.dtype))
    np.testing.assert_allclose(out, x @ weight, rtol=1e-5, atol=1e-4)


@needs_orders
@two_cores
@pytest.mark.parametrize("pause", [0.0, 5 * bell.PATIENCE])
def test_jobs_of_both_kinds_in_turn_with_helpers_awake_and_asleep(pause):
    """A helper that took an old order for a new one, or left too early, would leave the NaNs."""
    x, weight = draw(64, 256), draw(256, 256)
    expected, rows = x @ weight, np.zeros(1000)

    def count_rows(start, stop):
        if start:
            time.sleep(pause)  # the caller falls asleep
        rows[start:stop] += 1

    with threads.threads(2):
        for turn in range(1, 41):
            out = np.full((64, 256), np.nan, np.float32)
            gemm.product(x, weight, out, np.zeros(256, np.float32))
            np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-4)
            threads.run(count_rows, len(rows), 2 * threads.WORTHWHILE)
            assert (rows == turn).all()
            time.sleep(pause)  # the helper falls asleep


@needs_orders
def test_a_caller_that_falls_asleep_just_when_its_job_is_done_is_woken(monkeypatch):
    helper = object.__new__(threads._Helper)
    helper.begin, helper.end, helper.orders, helper.count = bell.Bell(), bell.Bell(), None, np.zeros(1, np.int64)
    helper.scratch = None
    helper.begin.ring(2)

    def serve(begin, end, done, *rest):
        helper.end.asleep = True
        return done

    monkeypatch.setattr(orders, "serve", serve)
    assert helper._next(1) == 1
    assert helper.end.tokens.qsize() == 1


@needs_orders
def test_orders_within_a_shared_job_are_done_alone():
    x, weight = draw(64, 256), draw(256, 256)
    outs = np.full((4, 64, 256), np.nan, np.float32)

    def job(start, stop):
        for i in range(start, stop):
            gemm.product(x, weight, outs[i], np.zeros(256, np.float32))

    threads.run(job, len(outs), 2 * threads.WORTHWHILE)
    np.testing.assert_allclose(outs, np.broadcast_to(x @ weight, outs.shape), rtol=1e-5, atol=1e-4)
    assert not threads._team.at_work


@needs_orders
def test_more_products_than_an_order_book_holds():
    x, weight = draw(64, 128), draw(128, 256)
    outs = np.full((orders.MOST + 1, 64, 256), np.nan, np.float32)
    gemm.products(*((x, weight, out) for out in outs))
    np.testing.assert_allclose(outs, np.broadcast_to(x @ weight, outs.shape), rtol=1e-5, atol=1e-4)
