"""The fuzzer: a few hundred of its inputs, and that it would see what it is there to see."""

import os
import re
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from test_structure import ROOT

from minigan.base.errors import InputError, RunError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the fuzzer feeds child processes made by fork")
if hasattr(os, "fork"):
    import fuzz


def test_some_hundred_broken_inputs():
    process = subprocess.run(
        [sys.executable, "tests/scripts/fuzz.py", "--inputs", "540", "--seed", "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stdout[-3000:] + process.stderr[-2000:]
    rows = re.findall(r"^(\w.*?) +(\d+) +(\d+) +(\d+) +0 ", process.stdout, re.MULTILINE)
    assert [row[0] for row in rows] == list(fuzz.FORMATS)
    for name, inputs, fine, refused in rows:
        assert int(inputs) == int(fine) + int(refused) == 60
        # input of which nothing is good, or nothing bad, would test one half of the code only
        assert min(int(fine), int(refused)) > 0, name


def sentence(error):
    def use():
        raise error

    return use


@pytest.mark.parametrize(
    ("use", "wrong"),
    [
        (lambda: None, None),
        (sentence(InputError("x.npy is damaged; fetch it again.")), None),
        (sentence(RunError("training diverged at step 3; try less.")), None),
        (sentence(InputError("no")), "not one sentence"),
        (sentence(InputError("two\nlines of a message")), "not one sentence"),
        (sentence(InputError("long " * 1000)), "not one sentence"),
        (sentence(SystemExit(2)), "no single sentence on stderr"),
        (lambda: (print("python -m minigan.train: lr is 0, so.", file=sys.stderr), sys.exit(2)), None),
        (lambda: (print("python -m minigan.train: lr is 0, so.", file=sys.stderr), sys.exit(3)), "exit status 3"),
        (lambda: sys.exit(0), None),
    ],
)
def test_what_it_takes_for_a_sentence(use, wrong):
    found = fuzz.judge(use)[1]
    assert found == wrong if wrong is None else wrong in found


def test_a_warning_is_noise():
    with pytest.raises(UserWarning, match="odd"):
        fuzz.judge(lambda: warnings.warn("odd", stacklevel=1))


GROWN = []  # held: a peak that is over before it is asked for is not seen on every machine


def grow():
    GROWN.append(np.ones(60_000_000))


def leave():
    (fuzz.Path.cwd().parent / "left").touch()


def unpickle():
    fuzz.CANARY.touch()


def spin():
    while True:
        time.process_time()


PLANTED = {
    "division": (lambda: 1 / 0, "ZeroDivisionError"),
    "memory": (lambda: np.empty(1 << 40), "MemoryError"),
    "growth": (grow, "grew by"),
    "file": (leave, "left ['left', 'seeds'] beside"),
    "pickle": (unpickle, "unpickled"),
    "end": (lambda: os._exit(3), "the process hung or ended"),
    "loop": (spin, "more than 1 s of computing"),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_faults_are_found_and_the_rest_goes_on(tmp_path, monkeypatch, name):
    use, expected = PLANTED[name]
    good = (lambda *_: (), lambda: None, False)
    monkeypatch.setattr(fuzz, "FORMATS", {"good": good, name: (good[0], use, False)})
    if name == "loop":  # the others may take long where much else runs
        monkeypatch.setattr(fuzz, "SECONDS", 1.0)
    monkeypatch.setattr(fuzz, "RESIDENT", 64 << 20)
    (tmp_path / "seeds").mkdir()
    fuzz.CANARY.unlink(missing_ok=True)
    records = fuzz._batch(range(3), 0, tmp_path)
    assert records[0]["wrong"] is None
    assert expected in records[1]["wrong"]
    if name != "end":
        assert len(records) == 3
        if name != "file":  # which is still there
            assert records[2]["wrong"] is None
    fuzz.CANARY.unlink(missing_ok=True)


def test_an_input_is_made_from_its_number_alone(tmp_path):
    """So that one that was found can be looked at again."""
    make = fuzz.FORMATS["IDX"][0]
    first, again, other = (make(np.random.default_rng([0, n]), tmp_path)[0].read_bytes() for n in (8, 8, 16))
    assert first == again != other
