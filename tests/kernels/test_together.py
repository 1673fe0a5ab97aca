"""Trainings at once: two threads of a program, two processes, and children of a process that has trained already."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from layer_zoo import LAYERS, made, passes
from small_gans import small
from test_structure import ROOT

from minigan.kernels.parallel import threads as pool

two_cores = pytest.mark.skipif(pool.available_cores() < 2, reason="one core: there is no pool")
PRESETS = ("dcgan", "wgan-gp", "biggan")


@contextmanager
def shared_work(count):
    """Work of any size is shared among so many threads."""
    before, pool.WORTHWHILE = pool.WORTHWHILE, 1
    try:
        with pool.threads(count):
            yield
    finally:
        pool.WORTHWHILE = before


def digest(preset, steps=3):
    """Of all that a short training leaves, and of samples."""
    gan, rng = small(preset, np.float32), np.random.default_rng(5)
    for _ in range(steps):
        conditions = rng.integers(0, gan.conditions.count, 4) if gan.conditions.count else None
        gan.train_step(rng.uniform(-1, 1, (4, *gan.sample_shape)).astype(np.float32), conditions)
    found = hashlib.sha256(gan.sample(5, rng).tobytes())
    for name, array in sorted(gan.state().items()):
        found.update(name.encode() + array.tobytes())
    return found.hexdigest()


def at_once(*functions):
    """Each in a thread of its own, begun together -> what they return."""
    barrier, results = threading.Barrier(len(functions)), [None] * len(functions)

    def work(i, function):
        barrier.wait()
        try:
            results[i] = function()
        except BaseException as error:
            results[i] = error

    workers = [threading.Thread(target=work, args=pair) for pair in enumerate(functions)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


@two_cores
@pytest.mark.parametrize("count", [1, 2])
def test_threads_of_a_program_train_a_network_each(count):
    """Bit for bit as each would alone: no memory, pool or setting of one is another's."""
    with shared_work(count):
        alone = {preset: digest(preset) for preset in PRESETS}
        assert len(set(alone.values())) == len(PRESETS)
        for _ in range(2):
            assert at_once(*(lambda p=preset: digest(p) for preset in PRESETS)) == list(alone.values())
            assert at_once(*(lambda: digest("dcgan") for _ in range(3))) == [alone["dcgan"]] * 3


def test_threads_that_end_leave_none_behind():
    """The workers of a thread end with it."""
    if pool.available_cores() < 2:
        pytest.skip("one core: there is no pool")
    with shared_work(2):
        at_once(lambda: digest("dcgan", 1))
        before = threading.active_count()
        for _ in range(5):
            at_once(lambda: digest("dcgan", 1), lambda: digest("dcgan", 1))
        wait_until(lambda: threading.active_count() <= before)


def wait_until(holds):
    for _ in range(200):
        if holds():
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{threading.active_count()} threads: {threading.enumerate()}")


PROCESS = """
import sys
sys.path[:0] = ["tests", "tests/kernels"]
from test_together import digest, shared_work
with shared_work(1):
    print(digest("dcgan"))
"""


def test_two_processes_train_at_once():
    children = [
        subprocess.Popen([sys.executable, "-c", PROCESS], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    with shared_work(1):
        wanted = digest("dcgan")
    assert [child.communicate()[0].strip() for child in children] == [wanted] * 2


def forked(function):
    """What the function returns in a child made by fork; None where it never ends."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    alarm = threading.Timer(60, os.kill, (child, 9))
    alarm.start()
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    alarm.cancel()
    return json.loads(text) if text else None


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
ignore_fork_warning = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@needs_fork
@ignore_fork_warning
@two_cores
def test_a_child_trains_as_its_parent_does():
    """After the parent has trained, that is with a pool, memory in use and BLAS awake."""
    with shared_work(2):
        wanted = digest("dcgan")
        assert [forked(lambda: digest("dcgan")) for _ in range(2)] == [wanted] * 2
        assert digest("dcgan") == wanted


@needs_fork
@ignore_fork_warning
@two_cores
def test_a_child_made_while_another_thread_trains():
    """The fork copies locks and counters as they stand at that moment, but not the thread that would let go of them."""
    with shared_work(2):
        wanted, going = digest("dcgan"), threading.Event()

        def train_on():
            with pool.one_blas_thread, pool.one_blas_thread.lock:
                going.set()
                stop.wait()

        stop, worker = threading.Event(), threading.Thread(target=train_on)
        worker.start()
        going.wait()
        try:
            assert forked(lambda: [digest("dcgan"), pool.one_blas_thread.inside]) == [wanted, 0]
        finally:
            stop.set()
            worker.join()
        assert pool.one_blas_thread.inside == 0


# ---- one thread and two, with the JIT and without


@two_cores
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_thread_and_two_agree(name, dtype):
    """As README says: to the last digits."""
    tolerance = 1e-6 if dtype is np.float32 else 1e-14
    for seed in range(3):
        results = []
        for count in (1, 2):
            with shared_work(count):
                results.append(passes(*made(name, seed, dtype)))
        for key, array in results[0].items():
            size = max(1.0, np.abs(array).max())
            np.testing.assert_allclose(results[1][key], array, rtol=0, atol=tolerance * size, err_msg=key)


PLAIN = """
import sys
sys.path[:0] = ["tests", "tests/kernels"]
import numba, numpy as np
from layer_zoo import LAYERS, made, passes
assert numba.config.DISABLE_JIT
found = {name: passes(*made(name, 0, np.float64)) for name in LAYERS}
np.savez(sys.argv[1], **{f"{name}.{key}": array for name, arrays in found.items() for key, array in arrays.items()})
"""


def test_every_layer_computes_the_same_without_the_jit(tmp_path):
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, "-c", PLAIN, str(tmp_path / "a.npz")], cwd=ROOT, env=environment, check=True)
    compared = 0
    with np.load(tmp_path / "a.npz", allow_pickle=False) as plain:
        for name in LAYERS:
            for key, array in passes(*made(name, 0, np.float64)).items():
                size = max(1.0, np.abs(array).max())
                np.testing.assert_allclose(plain[f"{name}.{key}"], array, rtol=0, atol=1e-12 * size)
                compared += 1
        assert compared == len(plain.files) > 60
