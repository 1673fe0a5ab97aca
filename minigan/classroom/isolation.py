"""A student's file in a process of its own, with a limit of time and of memory: whatever it does ends there."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

from minigan.base.errors import shorten
from minigan.base.processes import environment
from minigan.classroom.grading import FAILED, NOT_WRITTEN, PASSED, Verdict

SECONDS = 20.0
SECONDS_FLAG = {"type": float, "default": SECONDS, "metavar": "X", "above": 0, "most": 3600}  # of the commands
MEMORY = 1 << 30  # bytes beyond what the grader itself needs
FILE = 1 << 26  # bytes of the largest file that may be written
KEPT = 4000  # bytes of what a file prints
LONGEST = 1 << 16  # bytes of a verdict

_running = set()


def grade_apart(path, exercise, seconds=SECONDS):
    """As `grade_file`, by a child process: `python -m minigan.classroom FILE EXERCISE`.

    The verdict comes through a pipe, which needs no room on a disk that other files may have filled. Raises OSError
    where no process can be started.
    """
    with scratch_folder() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "minigan.classroom", str(Path(path).resolve()), exercise.name],
            cwd=folder,  # what it writes goes away with it
            env=environment(
                NUMBA_DISABLE_JIT="1",
                OMP_NUM_THREADS="1",
                OPENBLAS_NUM_THREADS="1",
                MPLBACKEND="Agg",
                PYTHONIOENCODING="utf-8:backslashreplace",  # no print fails, whatever the system's encoding
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=os.name == "posix",
        )
        _running.add(process)
        answer, printed = _Head(process.stdout, LONGEST), _Head(process.stderr, KEPT)
        try:
            process.wait(seconds)
            cause = _last_words(process.returncode)
        except subprocess.TimeoutExpired:
            cause = f"It was stopped after {seconds:g} s: is there a loop without an end?"
        finally:
            _end(process)
            _running.discard(process)
        verdict = _read(answer.text()) or Verdict(exercise.name, FAILED, "the file", cause)
        verdict.exercise, verdict.reread, verdict.printed = exercise.name, exercise.reread, printed.text()
        return verdict


def stop():
    """End every process of `grade_apart`, which other threads may be waiting for."""
    for process in list(_running):
        _end(process)


@contextmanager
def scratch_folder():
    """A folder that goes away afterwards as far as possible: tempfile's own raises where something still writes to
    it, or where a loop has nested folders in it."""
    folder = tempfile.mkdtemp()
    try:
        yield Path(folder)
    finally:
        try:
            shutil.rmtree(folder, ignore_errors=True)
        except RecursionError:
            subprocess.run(["rm", "-rf", folder], stderr=subprocess.DEVNULL)


class _Head:
    """Reads a pipe to its end, however much comes, and keeps the first `most` bytes."""

    def __init__(self, pipe, most):
        self.pipe, self.most, self.kept = pipe, most, b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with suppress(OSError, ValueError):
            while chunk := self.pipe.read1(1 << 16):
                self.kept += chunk[: self.most - len(self.kept)]

    def text(self):
        self.thread.join(1)
        if not self.thread.is_alive():  # else a process that slipped away holds the pipe, and closing it would wait
            self.pipe.close()
        return self.kept.decode("utf-8", errors="replace")


def _end(process):
    """End the process and, where the system knows groups of them, all that it started."""
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _last_words(status):
    if status < 0:
        number = -status
        known = {item.value: item.name for item in signal.Signals}
        return f"It ended Python itself ({known.get(number, f'signal {number}')}): out of memory, or os.kill?"
    return f"It ended Python itself, with status {status}: is there an os._exit?"


def _read(text):
    """The verdict that the child has sent, or None: whatever else a student's code has put there is none."""
    with suppress(Exception):
        verdict = Verdict(**json.loads(text))
        verdict.index = verdict.index and [int(i) for i in verdict.index]
        verdict.where, verdict.cause = one_line(verdict.where), one_line(verdict.cause)
        if verdict.status in (PASSED, FAILED, NOT_WRITTEN) and str(verdict):  # which needs all of its fields
            return verdict
    return None


def one_line(text):
    """Of what a student wrote, that which a table and a terminal can take: printable, and not too long."""
    return shorten("".join(c if c.isprintable() else " " for c in text), 1000)
