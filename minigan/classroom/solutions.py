"""The reference solutions: files made of the answer key's own source, so that they cannot drift away from it.

Each is the text of library functions, as they stand, and of the few lines that give them the exercise's signature. They
are judged like a student's file.
"""

import inspect
from pathlib import Path

from minigan.base.files import write_text
from minigan.classroom import answers
from minigan.classroom.catalogue import EXERCISES


def source(name):
    """The text of the solution file of an exercise."""
    functions = _with_helpers(map(answers.function, EXERCISES[name].functions))
    text = "\n\n\n".join(inspect.getsource(function).rstrip() for function in functions)
    errors = "".join(f"{error} = ValueError\n\n" for error in ("InputError", "RunError") if error in text)
    doc = f'"""A solution of the exercise {name}, made from the source of minigan."""'
    return f"{doc}\n\nimport numpy as np\n\n{errors}\n{text}\n"


def _with_helpers(functions):
    """The functions, each after those of the library that it calls: the keys of a dict."""
    found = {}
    for function in functions:
        called = filter(inspect.isfunction, inspect.getclosurevars(function).globals.values())
        found |= _with_helpers(called) | {function: None}
    return found


def write(folder):
    """Write the solution of every exercise into the folder, which is made if it is not there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in EXERCISES:
        write_text(folder / f"{name}.py", source(name))
