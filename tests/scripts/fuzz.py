"""Broken and hostile input, made from seeds: every one has to end in success or in one clear sentence.

    python tests/scripts/fuzz.py --inputs 20000 --seed 0
    python tests/scripts/fuzz.py --only 1234 --seed 0        # one of them again, with its traceback

Input number n is made from (seed, n) alone: fuzz_inputs.py says how. A child process takes some of them at a time, with
a limit of memory, and of time for each. What is found wrong: an exception that is no MiniganError, a message that is
not one sentence, an exit status other than 0, 1 and 2, a warning, more memory or time than the limits, an end of the
process, an unpickled object, a file outside the folder. It prints a table, and what it found; exit status 1 if there is
anything.
"""

import argparse
import io
import json
import os
import re
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
from fuzz_bytes import CANARY
from fuzz_commands import Begun
from fuzz_inputs import FORMATS, prepare

from minigan.base.errors import MiniganError

BATCH = 200  # inputs of a child process
SECONDS = 10.0  # of computing an input may take; most take a few milliseconds
PATIENCE = 120.0  # seconds of waiting
MEMORY = 3 << 29  # bytes of address space that a child may have beyond what it begins with
RESIDENT = 600 << 20  # bytes by which an input may make the process grow
LONGEST = 1200  # characters of a sentence
COMMAND_LINE = re.compile(r"python -m minigan(\.\w+)?: .{9,}", re.DOTALL)


class TooLong(BaseException):
    """The alarm."""


def judge(use, *arguments):
    """Run one input -> its outcome in a word ("fine" or "refused"), and what is wrong or None."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", errors) for errors in ("strict", "backslashreplace"))
    message, status = None, None
    try:
        with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning is noise that nobody can act on
            use(*arguments)
    except Begun:
        pass
    except SystemExit as stop:
        status = stop.code or 0
    except MiniganError as error:
        message, status = str(error), error.exit_status
    if status is None or status == 0:
        return "fine", None
    if message is None:  # from a command line: what it printed
        lines = _text(err).splitlines()
        sentence = [line for line in lines if not line.startswith(("skipped ", "  "))]
        message = "\n".join(sentence)
        if len(sentence) != 1 or not COMMAND_LINE.fullmatch(message):
            return "refused", f"no single sentence on stderr: {message[:300]!r}"
    if status not in (1, 2):
        return "refused", f"exit status {status}: {message[:300]}"
    if "\n" in message or not 10 < len(message) <= LONGEST:
        return "refused", f"not one sentence of at most {LONGEST} characters: {message[:300]!r}"
    return "refused", None


def _text(stream):
    stream.flush()
    return stream.buffer.getvalue().decode("utf-8", "replace")


def one(number, seed, seeds, folder):
    """Input `number` in a folder of its own -> a record of what came of it."""
    name = list(FORMATS)[number % len(FORMATS)]
    work = folder / "work"
    make, use, needs_seeds = FORMATS[name]
    if needs_seeds:
        shutil.copytree(seeds, work)
    else:
        work.mkdir()
    started, before = time.process_time(), _resident()
    os.chdir(work)
    made = make(np.random.default_rng([seed, number]), work)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        outcome, wrong = judge(use, *made)
    except TooLong:
        outcome, wrong = "wrong", f"more than {SECONDS:g} s of computing or {PATIENCE:g} s in all"
    except BaseException as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        outcome, wrong = "wrong", f"{type(error).__name__}: {str(error)[:200]} ({Path(at.filename).name}:{at.lineno})"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.chdir(folder)
        shutil.rmtree(work, ignore_errors=True)
    grown = _resident() - before
    if wrong is None and grown > RESIDENT:
        wrong = f"grew by {grown >> 20} MiB"
    if wrong is None and CANARY.exists():
        CANARY.unlink()
        wrong = "an object was unpickled or code was run"
    if wrong is None and {path.name for path in folder.iterdir()} != {"seeds"}:
        wrong = f"left {sorted(path.name for path in folder.iterdir())} beside its folder"
    return {"number": number, "format": name, "outcome": outcome, "wrong": wrong, "s": time.process_time() - started}


def _resident():
    """The most memory the process has had, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _child(numbers, seed, folder, pipe):
    """In the child process: each input's record as a line into the pipe."""

    def alarm(*_):
        raise TooLong

    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, alarm)
    with suppress(OSError, ValueError):  # where /proc is not there the resident memory alone is watched
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY,) * 2)
    for number in numbers:
        record = one(number, seed, folder / "seeds", folder)
        os.write(pipe, json.dumps(record).encode() + b"\n")


def _batch(numbers, seed, folder):
    """-> the records of these inputs, up to one that ended the process, if any did."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            os.close(reading)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            _child(numbers, seed, folder, writing)
        os._exit(0)
    os.close(writing)
    text = b""
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while select.select([pipe], [], [], 2 * PATIENCE)[0] and (more := pipe.read(1 << 16)):
            text += more
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    records = [json.loads(line) for line in text.decode().splitlines()]
    if len(records) < len(numbers):
        number = numbers[len(records)]
        wrong = f"the process hung or ended, status {status}"
        name = list(FORMATS)[number % len(FORMATS)]
        records.append({"number": number, "format": name, "outcome": "wrong", "wrong": wrong, "s": 0.0})
        shutil.rmtree(folder / "work", ignore_errors=True)
    return records


def fuzz(inputs, seed, watch=lambda done: None):
    """-> the records of that many inputs; watch(done) is called after each batch."""
    with tempfile.TemporaryDirectory() as name:
        folder, records = Path(name).resolve(), []
        prepare(folder / "seeds")
        while len(records) < inputs:
            numbers = range(len(records), min(inputs, len(records) + BATCH))
            records += _batch(numbers, seed, folder)
            watch(len(records))
        return records


def again(number, seed):
    """One input in this process, its traceback included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        prepare(folder / "seeds")
        shutil.copytree(folder / "seeds", folder / "work")
        os.chdir(folder / "work")
        make, use, _ = list(FORMATS.values())[number % len(FORMATS)]
        made = make(np.random.default_rng([seed, number]), folder / "work")
        print(list(FORMATS)[number % len(FORMATS)], repr(made)[:2000])
        try:
            use(*made)
        except BaseException:
            traceback.print_exc()
        os.chdir(ROOT)


def table(records):
    lines = [f"{'format':14}{'inputs':>8}{'fine':>8}{'refused':>9}{'wrong':>7}{'ms each':>9}{'longest':>9}"]
    for name in FORMATS:
        own = [record for record in records if record["format"] == name]
        outcomes = Counter(record["outcome"] for record in own)
        wrong, seconds = sum(record["wrong"] is not None for record in own), [record["s"] for record in own] or [0]
        counts = f"{len(own):8}{outcomes['fine']:8}{outcomes['refused']:9}{wrong:7}"
        lines.append(f"{name:14}{counts}{1000 * np.mean(seconds):9.1f}{max(seconds):8.1f}s")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Feed broken and hostile input to everything that reads any.")
    parser.add_argument("--inputs", type=int, default=20_000, help="how many (default: 20000)")
    parser.add_argument("--seed", type=int, default=0, help="of all of them (default: 0)")
    parser.add_argument("--only", type=int, help="this one again, in this process")
    arguments = parser.parse_args()
    if arguments.only is not None:
        return again(arguments.only, arguments.seed)
    records = fuzz(arguments.inputs, arguments.seed, lambda done: print(f"\r{done}", end="", file=sys.stderr))
    print(file=sys.stderr)
    wrong = [record for record in records if record["wrong"] is not None]
    for record in wrong:
        print(f"{record['number']:6} {record['format']}: {record['wrong']}")
    print(table(records))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
