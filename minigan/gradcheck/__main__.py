"""python -m minigan.gradcheck FILE[:NAME]: grade a file with an exercise or a layer that someone wrote."""

from pathlib import Path

from minigan.base.errors import InputError
from minigan.classroom.catalogue import exercise_of, find
from minigan.classroom.grading import PASSED, grade_file
from minigan.classroom.isolation import SECONDS_FLAG
from minigan.tools import cli


def parse(argv):
    parser = cli.Parser(
        "gradcheck",
        "Judge one file: values against the library's, gradients against finite differences, in a process of its own.\n"
        "Exit status: 0 passed, 1 wrong or not written yet, 2 bad use.",
        threaded=False,
    )
    name = "a Python file; NAME is an exercise, a function of one, or a class named like a layer, such as Dense"
    guess = "the exercise that the file's name or functions say"
    parser.add_argument("file", metavar="FILE[:NAME]", help=name, by_default=guess)
    parser.add_argument("--seconds", **SECONDS_FLAG, help="time limit")
    parser.add_shared("--seed", default=None, by_default="a new one")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    path, name = _split(arguments.file)
    exercise = find(name) if name else exercise_of(path)
    verdict = grade_file(path.read_bytes(), str(path), exercise, arguments.seconds, arguments.seed)
    if verdict.printed:
        print(f"{path} printed:\n{verdict.printed.rstrip()}\n")
    print(verdict)
    return 0 if verdict.status == PASSED else 1


def _split(text):
    """FILE[:NAME] -> (path, name or ""); a colon may belong to the path."""
    path, name = Path(text), ""
    file, _, last = text.rpartition(":")
    if not path.exists() and last.isidentifier():  # else it is the colon of C:\\dense.py
        path, name = Path(file), last
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; expected a Python file, such as dense.py.")
    return path, name


if __name__ == "__main__":
    cli.main("gradcheck", run)
