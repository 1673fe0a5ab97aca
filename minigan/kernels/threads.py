"""Threads: one small team that kernels and matrix products share.

Two parallel runtimes on the same cores, one for loops and one for BLAS, get into each other's way: the idle threads of
either spin for a while and take the cores from the other at every switch (OpenMP beside OpenBLAS: about 6 ms each, and
far more when the machine has other work to do). So there is one team, whose threads sleep soon after the last call
(bell.py): nothing depends on which of Numba's threading layers is installed, and BLAS is called with one thread of its
own from each member (gemm.py).
"""

import ctypes
import os
import sys
import threading
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
from numba import config

from minigan.errors import InputError
from minigan.kernels import bell, orders, sgemm

WORTHWHILE = 100_000  # elements touched, below which a call is done before a second thread has woken
COURTESY = 12e-6  # seconds in which the thread that begins a job lets go of the GIL
MULTIPLICATIONS = 32  # of a matrix product that take about as long as touching one element


def available_cores():
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Helper:
    """A thread that calls what it is given and hands back None or the exception; or carries out orders.

    Given None it ends."""

    def __init__(self, own_orders):
        self.job, self.error, self.begin, self.end, self.jobs = None, None, bell.Bell(), bell.Bell(), 0
        self.orders, self.count, self.scratch = own_orders, np.zeros(1, np.int64), sgemm.scratch()
        threading.Thread(target=self._work, name="minigan kernel helper", daemon=True).start()

    def start(self, kernel, *arguments):
        self.jobs += 1
        self.count[0], self.job = 0, (kernel, arguments)
        self.begin.ring(self.jobs)

    def start_orders(self, count):
        """Carry out the first `count` of self.orders."""
        self.jobs += 1
        self.count[0], self.error = count, None
        self.begin.ring(self.jobs)

    def result(self):
        """The outcome of the last job, once it is done."""
        if self.count[0]:
            orders.await_end(self.end.rung, self.jobs)
        else:
            self.end.wait(self.jobs)
        return self.error

    def _work(self):
        _team.at_work = True
        done = 0
        with np.errstate(all="ignore"):  # the caller's own share of the work warns, as the caller has it set
            while True:
                done = self._next(done)
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

    def _next(self, done):
        """Say that so many jobs are done, and wait for one of Python's, carrying out orders meanwhile.

        -> how many are done then. The caller is told by `serve`, without the GIL, which it needs next; but one that
        sleeps, or fell asleep just then, has to be woken from here.
        """
        while True:
            if self.end.asleep or config.DISABLE_JIT:
                self.end.ring(done)
            if not config.DISABLE_JIT:
                looks = bell.looks(bell.PATIENCE), bell.looks(COURTESY)
                arguments = self.begin.rung, self.end.rung, done, self.orders, self.count, self.scratch, *looks
                done = orders.serve(*arguments)
                self.end.ring(done)
            if self.begin.rung[0] == done:
                self.begin.sleep(done + 1)
            if self.count[0] == 0:
                return done


class _Helpers(list):
    """The helpers end with the list, and that with the thread whose helpers they are."""

    def __del__(self):
        for helper in self:
            helper.start(None)


class _Team(threading.local):
    """The helpers of one calling thread, so that two threads of a program can each train their own network."""

    def __init__(self):
        self.helpers = _Helpers()
        self.process = os.getpid()
        self.orders = np.zeros((available_cores(), orders.MOST), orders.ORDER)  # a row for each thread
        self.scratch = sgemm.scratch()
        self.at_work = False  # in the midst of a shared job, whose own jobs are then done alone

    def get(self, count):
        if self.process != os.getpid():  # a fork copies this list but not the threads
            self.helpers, self.process = _Helpers(), os.getpid()
        while len(self.helpers) < count:
            self.helpers.append(_Helper(self.orders[len(self.helpers) + 1]))
        return self.helpers[:count]


_team = _Team()


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
    if count <= 1 or _team.at_work:
        kernel(0, rows, *arguments)
        return
    borders = [rows * i // count for i in range(count + 1)]
    working, errors = [], []
    try:
        _team.at_work = True
        for i, helper in enumerate(_team.get(count - 1), 1):
            working.append(helper)
            helper.start(kernel, borders[i], borders[i + 1], *arguments)
        kernel(0, borders[1], *arguments)
    finally:
        _join(working, errors)
    for error in errors:
        raise error


def carry_out(count, write):
    """Have `count` orders carried out by the team, without the GIL between its threads.

    write(orders): writes them down, orders (threads, MOST). Nothing in them can fail.
    """
    parts = 1 if _team.at_work else _count
    own, working, interrupts = _team.orders[0], [], []
    write(_team.orders[:parts])
    if parts == 1:
        orders.perform(own, count, _team.scratch)
        return
    try:
        _team.at_work = True
        for helper in _team.get(parts - 1):
            working.append(helper)
            helper.start_orders(count)
        orders.perform(own, count, _team.scratch)
    finally:
        _join(working, interrupts)
    for interrupt in interrupts:
        raise interrupt


def _join(working, errors):
    """Wait for the helpers in `working`, however often Ctrl-C is pressed: none may write once its caller has left."""
    while working:
        try:
            error = working[-1].result()
            working.pop()
            if error is not None:
                errors.append(error)
        except KeyboardInterrupt as interrupt:
            errors.append(interrupt)
    _team.at_work = False


@cache
def openblas():
    """The setter and getter of the OpenBLAS that NumPy's wheel brings, or None with another BLAS."""
    folder = Path(np.__file__).parent
    places = [folder.parent / "numpy.libs", folder / ".dylibs"]
    for path in [p for place in places if place.is_dir() for p in sorted(place.iterdir()) if "openblas" in p.name]:
        library = ctypes.CDLL(str(path))
        for prefix in ("scipy_openblas", "openblas"):
            for suffix in ("64_", ""):
                names = [f"{prefix}_{verb}_num_threads{suffix}" for verb in ("set", "get")]
                if hasattr(library, names[0]):
                    return tuple(getattr(library, name) for name in names)
    return None


class _OneBlasThread:
    """`with one_blas_thread:` — OpenBLAS works in the calling thread alone; afterwards it has the number it had.

    A whole training step is put under it: one product with two threads, and the second one spins for 80 ms afterwards.
    Counts who is inside, so that two threads of a program may overlap in it.
    """

    def __init__(self):
        self.lock, self.inside, self.before = threading.Lock(), 0, 1
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self):
        """In a forked child: whoever was inside, or had the lock, is no thread of the child's."""
        if self.inside and openblas() is not None:
            openblas()[0](self.before)
        self.lock, self.inside = threading.Lock(), 0

    def __enter__(self):
        with self.lock:
            if self.inside == 0 and openblas() is not None:
                setter, getter = openblas()
                self.before = getter()
                setter(1)
            self.inside += 1

    def __exit__(self, *error):
        with self.lock:
            self.inside = max(0, self.inside - 1)  # in a child that was forked inside it is 0 already
            if self.inside == 0 and openblas() is not None:
                openblas()[0](self.before)


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
    if openblas() is not None:
        openblas()[0](count)
    elif count != available_cores():
        print(
            f"minigan: NumPy's BLAS is not OpenBLAS, so its own thread count stays as it is; the kernels use {count}.",
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
