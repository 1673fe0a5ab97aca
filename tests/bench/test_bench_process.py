"""The benchmark's processes: what they are asked and answer, how they fail, and PyTorch's side where there is one."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minigan.base.errors import RunError
from minigan.base.processes import environment
from minigan.bench import __main__ as bench
from minigan.bench import process as bench_process
from minigan.gan import build_gan


def test_our_worker_answers():
    """The real process: what it is asked, what it answers, that it is asleep afterwards."""
    command = [sys.executable, "-m", "minigan.bench.network"]
    request = {"preset": "mlp", "batch": 2, "threads": 1, "sample_shape": (4, 4, 1)}
    with bench_process.Worker(command, request) as worker:
        assert worker.ready.keys() == {"ready", "import_mib", "notes"}
        answer = worker.ask(step=3)
        assert len(answer["seconds"]) == 3
        assert min(answer["seconds"]) > 0
        assert answer["peak_mib"] >= worker.ready["import_mib"] > 10
        assert {row["network"] for row in worker.ask(layers=1)["layers"]} == {"generator", "discriminator", ""}
        assert worker.ask(kernels=1)["kernels"].keys() == {"dense", "leaky_relu"}
        assert worker.ask(flops=1)["flops"] > 0
        process = worker.process
        with pytest.raises(RunError, match="network: KeyError"):
            worker.ask(dance=1)
    assert process.returncode == 1


def script(tmp_path, source):
    path = tmp_path / "some_worker.py"
    path.write_text(source)
    return [sys.executable, path]


SERVE = "from minigan.bench import process as bench_process\n"


def test_a_worker_that_fails_is_a_sentence(tmp_path):
    with pytest.raises(RunError, match=r"^some_worker: the process ended without an answer: gone$"):
        bench_process.Worker(script(tmp_path, "raise SystemExit('gone')"), {})
    source = SERVE + "def build(request):\n    raise ValueError(f'no {request}\\nmore')\nbench_process.serve(build)"
    with pytest.raises(RunError, match=r"^some_worker: no \{'a': 1\}$"):
        bench_process.Worker(script(tmp_path, source), {"a": 1})


def test_what_a_library_prints_is_no_answer(tmp_path):
    source = SERVE + (
        "import os\n"
        "def build(request):\n"
        "    print('hello'); os.system('echo there')\n"
        "    return {'double': lambda x: print('noise') or {'twice': 2 * x}}, {'fact': 7}\n"
        "bench_process.serve(build)"
    )
    with bench_process.Worker(script(tmp_path, source), {}) as worker:
        assert worker.ready["fact"] == 7
        assert worker.ask(double=4)["twice"] == 8
    assert worker.process.returncode == 0


def test_a_worker_that_does_not_answer_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(bench_process, "PATIENCE", 0.3)
    with pytest.raises(RunError, match="ended without an answer"):
        bench_process.Worker(script(tmp_path, "import time\ntime.sleep(60)"), {})


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="there is no /proc to see threads in")
def test_settle_waits_for_a_busy_thread():
    source = "import time\nprint(1, flush=True)\nend = time.time() + 0.3\nwhile time.time() < end: pass\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            start = time.perf_counter()
            bench_process.settle(process.pid)
            assert time.perf_counter() - start > 0.2
            bench_process.settle(10**9)  # nobody
        finally:
            process.kill()


def test_memory_is_this_process_alone():
    """A child must not inherit the peak of a large parent, as getrusage has it."""
    large = np.ones(40 << 20, np.uint8)
    resident, peak = bench_process.memory()
    assert len(large) / 2**20 < resident <= peak
    code = "from minigan.bench import process; print(process.memory()[1])"
    child = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    if Path("/proc/self/status").exists():
        assert float(child.stdout) < 40


def test_a_timed_task_leaves_out_its_first_call():
    calls = []
    assert len(bench_process.timed(lambda: calls.append(1))(4)["seconds"]) == 4
    assert len(calls) == 5


def test_a_timed_task_of_cycles_gives_the_mean_of_their_steps(monkeypatch):
    clock = iter([0.0, 6.0, 18.0])
    monkeypatch.setattr(bench_process.time, "perf_counter", lambda: next(clock))
    assert bench_process.timed(lambda: None, per_call=3)(4)["seconds"] == [2.0, 4.0]


# ---- PyTorch's side


@pytest.fixture(scope="module")
def reference():
    pytest.importorskip("torch", reason="PyTorch is not installed: it is a reference here, never a requirement")
    import torch
    import torch_reference

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch_reference
    torch.set_num_threads(before)


@pytest.mark.parametrize("preset", bench.PRESETS)
@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 12, 3)])
def test_the_same_networks_there(reference, preset, shape):
    gan = build_gan(preset, sample_shape=shape, latent_dim=10)
    theirs = reference.NETWORKS[preset](10, *shape)
    for ours, network in zip((gan.generator, gan.discriminator), theirs, strict=True):
        assert [p.numel() for p in network.parameters()] == [p.size for p in ours.params.values()]


@pytest.mark.parametrize("preset", bench.PRESETS)
def test_a_step_there(reference, preset):
    """It moves both networks; joining real and fake changes nothing but the speed; D ends as trainable as it began."""
    losses = {}
    for joined in (False, True):
        gan = reference.Reference(preset, 3, "contiguous", 10, (8, 8, 1))
        gan.use("foreach", joined)
        before = [p.detach().clone() for net in (gan.generator, gan.discriminator) for p in net.parameters()]
        losses[joined] = [gan.step() for _ in range(2)]
        after = [p for net in (gan.generator, gan.discriminator) for p in net.parameters()]
        assert sum(not (a == b).all() for a, b in zip(before, after, strict=True)) > len(after) / 2
        assert all(p.requires_grad for p in after)
        assert gan.may_join == (preset != "dcgan")
        if not gan.may_join:
            return
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-4)


def test_the_reference_speaks_the_protocol(reference):
    command = [sys.executable, bench.REFERENCE]
    request = {"preset": "mlp", "batch": 2, "mode": "contiguous", "threads": 1, "trial_steps": 1}
    with bench_process.Worker(command, request) as worker:
        assert worker.ready["variant"].keys() == {"optimizer", "joined"}
        answer = worker.ask(step=2)
        assert len(answer["seconds"]) == 2
        assert answer["peak_mib"] >= worker.ready["import_mib"]


def test_what_the_reference_refuses(reference):
    with pytest.raises(ValueError, match="no reference for the preset toy"):
        reference.Reference("toy", 2, "contiguous")
    with pytest.raises(ValueError, match="no mode 'fast'"):
        reference.Reference("mlp", 2, "fast")
    with pytest.raises(ValueError, match="no convolutions"):
        reference.Reference("mlp", 2, "channels_last")
