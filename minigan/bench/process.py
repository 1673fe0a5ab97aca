"""Processes to be measured in turns, each side of a comparison in one of its own; they speak lines of JSON.

The first line that a worker reads describes what it is to build; it answers {"ready": true, …}. Every further line is
{task: amount}, such as {"step": 5} for {"seconds": [five of them]}. The end of its input ends it. Nothing is imported
here beyond the standard library, so that a worker's memory is that of what it measures.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from minigan.base.errors import RunError
from minigan.base.processes import environment

PAUSE = 0.005  # seconds between two looks at whether a worker has gone to sleep
LONGEST_PAUSE = 1.0  # seconds of that; OpenBLAS's threads look for work for a tenth of one before they sleep
PATIENCE = 900.0  # seconds for one answer; torch.compile may need minutes


# ---- inside a worker


def serve(build):
    """Answer the lines of standard input until it ends; the worker's whole life.

    build(request) -> (tasks, facts): tasks are functions of one number that return a dict, facts go with "ready". An
    exception is answered as {"error": sentence} and ends the worker with status 1.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(**facts):
        print(json.dumps(facts), file=answers, flush=True)

    resident, _ = memory()
    try:
        tasks, facts = build(json.loads(sys.stdin.readline()))
        answer(ready=True, import_mib=resident, **facts)
        for line in sys.stdin:
            ((task, amount),) = json.loads(line).items()
            facts = tasks[task](amount)
            answer(peak_mib=memory()[1], **facts)
    except Exception as error:  # whoever asked decides what it means
        sentence = (str(error).strip().splitlines() or [""])[0]
        answer(error=sentence if isinstance(error, ValueError) else f"{type(error).__name__}: {sentence}")
        sys.exit(1)


def timed(step, per_call=1):
    """The task {"step": k}: k steps and the seconds that each took, after a call of `step` that is not counted: the
    other side has just filled the caches with its own. per_call: how many steps a call makes; k is rounded up to whole
    calls, and each gives the mean of its steps."""

    def steps(count):
        step()
        times = [time.perf_counter()]
        for _ in range(-(-count // per_call)):
            step()
            times.append(time.perf_counter())
        return {"seconds": [(end - start) / per_call for start, end in pairwise(times)]}

    return steps


def memory():
    """(resident, peak): MiB of memory this process holds now and has held at most; None where nobody knows.

    Linux keeps the peak of getrusage through exec, so that a small child of a large parent reports the parent's:
    /proc is asked first, and getrusage, which has no present value, only where there is no /proc.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        kib = dict(re.findall(r"^(VmRSS|VmHWM):\s*(\d+) kB", status, re.MULTILINE))
        return int(kib["VmRSS"]) / 1024, int(kib["VmHWM"]) / 1024
    except (OSError, KeyError):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None, None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    return peak, peak


# ---- outside


class Worker:
    """A process that answers. `with Worker(command, request) as worker: worker.ask(step=5)["seconds"]`.

    command: what to start, as a list. request: what it is to build. ready: its answer to that, a dict.
    Raises RunError where the process fails or dies, with its own last words.
    """

    def __init__(self, command, request):
        self.name = Path(command[-1]).name.removesuffix(".py").rpartition(".")[2]
        self.words = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.words,
            text=True,
            encoding="utf-8",
            env=environment(),
        )
        try:
            self.ready = self._exchange(request)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def ask(self, **task):
        """The answer to one task. Returns when every thread of the worker is asleep, so that none disturbs another."""
        answer = self._exchange(task)
        settle(self.process.pid)
        return answer

    def close(self):
        """End the process and forget it."""
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):  # it died with something unread
                pipe.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.words.close()

    def _exchange(self, message):
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.start()
        try:
            print(json.dumps(message), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watchdog.cancel()
        answer = json.loads(line) if line else {"error": self._last_words()}
        if "error" in answer:
            raise RunError(f"{self.name}: {answer['error']}")
        return answer

    def _last_words(self):
        self.words.seek(0)
        lines = self.words.read().strip().splitlines()
        return f"the process ended without an answer{': ' + lines[-1] if lines else ''}"


def settle(pid):
    """Wait until no thread of the process is running or would like to: parallel runtimes keep looking for work."""
    threads_folder = Path(f"/proc/{pid}/task")
    if not threads_folder.is_dir():
        time.sleep(0.2)
        return
    end = time.perf_counter() + LONGEST_PAUSE
    time.sleep(PAUSE)
    while time.perf_counter() < end and any(_runs(path) for path in threads_folder.glob("*/stat")):
        time.sleep(PAUSE)


def _runs(path):
    try:
        return path.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "R"
    except OSError:  # the thread has ended
        return False
