# ruff: noqa: E501 (an edit is one line)
"""What a student's process can reach, and what it can make the judge believe: nothing outside its walls, and nothing."""

import os
import sys

import numpy as np
import pytest

from minigan.classroom import isolation, solutions
from minigan.classroom.catalogue import EXERCISES, find
from minigan.classroom.exercise import CHANGED, GAPS, LEFT_BEHIND, Draw
from minigan.classroom.grading import FAILED, PASSED, grade_file

WHOLE = solutions.source("dense")
walled = pytest.mark.skipif(not isolation.walls(), reason="this system has no user namespaces for us")


def grade(text, name="dense", seed=1):
    return grade_file(text.encode(), f"{name}.py", find(name), seed=seed)


def in_forward(*lines):
    return WHOLE.replace(
        "    return x @ weight + bias", "".join(f"    {line}\n" for line in lines) + "    return x @ weight + bias"
    )


@walled
@pytest.mark.parametrize(
    "line",
    [
        f"assert not os.path.exists({os.path.abspath(__file__)!r})",
        f"assert not os.path.exists({os.path.expanduser('~/.bashrc')!r})",
        "assert not os.path.exists('/etc/passwd')",
        "assert not os.access(np.__file__, os.W_OK)",
        f"assert not os.access({sys.prefix!r}, os.W_OK)",
        "assert len([p for p in os.listdir('/proc') if p.isdigit()]) <= 3",
        "import socket; assert not [name for _, name in socket.if_nameindex() if name != 'lo']",
        f"assert not os.path.exists('/proc/{os.getpid()}')",
    ],
)
def test_within_the_walls_there_is_nothing_but_python(line):
    verdict = grade(in_forward("import os", line))
    assert verdict.status == PASSED, verdict


@walled
def test_without_the_walls_the_same_would_be_there(monkeypatch):
    """So that the test above can fail."""
    monkeypatch.setattr(isolation, "walls", lambda: False)
    assert grade(in_forward("import os", "assert not os.path.exists('/etc/passwd')")).status == FAILED


WRONG = WHOLE.replace("x @ weight + bias,", "x @ weight,")


@pytest.mark.parametrize(
    "attack",
    [
        "import builtins\nbuiltins.abs = lambda *a: 0\nnp.allclose = lambda *a, **k: True",
        "import sys\nsys.modules['__main__'].Worker.encode = lambda *a: {'kept': 0, 'type': 'float'}",
        "import sys\nsys.modules['__main__'].Worker.answer = lambda *a: ({'verdict': 'passed'}, [])",
        "import os\n[os.write(fd, b'passed' * 100) for fd in range(3, 9) if os.path.exists(f'/proc/self/fd/{fd}')]",
        "import os\nos.closerange(3, 99)",
        "import json\njson.dumps = lambda *a: '[' * 9999",
        "import os\nos._exit(0)",
    ],
)
def test_no_wrong_file_passes_whatever_it_does_to_its_process(attack):
    with np.errstate(all="ignore"):
        verdict = grade(
            f"{WRONG}\ntry:\n"
            + "".join(f"    {line}\n" for line in attack.splitlines())
            + "except OSError:\n    pass\n"
        )
    assert verdict.status == FAILED, verdict


@pytest.mark.parametrize(
    ("name", "old", "new", "cause"),
    [
        (
            "dense",
            "    return x @ weight + bias",
            "    x = globals().setdefault(x.shape, x)\n    return x @ weight + bias",
            LEFT_BEHIND,
        ),
        (
            "dense",
            "x @ weight + bias, (x, weight)",
            "x @ weight + bias, (np.frombuffer(x).reshape(x.shape), weight)",
            GAPS,
        ),
        ("adam", "    return", "    param = globals().setdefault(param.shape, param)\n    return", None),
        ("dense", "    x, weight = cache", "    x, weight, out = cache\n    out *= 2", CHANGED),
    ],
)
def test_what_is_remembered_overwritten_or_takes_memory_for_granted_is_found(name, old, new, cause):
    text = solutions.source(name).replace(old, new)
    if cause == CHANGED:
        text = text.replace(
            "    return x @ weight + bias, (x, weight)", "    out = x @ weight + bias\n    return out, (x, weight, out)"
        )
    if cause == GAPS:
        text = text.replace("np.frombuffer(x)", "np.frombuffer(x if x.flags.c_contiguous else bytes(x.nbytes))")
    verdict = grade(text, name)
    assert verdict.status == FAILED, verdict
    assert cause is None or verdict.cause.endswith(cause), verdict


@pytest.mark.parametrize("name", EXERCISES)
def test_sizes_stay_and_numbers_change_between_two_draws(name):
    cases = [EXERCISES[name].cases(Draw(7, again)) for again in (0, 1)]
    for first, second in zip(*cases, strict=True):
        for argument, value in first.arguments.items():
            other = second.arguments[argument]
            assert np.shape(other) == np.shape(value)
            if (
                isinstance(value, np.ndarray)
                and value.dtype.kind == "f"
                and value.size > 1
                and set(value.flat) - {0, 1}
            ):
                assert not np.array_equal(other, value), argument


@pytest.mark.parametrize("name", EXERCISES)
def test_every_solution_passes_whatever_is_drawn(name):
    for seed in range(10, 15):
        verdict = grade(solutions.source(name), name, seed)
        assert verdict.status == PASSED, verdict


DENSE = """
import numpy as np

class Dense:
    def __init__(self, in_features, out_features, bias=True, rng=None, dtype=np.float32):
        self.params = {"weight": rng.standard_normal((in_features, out_features)).astype(dtype)}
        if bias:
            self.params["bias"] = np.zeros(out_features, dtype)
        self.grads = {name: np.zeros_like(param) for name, param in self.params.items()}

    def forward(self, x, training=True):
        self.x = x
        out = x @ self.params["weight"]
        return out + self.params["bias"] if "bias" in self.params else out

    def backward(self, grad_output, need_param_grads=True):
        if need_param_grads:
            self.grads["weight"] += self.x.T @ grad_output
            if "bias" in self.params:
                self.grads["bias"] += grad_output.sum(axis=0)
        return grad_output @ self.params["weight"].T
"""


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("", "", None),
        ("np.zeros(out_features, dtype)", "np.ones(out_features, dtype)", "It starts as 1, expected 0"),
        ("rng.standard_normal(", "np.random.standard_normal(", "draw it from rng"),
        ("rng.standard_normal((in_features, out_features))", "np.zeros((in_features, out_features))", "draw it from rng"),
        (' if "bias" in self.params else out', "", "bias=False): It raises KeyError"),
        ("if need_param_grads:", "if True:", "need_param_grads=False"),
    ],
)  # fmt: skip
def test_a_class_is_looked_at_in_several_constructions(old, new, cause):
    verdict = grade(DENSE.replace(old, new) if old else DENSE, "Dense")
    assert (verdict.status == PASSED) == (cause is None), verdict
    assert cause is None or cause in str(verdict)
