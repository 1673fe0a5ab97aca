"""Whose is a file, and which exercise does it answer?

STUDENT/dense.py is what is asked for. What arrives is also `dense (1).py`, student/hw1/dense.py, Dense.py, dense.ipynb,
a zip, and Canvas's lastfirst_123_456_dense-1.py. Whatever is unambiguous is matched, the rest is listed.
"""

import re
import zipfile
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from minigan.base.errors import InputError
from minigan.classroom.catalogue import EXERCISES, defined_in
from minigan.classroom.handed_in import ARCHIVES, CODE, on_disk, one_file
from minigan.classroom.student import one_line

CANVAS = re.compile(r"(?P<student>.+?)_(?:late_)?(?P<number>\d+)_\d+_(?P<file>.+)", re.IGNORECASE | re.DOTALL)
COPY = re.compile(r"(?P<stem>.+?)(?: *\((?P<n>\d{1,9})\)|[-_ ]?(?P<m>\d{1,9})|[-_ ]+(?:copy|kopie))", re.IGNORECASE)
KNOWN = {name.replace("_", ""): name for name in EXERCISES}


@dataclass
class Answer:
    """A file that may answer an exercise. place: where it lies, in the student's folder. problem: why it cannot be
    judged, where it cannot."""

    place: str
    source: bytes | None
    problem: str = ""


@dataclass
class Student:
    """answers: of each exercise, the best first: the first that is more than a stub is to count. problem: why a file
    that could hold any exercise cannot be read, where there is one."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    problem: str = ""


@dataclass
class Submissions:
    """students: by name. matched: a sentence for each file under an unusual name. chosen: a sentence for each exercise
    with several files. unmatched: the files of students that match no exercise. strays: those of nobody."""

    students: dict[str, Student] = field(default_factory=dict)
    matched: list[str] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)


def match(name):
    """The name of a file -> (the exercise that it says, or None; its numbers as a copy, the last given first).

    `dense (1)-2.py` is the second that was handed in of what a browser had numbered 1: ("dense", (2, 1)).
    """
    canvas = CANVAS.fullmatch(name)
    name = canvas["file"] if canvas else name
    ending = next((ending for ending in CODE if name.lower().endswith(ending)), None)
    if ending is None:
        return None, ()
    stem, numbers = _without_numbers(name[: -len(ending)])
    return KNOWN.get(re.sub(r"[\W_]+", "", stem).lower()), numbers


def _without_numbers(stem):
    numbers = ()
    while copy := COPY.fullmatch(stem):
        stem, number = copy["stem"], copy["n"] or copy["m"]
        numbers += (int(number),) if number else ()
    return stem, numbers


def collect(folder):
    """The `Submissions` in a folder or a zip. InputError where there is neither."""
    path = Path(folder)
    if zipfile.is_zipfile(path):
        files = [(file.parts, file) for file in one_file(path, (path.name,))]
        inside = [(parts[1:], file) for parts, file in files if len(parts) > 1]
        if inside and not _of_one(inside):
            files = _unwrapped(inside) if len({parts[0] for parts, _ in _unwrapped(inside)}) > 1 else inside
        owned = list(_owned(files))
    elif path.is_dir():
        owned = list(_owned([(file.parts, file) for file in on_disk(path)]))
    else:
        raise InputError(f"{folder}: there is no such folder or zip; expected one that holds one folder a student.")
    found, files_of, ids = Submissions(), {}, {}
    for name, number, _, _ in owned:
        ids.setdefault(name, set()).add(number)
    for name, number, parts, file in owned:
        if name is None:
            found.strays.append(shown(file.parts))
            continue
        name = f"{name}_{number}" if number and len(ids[name] - {None}) > 1 else name  # two people of one name
        files_of.setdefault(name, []).append((parts, file))
    for name in sorted(files_of):
        found.students[name] = _student(name, files_of[name], found)
    return found


def shown(parts):
    """Names of files as a text that any table takes, also where the system's encoding is another."""
    return one_line("/".join(parts).encode("utf-8", "backslashreplace").decode())


# ---- whose


def _owned(files):
    """[(parts, File)] -> (student or None, Canvas's number of the student or None, parts below the student's, File)"""
    tops = {}
    for parts, file in files:
        tops.setdefault(parts[0], []).append((parts, file))
    places = {parts[0] for parts, _ in files if len(parts) > 1 or _is_archive(parts[0]) or CANVAS.fullmatch(parts[0])}
    for first, group in tops.items():
        below = [(parts[1:], file) for parts, file in group if len(parts) > 1]
        archive = _is_archive(first)
        canvas = CANVAS.fullmatch(first) if archive or not below else None
        if below and archive and not canvas:
            inside = _unwrapped(below)
            if len(places) == 1 and _of_class(inside):  # else a student could answer for another in it
                yield from _owned(inside)
                continue
        if canvas:
            owner = canvas["student"], canvas["number"]
        elif archive:
            owner = first.rpartition(".")[0], None
        else:
            owner = first if below else None, None
        for parts, file in group:
            yield *owner, parts[1:] or parts, file


def _unwrapped(files):
    """Without the folders that everything is in."""
    while len({parts[0] for parts, _ in files}) == 1 and any(len(parts) > 2 for parts, _ in files):
        files = [(parts[1:], file) for parts, file in files if parts[1:] not in ((), ("",))]
    return files


def _of_one(files):
    """Whether an exercise lies in the zip itself, without a folder of the student's."""
    return any(len(parts) == 1 and match(parts[0])[0] and not CANVAS.fullmatch(parts[0]) for parts, _ in files)


def _of_class(files):
    """Whether the only zip there is is a class's: it has Canvas's names, or the same exercise in several folders."""
    folders = {}
    for parts, _ in files:
        if len(parts) > 1 and match(parts[-1])[0]:
            folders.setdefault(match(parts[-1])[0], set()).add(parts[0])
    several = any(len(names) > 1 for names in folders.values())
    return not _of_one(files) and (several or any(CANVAS.fullmatch(parts[0]) for parts, _ in files))


def _is_archive(name):
    return name.lower().endswith(ARCHIVES)


# ---- which exercise


def _student(name, files, found):
    student, candidates = Student(), {}
    for parts, file in files:
        if not parts or not parts[-1]:
            if file.problem:
                student.problem = f"{shown(file.parts)} {file.problem}"
            continue
        exercise, numbers = match(parts[-1])
        zips = [part[:-4] for part in file.parts[:-1] if part.lower().endswith(".zip")]
        numbers = (*(n for stem in zips for n in _without_numbers(stem)[1]), *numbers)
        exercises = [exercise] if exercise else []
        if not exercise and file.source:
            exercises = [e.name for e in defined_in(file.source.decode("utf-8", "replace"))]
        if not exercises:
            found.unmatched.append(shown(file.parts))
            if file.problem and parts[-1].lower().endswith((*CODE, *ARCHIVES)):
                student.problem = f"{shown(file.parts)} {file.problem}"
        for each in exercises:
            rank = (bool(file.problem), not exercise, len(parts), not parts[-1].lower().endswith(CODE[:2]))
            candidates.setdefault(each, []).append((rank, numbers, parts, file))
            if parts != (f"{each}.py",):
                found.matched.append(f"{shown(file.parts)} is {each} of {shown((name,))}")
    for exercise, several in candidates.items():
        student.answers[exercise] = answers = _best_first(several)
        if len(answers) > 1:
            places = " before ".join(answer.place for answer in answers)
            found.chosen.append(f"{shown((name,))}: {places}")
    return student


def _best_first(candidates):
    """The `Answer`s in the order in which they count: a file named as the exercise before one that only defines its
    functions, one nearer to the top before one further down, Python before a notebook, then a higher number, which is
    the later download or attempt, before a lower one. Several that differ on one step are not judged."""
    answers = []
    ordered = sorted(candidates, key=lambda c: c[1], reverse=True)
    for _, group in groupby(sorted(ordered, key=lambda c: c[0]), lambda c: c[:2]):
        group = list(group)
        places, file = [shown(parts) for _, _, parts, _ in group], group[0][3]
        problem = file.problem and f"{places[0]} {file.problem}"
        if len({file.source for _, _, _, file in group}) > 1:
            problem = f"{' and '.join(places)} differ, and none is known to be newer: keep one"
        answers.append(Answer(places[0], file.source, problem))
        if problem:
            break
    return answers
