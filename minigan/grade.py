"""python -m minigan.grade FOLDER: judge the files of a class, a folder a student, into a table."""

import csv
import io
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tqdm import tqdm

from minigan import cli
from minigan.classroom import solutions
from minigan.classroom.catalogue import EXERCISES
from minigan.classroom.isolation import SECONDS, judge_apart
from minigan.classroom.judge import FAILED, NOT_WRITTEN, PASSED
from minigan.errors import InputError
from minigan.files import write_text
from minigan.gradcheck.__main__ import check_seconds
from minigan.kernels import threads

MISSING = "missing"


def parse(argv):
    parser = cli.Parser(
        "grade",
        "Judge FOLDER/STUDENT/dense.py and so on, each in a process of its own, and write a table: a row a student, a\n"
        "column an exercise (passed, failed with the hint, not written, missing), and how many passed.",
        threaded=False,
    )
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help="holds one folder a student")
    parser.add_argument("--out", default="grades.csv", metavar="FILE", help="the table (default: grades.csv)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, metavar="X", help=f"time limit a file (default: {SECONDS:g})"
    )
    parser.add_argument("--solutions", metavar="FOLDER", help="instead of judging, write the reference solutions there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar (default: shown)")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    if arguments.solutions:
        solutions.write(arguments.solutions)
        print(f"{len(EXERCISES)} solutions in {arguments.solutions}; keep them out of what students get")
        return 0
    check_seconds(arguments.seconds)
    if not Path(arguments.out).parent.is_dir():
        raise InputError(f"--out: there is no folder {Path(arguments.out).parent}; make it first.")
    students = _students(arguments.folder)
    rows = _grade(students, arguments.seconds, arguments.quiet)
    write_text(arguments.out, "\ufeff" + _table(rows))  # the mark without which Excel takes UTF-8 for something else
    print(_summary(rows))
    print(f"done: {len(rows)} students, {len(EXERCISES)} exercises in {arguments.out}")
    return 0


def _students(folder):
    if folder is None:
        raise InputError("a FOLDER is missing, which holds one folder a student.")
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: there is no such folder; expected one that holds one folder a student.")
    students = sorted(path for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith((".", "_")))
    if not students:
        raise InputError(f"{folder} holds no folders; expected one for each student, with files such as dense.py.")
    return students


def _grade(students, seconds, quiet):
    """{student: {exercise: sentence}}, as many files at a time as there are cores for it."""
    tasks = [(student, exercise) for student in students for exercise in EXERCISES.values()]
    rows = {student.name: {} for student in students}
    interval = 0.5 if sys.stderr.isatty() else 15
    pool = ThreadPoolExecutor(threads.get_threads())
    try:
        marks = pool.map(partial(_mark, seconds=seconds), tasks)
        bar = tqdm(marks, "judging", len(tasks), mininterval=interval, disable=quiet)
        for (student, exercise), mark in zip(tasks, bar, strict=True):
            rows[student.name][exercise.name] = mark
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C only what has begun is waited for
    return rows


def _mark(task, seconds):
    student, exercise = task
    path = student / f"{exercise.name}.py"
    if not path.is_file():
        return MISSING
    verdict = judge_apart(path, exercise, seconds)
    return f"{FAILED}: {verdict.hint}" if verdict.status == FAILED else verdict.status


def _table(rows):
    """The CSV. A cell never begins with a sign that a spreadsheet takes for a formula, except for a student's name,
    which is given a leading quote then."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["student", *EXERCISES, PASSED])
    for student, marks in rows.items():
        safe = f"'{student}" if student.startswith(("=", "+", "-", "@")) else student
        writer.writerow([safe, *marks.values(), sum(mark == PASSED for mark in marks.values())])
    return text.getvalue()


def _summary(rows):
    """A line an exercise: how many passed, failed, have not written it, have no file."""
    lines = [("exercise", PASSED, FAILED, NOT_WRITTEN, MISSING)]
    for name in EXERCISES:
        marks = [row[name].partition(":")[0] for row in rows.values()]
        lines.append((name, *(str(marks.count(kind)) for kind in (PASSED, FAILED, NOT_WRITTEN, MISSING))))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


if __name__ == "__main__":
    cli.main("grade", run)
