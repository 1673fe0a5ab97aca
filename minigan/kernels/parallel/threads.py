"""Threads: one small pool that kernels and matrix products share.

Two parallel runtimes on the same cores, one for loops and one for BLAS, get into each other's way: the idle threads of
either spin for a while and take the cores from the other at every switch (OpenMP beside OpenBLAS: about 6 ms each, and
far more when the machine has other work to do). So there is one pool, whose threads sleep soon after the last call
(spin_event.py): nothing depends on which of Numba's threading layers is installed, and BLAS is called with one thread
of its own from each worker (gemm.py).
"""

import os
import sys
import threading
from contextlib import contextmanager
from functools import cache

import numpy as np

from minigan.base.errors import InputError
from minigan.base.mode import is_plain
from minigan.kernels.parallel.spin_event import SpinEvent

WORTHWHILE = 100_000  # elements touched, below which a call is done before a second thread has woken
MULTIPLICATIONS = 32  # of a matrix product that take about as long as touching one element


def available_cores():
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Worker:
    """A thread that calls what it is given and hands back None or the exception; given None it ends."""

    def __init__(self):
        self.job, self.error, self.jobs = None, None, 0
        self.begin, self.end = SpinEvent(), SpinEvent()
        threading.Thread(target=self._work, name="minigan kernel worker", daemon=True).start()

    def start(self, kernel, *arguments):
        self.jobs += 1
        self.job = kernel, arguments
        self.begin.set(self.jobs)

    def result(self):
        """The outcome of the last job, once it is done."""
        self.end.wait(self.jobs)
        return self.error

    def _work(self):
        _pool.at_work = True
        done = 0
        with np.errstate(all="ignore"):  # the caller's own share of the work warns, as the caller has it set
            while True:
                self.begin.wait(done + 1)
                (kernel, arguments), self.job = self.job, None
                if kernel is None:
                    return
                try:
                    kernel(*arguments)
                    self.error = None
                except BaseException as error:  # handed to the caller, who raises it
                    self.error = error
                kernel = arguments = None  # or the arrays would stay alive until the next job
                done += 1
                self.end.set(done)


class _Workers(list):
    """The workers end with the list, and that with the thread whose workers they are."""

    def __del__(self):
        for worker in self:
            worker.start(None)


class _ThreadPool(threading.local):
    """The workers of one calling thread, so that two threads of a program can each train their own network."""

    def __init__(self):
        self.workers = _Workers()
        self.process = os.getpid()
        self.at_work = False  # in the midst of a shared job, whose own jobs are then done alone

    def get(self, count):
        if self.process != os.getpid():  # a fork copies this list but not the threads
            self.workers, self.process = _Workers(), os.getpid()
        while len(self.workers) < count:
            self.workers.append(_Worker())
        return self.workers[:count]


_pool = _ThreadPool()


def _from_environment():
    """The count the user asked for in the usual variables, else every core."""
    for name in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
        text = os.environ.get(name, "")
        if text.isdigit() and int(text) > 0:
            return min(int(text), available_cores())
    return available_cores()


_count = _from_environment()


def run(kernel, rows, work, *arguments):
    """`kernel(start, stop, *arguments)` over range(rows), the rows shared out evenly when `work` makes it worthwhile.

    Each row's result is written by one thread only, so the outcome does not depend on the number of threads unless the
    kernel itself reduces over its range.

    rows: how many independent rows there are; work: how many array elements are touched in all.
    """
    count = min(_count, rows, work // WORTHWHILE + 1)
    if count <= 1 or _pool.at_work:
        kernel(0, rows, *arguments)
        return
    borders = [rows * i // count for i in range(count + 1)]
    working, errors = [], []
    try:
        _pool.at_work = True
        for i, worker in enumerate(_pool.get(count - 1), 1):
            working.append(worker)
            worker.start(kernel, borders[i], borders[i + 1], *arguments)
        kernel(0, borders[1], *arguments)
    finally:
        _join(working, errors)
    for error in errors:
        raise error


def _join(working, errors):
    """Wait for the workers in `working`, however often Ctrl-C is pressed: none may write once its caller has left."""
    while working:
        try:
            error = working[-1].result()
            working.pop()
            if error is not None:
                errors.append(error)
        except KeyboardInterrupt as interrupt:
            errors.append(interrupt)
    _pool.at_work = False


@cache
def blas():
    """What holds the threads of NumPy's BLAS, whichever it is, a list; empty without threadpoolctl: then BLAS has the
    threads it wants."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return []
    return ThreadpoolController().select(user_api="blas").lib_controllers


def blas_threads():
    """How many threads NumPy's BLAS uses; None where nobody can tell."""
    return max((library.num_threads for library in blas()), default=None)


def set_blas_threads(count):
    for library in blas():
        library.set_num_threads(count)


class _OneBlasThread:
    """`with one_blas_thread:` — BLAS works in the calling thread alone; afterwards it has the number it had. In plain
    mode, where there is no pool, BLAS keeps its threads.

    A whole training step is put under it: one product with two threads, and the second one spins for 80 ms afterwards.
    Counts who is inside, so that two threads of a program may overlap in it.
    """

    def __init__(self):
        self.lock, self.inside, self.before = threading.Lock(), 0, None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self):
        """In a forked child: whoever was inside, or had the lock, is no thread of the child's."""
        if self.inside:
            set_blas_threads(self.before)
        self.lock, self.inside = threading.Lock(), 0

    def __enter__(self):
        if is_plain():
            return
        with self.lock:
            if self.inside == 0:
                self.before = blas_threads()
                set_blas_threads(1)
            self.inside += 1

    def __exit__(self, *error):
        if is_plain():
            return
        with self.lock:
            self.inside = max(0, self.inside - 1)  # in a child that was forked inside it is 0 already
            if self.inside == 0 and self.before is not None:
                set_blas_threads(self.before)


one_blas_thread = _OneBlasThread()


def get_threads():
    """How many threads kernels and BLAS may use."""
    return _count


def set_threads(count):
    """Let kernels and BLAS use `count` threads, 1 to the number of cores this process may use.

    Call it before the work starts; results may differ in the last digits between thread counts.
    Raises InputError for any other value.
    """
    global _count
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= available_cores():
        raise InputError(
            f"threads: got {count!r}, expected a whole number from 1 to {available_cores()}, the cores this process "
            "may use."
        )
    _count = count
    set_blas_threads(count)
    if not blas() and count != available_cores():
        print(
            f"minigan: without threadpoolctl NumPy's BLAS keeps its own number of threads; the kernels use {count}.",
            file=sys.stderr,
        )


@contextmanager
def threads(count):
    """`with threads(1): …` — that many inside, the former number afterwards, also when an exception leaves."""
    before = _count
    set_threads(count)
    try:
        yield
    finally:
        set_threads(before)
