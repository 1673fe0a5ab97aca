"""A student's file: how it is loaded and called, and in what words anything that goes wrong is told.

Whatever the code does (raise, exit, return nonsense, change what it was given) becomes one exception, `Wrong`.
"""

import ast
import sys
import tokenize
import traceback
from pathlib import Path
from types import ModuleType

import numpy as np

from minigan.base.errors import shorten

READY_MADE = {"minigan", "torch", "tensorflow", "jax", "keras", "scipy", "sklearn", "autograd"}
LONGEST_CALL = 300  # characters of an exception's message that are worth repeating
LONGEST_CAUSE = 1000


class Wrong(Exception):
    """What is wrong with a student's code. Raised within the judge, never out of it.

    where: the function or result, with the index of the entry furthest off. cause: a sentence. known: whether the
    cause is one that is recognised, so that no better guess need be looked for. got, expected: the two values of that
    entry. numeric: whether the expected value comes from finite differences. written: False where the function is
    still a stub.
    """

    def __init__(self, where, cause, known=True, index=None, got=None, expected=None, numeric=False, written=True):
        super().__init__(cause)
        cause = shorten(cause, LONGEST_CAUSE)  # it may quote what a student wrote
        self.where, self.cause, self.known, self.index = where, cause, known, index
        self.got, self.expected, self.numeric, self.written = got, expected, numeric, written


class Student:
    """The functions of a student's file, called with copies and watched.

    handed: every array that a function was given, with a copy, since the cache may still hold it. before_call: what to
    do before each call, for the test that nothing is left behind from an earlier one.
    """

    def __init__(self, path):
        self.path, self.before_call, self.handed = Path(path), None, []
        self.functions = vars(self._run(self._read()))

    def _read(self):
        try:
            with tokenize.open(self.path) as file:  # as Python does: UTF-8 with or without a mark, or what line 1 says
                source = file.read()
            tree = ast.parse(source)
        except SyntaxError as error:
            line = f"line {error.lineno}" if error.lineno else "it"
            raise Wrong("the file", f"Python cannot read {line}: {error.msg}.") from None
        except (ValueError, RecursionError, MemoryError):
            raise Wrong("the file", "It is no Python file: its text cannot be read.") from None
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                if name.split(".")[0] in READY_MADE:
                    raise Wrong("the file", f"Line {node.lineno} imports {name}: write it with NumPy alone.")
        return source

    def _run(self, source):
        module = ModuleType(self.path.stem)
        module.__file__ = str(self.path)
        sys.modules[module.__name__] = module  # dataclasses and the like look there
        try:
            exec(compile(source, str(self.path), "exec"), vars(module))
        except BaseException as error:
            raise self._told("the file", error) from None
        finally:
            del sys.modules[module.__name__]
        return module

    def call(self, name, results, *arguments, **options):
        """The results of the student's function `name`: one value for one name in `results`, else a tuple of as many.

        The arguments are handed over as they are, and must be unchanged afterwards.
        """
        if self.before_call:
            self.before_call()
        function = self.functions.get(name)
        if not callable(function):
            raise Wrong(name, "There is no such function in the file: was it renamed or removed?")
        self.handed += [(array.copy(), array) for array in arguments if isinstance(array, np.ndarray)]
        try:
            with np.errstate(all="ignore"):
                returned = function(*arguments, **options)
        except BaseException as error:
            raise self._told(name, error) from None
        if not all(unchanged(before, array) for before, array in self.handed):
            raise Wrong(name, "It changes its arguments in place: work on a copy (x = x + …, never x += …).")
        if len(results) == 1:
            return returned
        if not isinstance(returned, tuple | list) or len(returned) != len(results):
            what = f"{len(returned)} values" if isinstance(returned, tuple | list) else f"a {type(returned).__name__}"
            what = "nothing (None)" if returned is None else what
            raise Wrong(name, f"It returns {what}, expected {len(results)} values: {', '.join(results)}.")
        return returned

    def _told(self, name, error):
        """The exception of a student's code as a `Wrong`, with the line where it came from."""
        if isinstance(error, NotImplementedError):
            return Wrong(name, f"not written yet: {name} still raises NotImplementedError.", written=False)
        lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.path)]
        line = f" in line {lines[-1].lineno}: {lines[-1].line}" if lines else ""
        if isinstance(error, SystemExit):
            cause = f"It ends the program with sys.exit or quit{line}. Return the values instead."
        elif isinstance(error, ModuleNotFoundError):
            cause = f"It imports {error.name}, which is not there{line}. A file has to work alone, with NumPy."
        elif isinstance(error, EOFError):
            cause = f"It asks for input{line}. Use the arguments instead."
        elif isinstance(error, RecursionError):
            cause = f"It calls itself without an end{line}."
        elif isinstance(error, MemoryError):
            cause = f"It asks for more memory than it is allowed{line}. Is an array far too large?"
        else:
            message = str(error).replace("\n", " ")[:LONGEST_CALL]
            misfit = isinstance(error, ValueError) and ("matmul" in message or "broadcast" in message)
            hint = ". The shapes do not fit: is an axis swapped, or a transpose (.T) missing?" if misfit else ""
            cause = f"It raises {type(error).__name__}: {message}{line}{hint}"
        return Wrong(name, cause, known=not isinstance(error, ValueError | IndexError | TypeError))


def unchanged(before, now):
    """Whether two arrays are the same to the last bit, NaN included."""
    return before.shape == now.shape and before.tobytes() == now.tobytes()
