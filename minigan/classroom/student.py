"""A student's file from the judge's side: loaded and called in another process, and in what words anything that goes
wrong there is told. Whatever the file does becomes one exception, `Wrong`."""

import inspect
from dataclasses import dataclass
from functools import partial

import numpy as np

from minigan.base.errors import shorten
from minigan.classroom.isolation import Ended, Process
from minigan.classroom.worker import STATE

LONGEST = 1000  # characters of a cause


class Wrong(Exception):
    """What is wrong with a student's code. Raised within the judge, never out of it.

    where: the function or result, with the index of the entry furthest off. cause: a sentence. known: whether the
    cause is one that is recognised, so that no better guess need be looked for. got, expected: the two values of that
    entry. written: False where the function is
    still a stub.
    """

    def __init__(self, where, cause, known=True, index=None, got=None, expected=None, written=True):
        super().__init__(cause)
        cause = one_line(cause)  # it may quote what a student wrote
        self.where, self.cause, self.known, self.index = one_line(where), cause, known, index
        self.got, self.expected, self.written = got, expected, written


def one_line(text):
    """Of what a student wrote, that which a table and a terminal can take: printable, and not too long."""
    return shorten("".join(c if c.isprintable() else " " for c in text), LONGEST)


@dataclass
class Value:
    """What a function of the student returned. kept: its number in the worker. type, dtype: their names, the dtype ""
    where it cannot be an array. array: as float64, or None if it holds no numbers or too many to be sent."""

    kept: int
    type: str
    dtype: str = ""
    kind: str = ""
    shape: tuple = ()
    array: np.ndarray | None = None

    @classmethod
    def of(cls, array):
        """An array, or None, as such a value."""
        kind = "" if array is None else array.dtype.kind
        return cls(-1, type(array).__name__, str(getattr(array, "dtype", "")), kind, np.shape(array), array)


class Student:
    """The functions of a student's file, called with copies and watched. A context manager: its process ends with it.

    before_call: what to do before each call, for the test that nothing is left behind from an earlier one. strided:
    whether arrays are handed over with gaps between their numbers.
    """

    def __init__(self, source, name, seconds):
        self.process, self.before_call, self.strided = Process(seconds), None, False
        self.source, self.name = source, name

    def __enter__(self):
        try:
            self._ask("the file", {"do": "load", "file": self.name}, [self.source])
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.__exit__()

    def call(self, function, results, *arguments, **options):
        """The results of the student's function (a name, or (number of a layer, method)): [Value], as many as there
        are names in `results`. The arguments must be unchanged afterwards."""
        if self.before_call:
            self.before_call()
        name, arrays = function if isinstance(function, str) else function[1], []
        arguments = [self._encode(argument, arrays) for argument in arguments]
        options = {key: self._encode(option, arrays) for key, option in options.items()}
        request = {"do": "call", "function": function, "results": len(results), "arguments": arguments}
        return self._values(name, results, *self._ask(name, request | {"options": options}, arrays))

    def taken(self, name):
        """The names of the arguments that a function or class of the file takes."""
        return set(self._ask(name, {"do": "taken", "name": name})[0].get("taken", ()))

    def look(self, values):
        """The same values as they are now: [Value]."""
        answer = self._ask("the file", {"do": "look", "numbers": [value.kept for value in values]})
        return self._decode(*answer)

    def _values(self, name, results, answer, body):
        several = len(results)
        if answer.get("missing"):
            raise Wrong(name, "There is no such function in the file: was it renamed or removed?")
        if "single" in answer or "several" in answer:
            what = f"{answer.get('several')} values" if "several" in answer else f"a {answer['single']}"
            what = "nothing (None)" if what == "a NoneType" else what
            raise Wrong(name, f"It returns {what}, expected {several} values: {', '.join(results)}.")
        values = self._decode(answer, body)
        if answer.get("changed"):
            raise Wrong(name, "It changes its arguments in place: work on a copy (x = x + …, never x += …).")
        return values

    def _encode(self, value, arrays):
        """As worker.decode reads it. An array goes over as it is, a Value as what is kept there."""
        if isinstance(value, Value):
            return {"kept": value.kept}
        if isinstance(value, tuple):
            return {"tuple": [self._encode(item, arrays) for item in value]}
        if isinstance(value, np.random.Generator):
            return {"rng": int(value.integers(1 << 31))}
        if isinstance(value, np.ndarray):
            arrays.append(value.tobytes())
            strided = self.strided and value.ndim > 0
            return {"array": value.shape, "dtype": value.dtype.str, "strided": strided}
        return value.item() if isinstance(value, np.generic) else value

    def _ask(self, name, request, arrays=()):
        """The answer; `Wrong` where the code has raised something, or there is none."""
        try:
            answer, body = self.process.ask(request, arrays)
        except Ended as ended:
            raise Wrong(name, str(ended)) from None
        if "raised" in answer:
            raise told(name, answer)
        return answer, body

    def _decode(self, answer, body):
        """[Value]; `Wrong` where the file has put something else in the answer's place."""
        try:
            at, values = 0, []
            for told in answer["values"]:
                shape, array = tuple(map(int, told.get("shape", ()))), None
                if told.get("sent"):
                    count = int(np.prod(shape))
                    array, at = np.frombuffer(body, np.float64, count, at).reshape(shape).copy(), at + 8 * count
                texts = (str(told[key]) for key in ("type", "dtype", "kind") if key in told)
                values.append(Value(int(told["kept"]), *texts, shape=shape, array=array))
            return values
        except Exception:
            raise Wrong(
                "the file", "It has changed what it answers with: leave the files that you did not open."
            ) from None


def told(name, raised):
    """An exception of the student's code, as the worker tells it, as a `Wrong`."""
    kinds, message = set(raised.get("kinds", ())), one_line(str(raised.get("message", "")))
    code = f": {raised['code']}" if raised.get("code") else ""
    line = f" in line {raised['line']}{code}" if raised.get("line") else ""
    known = not kinds & {"ValueError", "IndexError", "TypeError"}
    if "NotImplementedError" in kinds:
        return Wrong(name, f"not written yet: {name} still raises NotImplementedError.", written=False)
    if "SyntaxError" in kinds and not code:
        return Wrong("the file", f"Python cannot read{line.removeprefix(' in') or ' it'}: {message}.")
    if name == "the file" and not line and kinds & {"ValueError", "RecursionError", "MemoryError"}:
        return Wrong(name, f"It is no Python file: its text cannot be read ({message}).")
    if "ReadyMade" in kinds:
        cause = f"It imports {raised['name']}{line}. Write it with NumPy alone."
    elif "SystemExit" in kinds:
        cause = f"It ends the program with sys.exit or quit{line}. Return the values instead."
    elif "ModuleNotFoundError" in kinds:
        cause = f"It imports {raised['name']}, which is not there{line}. A file has to work alone, with NumPy."
    elif "EOFError" in kinds:
        cause = f"It asks for input{line}. Use the arguments instead."
    elif "RecursionError" in kinds:
        cause = f"It calls itself without an end{line}."
    elif "MemoryError" in kinds:
        cause = f"It asks for more memory than it is allowed{line}. Is an array far too large?"
    else:
        misfit = "ValueError" in kinds and ("matmul" in message or "broadcast" in message)
        hint = ". The shapes do not fit: is an axis swapped, or a transpose (.T) missing?" if misfit else ""
        cause = f"It raises {raised['raised']}: {message}{line}{hint}"
    return Wrong(name, cause, known)


class RemoteLayer:
    """A layer of the student's own class, which lives in the worker, with the layer contract here: `params`, `grads`
    and `buffers` are dicts of float arrays, which go over before each call and come back after it."""

    def __init__(self, student, number, like=None):
        self.student, self.number, self.taken = student, number, like and like.taken
        self.params, self.grads, self.buffers = {}, {}, {}
        if like is None:
            described, _ = student._ask("the class", {"do": "describe", "number": number})
            for kind in described["odd"]:
                raise Wrong(kind, "It must be a dict of arrays; see the docstring of the library's.")
            self.taken = described["methods"]
        for name in ("forward", "backward"):
            if name not in self.taken:
                raise Wrong(name, "The class has no such method.")
            method = partial(self.run, name)
            method.__signature__ = inspect.Signature(
                [inspect.Parameter(a, inspect.Parameter.KEYWORD_ONLY) for a in self.taken[name]]
            )
            setattr(self, name, method)
        self._ask({"do": "layer"})

    def run(self, method, *arguments, **options):
        """The array that the method returns."""
        return as_array(self._ask({"do": "layer", "method": method, "options": options}, arguments, method)[0])

    def __deepcopy__(self, memo):
        return self.astype(None)

    def astype(self, dtype):
        """A copy that computes in the dtype."""
        copied = self._ask({"do": "copied", "dtype": dtype and np.dtype(dtype).name})
        return RemoteLayer(self.student, copied[0].kept, self)

    def _ask(self, request, arguments=(), method="the class"):
        """[Value] of the answer, after the state has gone over and come back."""
        fill, arrays = [], []
        for kind in STATE:
            for name, array in vars(self)[kind].items():
                fill.append([kind, name, self.student._encode(array, arrays)])
        request = request | {"number": self.number, "fill": fill}
        if arguments:
            request["arguments"] = [self.student._encode(argument, arrays) for argument in arguments]
        answer, body = self.student._ask(method, request, arrays)
        values = self.student._values(method, ("out",), answer, body)
        state = values[len(values) - len(answer["state"]) :]
        for (kind, name), value in zip(answer["state"], state, strict=True):
            array, mine = as_array(value), vars(self)[kind]
            if (
                isinstance(array, np.ndarray)
                and np.shape(mine.get(name)) == array.shape
                and mine[name].dtype == array.dtype
            ):
                mine[name][...] = array  # which somebody may hold
            else:
                mine[name] = array
        return values[: len(values) - len(state)]


def as_array(value):
    """A `Value` as the array that it is in the student's process, or None."""
    return value.array if value.array is None else value.array.astype(value.dtype)
