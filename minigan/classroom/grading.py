"""From a student's file to a verdict."""

import secrets
from dataclasses import dataclass

from minigan.classroom.isolation import SECONDS
from minigan.classroom.student import Student, Wrong

SEEDS = 10**9
PASSED, FAILED, NOT_WRITTEN = "passed", "failed", "not written"


@dataclass
class Verdict:
    """What is to be said of a file.

    status: PASSED, FAILED or NOT_WRITTEN. where: the function or the result that is wrong. index, got, expected: the
    entry furthest off and its two values. cause: a sentence. reread: the notebook to look at again. seed: the numbers
    that it was tried on are drawn from that. printed: what the file itself printed.
    """

    exercise: str
    status: str
    where: str = ""
    cause: str = ""
    index: list[int] | None = None
    got: float | None = None
    expected: float | None = None
    reread: str = ""
    seed: int = 0
    printed: str = ""

    def __str__(self):
        if self.status == PASSED:
            return f"{self.exercise}: passed"
        if self.status == NOT_WRITTEN:
            return f"{self.exercise}: {self.cause} ({self.reread})"
        return f"{self.exercise}: WRONG. {self.hint} Reread {self.reread}. (seed {self.seed})"

    @property
    def hint(self):
        """Where, which values, why: one line."""
        if self.expected is None:
            return f"{self.where}: {self.cause}"
        index = str(self.index) if self.index else ""
        digits = 8 if f"{self.got:.8g}" != f"{self.expected:.8g}" else 16
        numbers = f"got {self.got:.{digits}g}, expected {self.expected:.{digits}g}"
        return f"{self.where}{index}: {numbers}. {self.cause}"


def new_seed():
    """Numbers that nobody can know beforehand."""
    return secrets.randbelow(SEEDS)


def grade_file(source, name, exercise, seconds=SECONDS, seed=None):
    """The `Verdict` on a file (its bytes and its name) as an answer to the exercise, on numbers drawn from the seed, or
    from a new one. Raises nothing for whatever the file does, OSError where no process can be started."""
    seed, students = new_seed() if seed is None else seed, []

    def start():
        students.append(Student(source, name, seconds))
        return students[-1]

    try:
        exercise.check(start, seed)
        found = (PASSED,)
    except Wrong as wrong:
        status = FAILED if wrong.written else NOT_WRITTEN
        found = (status, wrong.where, wrong.cause, wrong.index, wrong.got, wrong.expected)
    printed = students[0].process.printed() if students else ""
    return Verdict(exercise.name, *found, reread=exercise.reread, seed=seed, printed=printed)
