"""The thread pool and the recycled memory: nobody leaves early, nothing in use is overwritten, all comes back."""

import gc
import signal
import threading
import time

import numpy as np
import pytest

from minigan.base.errors import InputError
from minigan.kernels.parallel import memory
from minigan.kernels.parallel import threads as pool

two_cores = pytest.mark.skipif(pool.available_cores() < 2, reason="one core: there is no pool")


def count_rows(start, stop, rows):
    rows[start:stop] += 1


def works():
    rows = np.zeros(1000)
    pool.run(count_rows, len(rows), 10 * pool.WORTHWHILE, rows)
    return (rows == 1).all()


@two_cores
@pytest.mark.parametrize("where", ["worker", "caller", "both"])
def test_an_exception_in_a_kernel_reaches_the_caller(where):
    done = []

    def fails(start, stop):
        if where == "both" or (where == "caller") == (start == 0):
            raise ZeroDivisionError(f"rows {start} to {stop}")
        time.sleep(0.05)
        done.append(start)

    with pool.threads(2):
        with pytest.raises(ZeroDivisionError, match="rows 500 to 1000" if where == "worker" else "rows 0 to 500"):
            pool.run(fails, 1000, 10 * pool.WORTHWHILE)
        assert len(done) == (where != "both"), "the call must not return while the other thread still works"
        assert all(works() for _ in range(50))


@two_cores
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
def test_an_interrupt_while_waiting_leaves_no_helper_at_work():
    """Ctrl-C in a notebook, then the next cell: run must not leave, then or later, before its worker is done."""
    main = threading.main_thread().ident

    def slow_worker(start, stop, rows, interrupt):
        if start:
            time.sleep(0.1)  # by now the caller waits for this thread
            if interrupt:
                signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.1)
        rows[start:stop] += 1

    interrupted, later = np.zeros(1000), np.zeros(1000)
    with pool.threads(2):
        try:
            with pytest.raises(KeyboardInterrupt):
                pool.run(slow_worker, 1000, 10 * pool.WORTHWHILE, interrupted, True)
            interrupted = interrupted.copy()
            pool.run(slow_worker, 1000, 10 * pool.WORTHWHILE, later, False)
            later = later.copy()
        finally:
            pool._pool.workers.clear()  # the other tests start with a fresh pool whatever happened here
    assert (later == 1).all(), "the second call took the first call's result for its own and left too early"
    assert (interrupted == 1).all(), "the interrupted call left while its worker was still writing"


def test_the_thread_count_comes_back():
    before = pool.get_threads()

    def fail_with_one_thread():
        with pool.threads(1):
            assert pool.get_threads() == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_with_one_thread()
    assert pool.get_threads() == before
    for wrong in (0, pool.available_cores() + 1, 1.0, True, "2"):
        with pytest.raises(InputError, match=f"threads: got {wrong!r}, expected a whole number from 1 to"):
            pool.set_threads(wrong)
    assert pool.get_threads() == before


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


def test_a_job_within_a_job_is_done_by_the_thread_that_asks():
    if pool.available_cores() < 2:
        pytest.skip("one core: there is no pool")
    seen = []

    def inner(start, stop):
        seen.append((threading.get_ident(), start, stop))

    def outer(start, stop):
        pool.run(inner, 10, 10**9)

    with pool.threads(2):
        pool.run(outer, 2, 10**9)
        assert sorted(piece[1:] for piece in seen) == [(0, 10), (0, 10)]
        assert len({piece[0] for piece in seen}) == 2
        seen.clear()
        pool.run(inner, 10, 10**9)  # and afterwards the pool is there again
        assert sorted(piece[1:] for piece in seen) == [(0, 5), (5, 10)]
