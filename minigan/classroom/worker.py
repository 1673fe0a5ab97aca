"""The student's process: it loads the file, calls what it is asked to call, and answers with values, never a verdict.

Run by itself, with NumPy alone. Requests come on standard input and answers go out by what was standard output, both
as `length of the header, length of the body, header (JSON), body (the bytes of arrays, one after the other)`.
Whatever the file does to this process, the judge, who knows the right values, sits in another.
"""

import copy
import inspect
import io
import json
import os
import re
import struct
import sys
import tokenize
import traceback
from contextlib import suppress
from itertools import islice
from types import ModuleType

import numpy as np

READY_MADE = {"minigan", "torch", "tensorflow", "jax", "keras", "scipy", "sklearn", "autograd"}
MEMORY = 1 << 30  # bytes beyond what this process itself needs
FILE = 1 << 26  # bytes of the largest file that may be written
LARGEST = 1 << 24  # bytes of the largest array that is worth sending
LONGEST = 1000  # characters of a message
DEPTH = 1000  # of calls, which a file may have lowered
STATE = ("params", "grads", "buffers")  # the dicts of a layer
LENGTHS = struct.Struct("<II")


class ReadyMade(ImportError):
    """The import of a library that does the exercise."""


class NoReadyMade:
    """The finder that comes before all others: `import torch` within try is as if there were no torch."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in READY_MADE:
            raise ReadyMade(f"{name} is not to be used here", name=name.partition(".")[0])


class Worker:
    """kept: number -> every object that an answer spoke of. handed: every array that was given to the student, with its
    bytes as they were."""

    def __init__(self, requests, answers):
        self.requests, self.answers, self.kept, self.handed = requests, answers, [], []
        self.itself = os.getpid()

    def serve(self):
        while request := self.read():
            answer, arrays = self.answer(*request)
            if os.getpid() != self.itself:  # a copy that the file has made of this process
                os._exit(0)
            sys.setrecursionlimit(DEPTH)
            self.send(answer, arrays)

    # ---- frames

    def read(self):
        """(header, arrays) of the next request; None after the last."""
        lengths = self.requests.read(LENGTHS.size)
        if len(lengths) < LENGTHS.size:
            return None
        header, body = (self.requests.read(length) for length in LENGTHS.unpack(lengths))
        return json.loads(header), io.BytesIO(body)

    def send(self, header, arrays=()):
        header, body = json.dumps(header).encode(), b"".join(array.tobytes() for array in arrays)
        data = memoryview(LENGTHS.pack(len(header), len(body)) + header + body)
        while data:
            data = data[os.write(self.answers, data) :]

    def decode(self, value, body):
        """A number or text; or {"array": shape}, {"kept": number}, {"rng": seed}, {"tuple": […]}."""
        if not isinstance(value, dict):
            return value
        if "tuple" in value:
            return tuple(self.decode(item, body) for item in value["tuple"])
        if "kept" in value:
            return self.kept[value["kept"]]
        if "rng" in value:
            return np.random.default_rng(value["rng"])
        dtype = np.dtype(value["dtype"])
        shape = value["array"]
        array = np.frombuffer(body.read(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape).copy()
        if value["strided"]:  # the same numbers, not side by side in memory
            wide = np.zeros((*shape[:-1], 2 * shape[-1]), dtype)
            wide[..., ::2] = array
            array = wide[..., ::2]
        return array

    def encode(self, value, arrays):
        """What the judge is to know of a value: a number to ask for it again, its type and, of numbers, all of them."""
        self.kept.append(value)
        told = {"kept": len(self.kept) - 1, "type": type(value).__name__[:LONGEST]}
        if value is None or isinstance(value, np.ma.MaskedArray):
            return told
        with suppress(Exception):
            array = np.asarray(value)
            told |= {"kind": array.dtype.kind, "dtype": str(array.dtype), "shape": list(array.shape)}
            if array.dtype.kind in "fiub" and array.nbytes <= LARGEST:
                arrays.append(array.astype(np.float64))
                told["sent"] = True
        return told

    # ---- requests

    def answer(self, request, body):
        """The answer to a request, and the arrays of its body."""
        arrays = []
        try:
            with np.errstate(all="ignore"):
                return getattr(self, request.pop("do"))(body=body, arrays=arrays, **request), arrays
        except BaseException as error:
            return self.told(error), []

    def load(self, body, arrays, file):
        self.file, source = file, body.read()
        encoding, _ = tokenize.detect_encoding(
            io.BytesIO(source).readline
        )  # as Python does: UTF-8, or what line 1 says
        text = io.TextIOWrapper(io.BytesIO(source), encoding).read()
        with suppress(OSError), open(os.path.basename(file), "wb") as copied:  # for a file that looks at itself
            copied.write(source)
        self.lines, code = text.splitlines(), compile(text, file, "exec")
        self.module = sys.modules["student"] = ModuleType("student")  # dataclasses, pickle and the like look there
        self.module.__file__ = file
        exec(code, vars(self.module))
        return {}

    def call(self, body, arrays, function, results, arguments, options):
        """function: its name in the file, or [number of a kept object, its method]. results: how many are unpacked, 0
        for the object itself."""
        if isinstance(function, str):
            function = vars(self.module).get(function)
        else:
            function = getattr(self.kept[function[0]], function[1], None)
        if not callable(function):
            return {"missing": True}
        arguments = [self.decode(argument, body) for argument in arguments]
        options = {name: self.decode(option, body) for name, option in options.items()}
        self.handed += [(array.tobytes(), array) for array in arguments if isinstance(array, np.ndarray)]
        returned = function(*arguments, **options)
        values = [returned]
        if results > 1:
            kind = type(returned).__name__
            if returned is None or isinstance(returned, str | bytes | dict | set) or not hasattr(returned, "__iter__"):
                return {"single": kind}
            values = list(islice(returned, results + 1))
            if len(values) != results:
                count = len(returned) if hasattr(returned, "__len__") else None
                return {"several": count or len(values)}
        changed = any(before != array.tobytes() for before, array in self.handed)
        return {"values": [self.encode(value, arrays) for value in values], "changed": changed}

    def taken(self, body, arrays, name):
        """The arguments that a function or class of the file takes."""
        found = vars(self.module).get(name)
        return {"taken": list(inspect.signature(found).parameters) if callable(found) else []}

    def look(self, body, arrays, numbers):
        """The values of earlier answers, as they are now."""
        return {"values": [self.encode(self.kept[number], arrays) for number in numbers]}

    def layer(self, body, arrays, number, fill, method=None, arguments=(), options=None):
        """Of a kept layer: write arrays into its dicts, call a method, and tell what the dicts hold then."""
        layer, answer = self.filled(number, fill, body), {"values": []}
        if method:
            answer = self.call(body, arrays, [number, method], 1, arguments, options)
        return self.with_state(layer, answer, arrays)

    def copied(self, body, arrays, number, fill, dtype):
        """A deep copy of a kept layer, which computes in the dtype, if one is given."""
        layer = self.filled(number, fill, body)
        if dtype and hasattr(layer, "astype"):
            made = copy.deepcopy(layer).astype(dtype)
        else:  # told that these copies are made already, deepcopy puts them wherever the originals are
            floats = [v for _, _, v in state(layer) if isinstance(v, np.ndarray) and v.dtype.kind == "f"]
            made = copy.deepcopy(layer, {id(value): value.astype(dtype) for value in floats} if dtype else {})
        return self.with_state(layer, {"values": [self.encode(made, arrays)]}, arrays)

    def filled(self, number, fill, body):
        for kind, name, array in fill:
            held, array = getattr(self.kept[number], kind), self.decode(array, body)
            if held[name].dtype == array.dtype:
                held[name][...] = array
            else:
                held[name] = array
        return self.kept[number]

    def with_state(self, layer, answer, arrays):
        """The answer, at the end of whose values are those of the layer's dicts."""
        held = state(layer)
        answer["state"] = [[kind, str(name)] for kind, name, _ in held]
        answer["values"] += [self.encode(value, arrays) for _, _, value in held]
        return answer

    def describe(self, body, arrays, number):
        """The arguments that the methods of a kept layer take, and which of its dicts are none."""
        methods = {name: getattr(self.kept[number], name, None) for name in ("forward", "backward")}
        taken = {name: list(inspect.signature(m).parameters) for name, m in methods.items() if callable(m)}
        odd = [kind for kind in STATE if not isinstance(getattr(self.kept[number], kind, {}), dict)]
        return {"methods": taken, "odd": odd}

    def told(self, error):
        """The exception of a student's code, with the line that it comes from, in plain data."""
        raised = {"raised": type(error).__name__[:LONGEST], "kinds": [kind.__name__ for kind in type(error).__mro__]}
        with suppress(Exception):  # its own __str__ may raise
            raised["message"] = str(error)[:LONGEST]
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == self.file]
        if frames:
            raised |= {"line": frames[-1].lineno, "code": self.lines[frames[-1].lineno - 1].strip()[:LONGEST]}
        elif isinstance(error, SyntaxError):
            raised |= {"line": error.lineno, "message": str(error.msg)}
        if isinstance(error, ImportError):
            raised["name"] = str(error.name)[:LONGEST]
        return raised


def state(layer):
    """[(kind, name, value)] of what the dicts of a layer hold."""
    dicts = [(kind, getattr(layer, kind, None)) for kind in STATE]
    return [(kind, *item) for kind, values in dicts if isinstance(values, dict) for item in values.items()]


def limit():
    """No file above FILE, and no more memory than MEMORY beyond what is in use; where the system cannot, no limit."""
    with suppress(ImportError, OSError, ValueError, TypeError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE, FILE))
        with open("/proc/self/status", encoding="utf-8") as status:
            used = int(re.search(r"^VmSize:\s*(\d+) kB", status.read(), re.MULTILINE)[1]) * 1024
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))


def main():
    requests, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # whatever the file reads, and prints, is no part of this talk
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):  # no print fails, whatever the system's encoding
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    limit()
    sys.meta_path.insert(0, NoReadyMade)
    worker = Worker(requests, answers)
    worker.send({"ready": True})
    worker.serve()
    os._exit(0)  # whatever the file has left running or registered is not waited for


if __name__ == "__main__":
    main()
