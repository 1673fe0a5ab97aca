"""A student's file in a process of its own, with a limit of time and of memory: whatever it does ends there."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

from minigan.bench_process import environment
from minigan.classroom.judge import FAILED, Verdict

SECONDS = 20.0
MEMORY = 1 << 30  # bytes beyond what the judge itself needs
KEPT = 4000  # characters of what a file prints


def judge_apart(path, exercise, seconds=SECONDS):
    """As `judge`, by a child process: `python -m minigan.classroom FILE EXERCISE RESULT`."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "verdict.json")
        command = [sys.executable, "-m", "minigan.classroom", str(Path(path).resolve()), exercise.name, str(result)]
        process = subprocess.Popen(
            command,
            cwd=folder,  # what it writes goes away with it
            env=environment(NUMBA_DISABLE_JIT="1", OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MPLBACKEND="Agg"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
        printed = _Head(process.stdout)
        try:
            process.wait(seconds)
            cause = _last_words(process.returncode)
        except subprocess.TimeoutExpired:
            cause = f"It was stopped after {seconds:g} s: is there a loop without an end?"
        finally:
            _end(process)
        verdict = _read(result) or Verdict(exercise.name, FAILED, "the file", cause, reread=exercise.reread)
        verdict.printed = printed.text()
        return verdict


class _Head:
    """Reads a pipe to its end, however much comes, and keeps the beginning."""

    def __init__(self, pipe):
        self.pipe, self.kept = pipe, b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with suppress(OSError, ValueError):
            while chunk := self.pipe.read1(1 << 16):
                self.kept += chunk[: KEPT - len(self.kept)]

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
        return f"It ended Python itself ({signal.Signals(-status).name}): out of memory, or os.kill?"
    return f"It ended Python itself, with status {status}: is there an os._exit?"


def _read(path):
    with suppress(OSError, ValueError, TypeError):
        return Verdict(**json.loads(path.read_text(encoding="utf-8")))
    return None
