"""python -m minigan.grade FOLDER: grade the files of a class, a folder a student, into a table."""

import codecs
import csv
import io
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from tqdm import tqdm

from minigan.base.errors import InputError
from minigan.classroom import isolation, solutions, submissions
from minigan.classroom.catalogue import EXERCISES
from minigan.classroom.grading import FAILED, NOT_WRITTEN, PASSED, grade_file, new_seed
from minigan.classroom.isolation import SECONDS_FLAG
from minigan.classroom.student import one_line
from minigan.kernels.parallel import threads
from minigan.tools import cli
from minigan.tools.tables import text_table

MISSING = "missing"
NOT_JUDGED = "not judged"  # by no fault of the code: no grade, and never the same as missing or failed
LISTED = 20  # files, of those that a line names
JUDGING, SOLUTIONS = ("judging",), "--solutions"  # ways of running


def parse(argv):
    parser = cli.Parser(
        "grade",
        "Judge FOLDER/STUDENT/dense.py and so on, each in a process of its own, and write a table: a row a student, a\n"
        "column an exercise (passed, failed with the hint, not written, missing, not judged with the reason), and how\n"
        "many passed. Copies such as 'dense (1).py', notebooks, zips, deeper folders, Canvas's names are matched too.",
        threaded=False,
    )
    folder = "holds one folder or zip a student; or a zip of it"
    parser.add_argument("folder", nargs="?", metavar="FOLDER", only=JUDGING, help=folder)
    parser.add_argument("--out", default="grades.csv", metavar="FILE", only=JUDGING, help="the table")
    parser.add_argument("--seconds", **SECONDS_FLAG, only=JUDGING, help="time limit a file")
    parser.add_shared("--seed", default=None, by_default="a new one", only=JUDGING)
    parser.add_argument("--solutions", metavar="FOLDER", help="instead of judging, write the reference solutions there")
    parser.add_shared("--quiet")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    cli.check_ways(arguments, SOLUTIONS if arguments.solutions else JUDGING[0])
    if arguments.solutions:
        solutions.write(arguments.solutions)
        print(f"{len(EXERCISES)} solutions in {arguments.solutions}; keep them out of what students get")
        return 0
    if not Path(arguments.out).parent.is_dir():
        raise InputError(f"--out: there is no folder {Path(arguments.out).parent}; make it first.")
    if arguments.folder is None:
        raise InputError("a FOLDER is missing, which holds one folder a student.")
    found = submissions.collect(arguments.folder)
    strays = _listed(found.strays, "file belongs to no student", "files belong to no student")
    if not found.students:
        expected = "expected one for each student, with files such as dense.py"
        raise InputError(f"{arguments.folder} holds no folders; {'; '.join([expected, *strays])}.")
    several = "several files, of which the first that is written counts"
    for line in (
        *_listed(found.matched, "file has another name than asked for", "files have other names than asked for"),
        *_listed(found.chosen, f"exercise has {several}", f"exercises have {several}"),
    ):
        print(line, file=sys.stderr)
    seed = new_seed() if arguments.seed is None else arguments.seed
    print(f"every file is tried on the numbers of --seed {seed}", file=sys.stderr)
    rows = _grade(found.students, arguments.out, arguments.seconds, seed, arguments.quiet)
    print(_summary(rows))
    for line in _listed(found.unmatched, "file matches no exercise", "files match no exercise") + strays:
        print(line)
    print(f"done: {len(rows)} students, {len(EXERCISES)} exercises in {arguments.out}")
    return 0


def _listed(places, one, many):
    """["3 files match no exercise: …"], or [] where there are none."""
    more = f", and {len(places) - LISTED} more" if len(places) > LISTED else ""
    return [f"{len(places)} {one if len(places) == 1 else many}: {', '.join(places[:LISTED])}{more}"] if places else []


def _grade(students, out, seconds, seed, quiet):
    """{student: {exercise: sentence}}, as many files at a time as there are cores for it. Each row is in the table once
    it is complete."""
    tasks = [(student, exercise) for student in students.values() for exercise in EXERCISES.values()]
    rows, row = {}, {}
    names = iter(students)
    pool = ThreadPoolExecutor(threads.get_threads())
    with _Table(Path(out)) as table:
        table.add(["student", *EXERCISES, PASSED])
        try:
            marks = pool.map(partial(_mark, seconds=seconds, seed=seed), tasks)
            with tqdm(marks, "judging", len(tasks), mininterval=cli.interval(), disable=quiet) as bar:
                for (_, exercise), mark in zip(tasks, bar, strict=True):
                    row[exercise.name] = mark
                    if len(row) == len(EXERCISES):
                        name = next(names)
                        rows[name], row = row, {}
                        table.add([_cell(name), *rows[name].values(), list(rows[name].values()).count(PASSED)])
        except KeyboardInterrupt:
            print(f"{len(rows)} of {len(students)} students are graded, in {out}.", file=sys.stderr)
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            isolation.stop()  # after Ctrl-C nobody waits for what has begun
    return rows


def _mark(task, seconds, seed):
    student, exercise = task
    answers = student.answers.get(exercise.name, [])
    mark = f"{NOT_JUDGED}: {student.problem}" if student.problem else MISSING
    for answer in answers:
        mark = f"{NOT_JUDGED}: {answer.problem}" if answer.problem else _judged(answer.source, exercise, seconds, seed)
        if mark != NOT_WRITTEN:
            break
    return mark


def _judged(source, exercise, seconds, seed):
    try:
        verdict = grade_file(source, f"{exercise.name}.py", exercise, seconds, seed)
    except Exception as error:  # whatever it is, the others are to get their grades
        return f"{NOT_JUDGED}: {one_line(f'{type(error).__name__}: {error}')}"
    return f"{FAILED}: {one_line(verdict.hint)}" if verdict.status == FAILED else verdict.status


class _Table:
    """The CSV, as UTF-8 with the mark by which Excel knows it. What has no room on the disk at the moment, perhaps
    because a student's file fills it, is written with a later row, at the end or never: then OSError."""

    def __init__(self, path):
        if path.is_file():
            old = path.with_suffix(f".old{path.suffix}")
            os.replace(path, old)
            print(f"the table that was in {path} is {old} now", file=sys.stderr)
        self.file = open(path, "wb", buffering=0)  # noqa: SIM115 - open as long as there are rows
        self.pending = codecs.BOM_UTF8

    def __enter__(self):
        return self

    def add(self, cells):
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        self.pending += text.getvalue().encode()
        with suppress(OSError):
            self._write()

    def _write(self):
        while self.pending:
            self.pending = self.pending[self.file.write(self.pending) :]

    def __exit__(self, *_):
        with self.file:
            self._write()
            with suppress(OSError):  # not everything that can be written to is a file
                os.fsync(self.file.fileno())


def _cell(name):
    """A student's name as a cell, which never begins with a sign that a spreadsheet takes for a formula."""
    name = submissions.shown((name,))
    return f"'{name}" if name.startswith(("=", "+", "-", "@")) else name


def _summary(rows):
    """A line an exercise: how many passed, failed, have not written it, have no file, could not be judged."""
    counts = {name: Counter(row[name].partition(":")[0] for row in rows.values()) for name in EXERCISES}
    kinds = [PASSED, FAILED, NOT_WRITTEN, MISSING]
    kinds += [NOT_JUDGED] if any(NOT_JUDGED in count for count in counts.values()) else []
    rows = [[name, *(count[kind] for kind in kinds)] for name, count in counts.items()]
    return text_table([["exercise", *kinds], *rows], "<")


if __name__ == "__main__":
    cli.main("grade", run)
