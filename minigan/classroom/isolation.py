"""The process in which a student's file runs: started, asked, and ended with all that it has started itself.

Requests and answers are plain data (see worker.py). On Linux, where the system allows it, the process has walls around
it (see sandbox.py); elsewhere it has a folder of its own, and limits of time, memory and files.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

from minigan.classroom import sandbox, worker

SECONDS = 20.0
SECONDS_FLAG = {"type": float, "default": SECONDS, "metavar": "X", "above": 0, "most": 3600}  # of the commands
ENVIRONMENT = dict.fromkeys(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_DISABLE_JIT"], "1")
START = 60.0  # seconds in which Python and NumPy have to be there, on a machine however slow
KEPT = 4000  # bytes of what a file prints
HEADER, BODY = 1 << 20, 1 << 27  # bytes of the longest answer

_running = set()


class Ended(Exception):
    """There is no answer. The message says why, in a sentence about the student's file."""


class Process:
    """The worker. `seconds` is for all that the file does; to start takes none of them."""

    def __init__(self, seconds=SECONDS, walled=None):
        self.folder = tempfile.mkdtemp()
        command = [sys.executable, "-I", "-u", worker.__file__]  # what it prints is not held back
        if os.name == "posix":
            seen = {sys.prefix, sys.base_prefix, str(Path(np.__file__).parents[1]), worker.__file__}
            places = sorted(seen) if (walls() if walled is None else walled) else []
            command = [sys.executable, "-I", "-S", sandbox.__file__, *places, "--", *command]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,  # what it writes goes away with it
            env={**os.environ, **ENVIRONMENT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=os.name == "posix",
        )
        _running.add(self)
        self.heard, self.said = queue.SimpleQueue(), b""
        threads = [threading.Thread(target=read, daemon=True) for read in (self._read_answers, self._read_prints)]
        for thread in threads:
            thread.start()
        self.printing, self.seconds, self.deadline = threads[1], seconds, time.monotonic() + START
        self._next()
        self.deadline = time.monotonic() + seconds

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """End the process and, where the system knows groups of them, all that it started."""
        _running.discard(self)
        if os.name == "posix":
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait()
        with suppress(OSError):
            self.process.stdin.close()
        remove(self.folder)

    def ask(self, header, arrays=()):
        """(header, arrays as one run of bytes) -> the same of the answer. Ended where there is none."""
        header, body = json.dumps(header).encode(), b"".join(arrays)
        with suppress(OSError):  # then it has ended, which the answer says
            self.process.stdin.write(worker.LENGTHS.pack(len(header), len(body)) + header + body)
            self.process.stdin.flush()
        return self._next()

    def _next(self):
        try:
            answer = self.heard.get(timeout=max(0, self.deadline - time.monotonic()))
        except queue.Empty:
            raise Ended(f"It was stopped after {self.seconds:g} s: is there a loop without an end?") from None
        if answer is None:
            raise Ended(self._last_words())
        return answer

    def _read_answers(self):
        """Put each answer into the queue, and None after the last or what is none."""
        pipe = self.process.stdout
        with suppress(Exception):  # whatever else may come from there
            while lengths := pipe.read(worker.LENGTHS.size):
                header, body = worker.LENGTHS.unpack(lengths)
                if header > HEADER or body > BODY:
                    break
                header, body = json.loads(pipe.read(header)), pipe.read(body)
                if not isinstance(header, dict):
                    break
                self.heard.put((header, body))
        self.heard.put(None)

    def _read_prints(self):
        """Read to the end, however much comes, and keep the first bytes."""
        with suppress(OSError, ValueError):
            while chunk := self.process.stderr.read1(1 << 16):
                self.said += chunk[: KEPT - len(self.said)]

    def printed(self):
        """What the file has printed until the process ended."""
        self.printing.join(1)  # longer, if something that slipped away still holds the pipe
        return self.said.decode("utf-8", errors="replace")

    def _last_words(self):
        try:
            status = self.process.wait(2)
        except subprocess.TimeoutExpired:
            return "It has closed the pipe through which its results come: does it close files that it did not open?"
        number = -status if status < 0 else status - 128  # as of a child that ended, behind the walls
        if number > 0:
            known = {item.value: item.name for item in signal.Signals}
            return f"It ended Python itself ({known.get(number, f'signal {number}')}): out of memory, or os.kill?"
        return f"It ended Python itself, with status {status}: is there an os._exit?"


@cache
def walls():
    """Whether this system lets us have walls: asked once, by trying."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        with Process(walled=True):
            return True
    except Ended:
        return False


def stop():
    """End every process, which other threads may be waiting for."""
    for process in list(_running):
        process.__exit__()


def remove(folder):
    """A folder with all that is in it, as far as possible: shutil's own gives up where folders are nested too deep."""
    try:
        shutil.rmtree(folder, ignore_errors=True)
    except RecursionError:
        subprocess.run(["rm", "-rf", folder], stderr=subprocess.DEVNULL)
