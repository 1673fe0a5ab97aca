"""The child process of isolation.py: python -m minigan.classroom FILE EXERCISE. Its output is the verdict."""

import json
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

from minigan.classroom.catalogue import find
from minigan.classroom.grading import grade_file
from minigan.classroom.isolation import FILE, MEMORY


def limit():
    """No file above FILE, and no more memory than MEMORY beyond what is in use; where the system cannot, no limit."""
    with suppress(ImportError, OSError, ValueError, TypeError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        used = int(re.search(r"^VmSize:\s*(\d+) kB", status, re.MULTILINE)[1]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def stand_between():
    """Go on in a child: the parent that it may signal is then not the one that judges the class. End as it ends."""
    child = os.fork()
    if child:
        signals = signal.valid_signals()
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status < 0:
            with suppress(OSError):  # SIGKILL has no other handler
                signal.signal(-status, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            os.kill(os.getpid(), -status)
        os._exit(status)


def main(path, name):
    with os.fdopen(os.dup(1), "wb") as answer:
        os.dup2(2, 1)  # whatever the file prints is no answer
        limit()
        if hasattr(os, "fork"):
            stand_between()
        sys.argv = [path]
        itself = os.getpid()
        verdict = grade_file(path, find(name))
        if os.getpid() != itself:  # a copy that the file has made of the process
            os._exit(0)
        answer.write(json.dumps(vars(verdict)).encode())
    with suppress(Exception):  # it may have closed or replaced it
        sys.stdout.flush()
    os._exit(0)  # whatever the file has left running or registered is not waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
