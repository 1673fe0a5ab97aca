"""The child process of isolation.py: python -m minigan.classroom FILE EXERCISE RESULT."""

import json
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

from minigan.classroom.catalogue import find
from minigan.classroom.isolation import MEMORY
from minigan.classroom.judge import judge


def limit_memory():
    """No more than MEMORY beyond what is in use; where the system cannot do that, none."""
    with suppress(ImportError, OSError, ValueError, TypeError):
        import resource

        status = Path("/proc/self/status").read_text(encoding="utf-8")
        used = int(re.search(r"^VmSize:\s*(\d+) kB", status, re.MULTILINE)[1]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def main(path, name, result):
    limit_memory()
    sys.argv = [path]
    verdict = judge(path, find(name))
    text = json.dumps(verdict.as_dict())
    sys.stdout.flush()
    Path(result).write_text(text, encoding="utf-8")
    os._exit(0)  # whatever the file has left running or registered is not waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
