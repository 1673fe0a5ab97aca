"""From a student's file to a verdict, in this very process: an endless loop in the file does not end here."""

from dataclasses import dataclass

from minigan.classroom.student import Student, Wrong

PASSED, FAILED, NOT_WRITTEN = "passed", "failed", "not written"


@dataclass
class Verdict:
    """What is to be said of a file.

    status: PASSED, FAILED or NOT_WRITTEN. where: the function or the result that is wrong. index, got, expected: the
    entry furthest off and its two values; numeric: the expected one is by finite differences. cause: a sentence.
    reread: the notebook to look at again. printed: what the file itself printed.
    """

    exercise: str
    status: str
    where: str = ""
    cause: str = ""
    index: list[int] | None = None
    got: float | None = None
    expected: float | None = None
    numeric: bool = False
    reread: str = ""
    printed: str = ""

    def __str__(self):
        if self.status == PASSED:
            return f"{self.exercise}: passed"
        if self.status == NOT_WRITTEN:
            return f"{self.exercise}: {self.cause} ({self.reread})"
        return f"{self.exercise}: WRONG. {self.hint} Reread {self.reread}."

    @property
    def hint(self):
        """Where, which values, why: one line."""
        if self.expected is None:
            return f"{self.where}: {self.cause}"
        index = str(self.index) if self.index else ""
        values = ("analytic", "numeric") if self.numeric else ("got", "expected")
        digits = 8 if f"{self.got:.8g}" != f"{self.expected:.8g}" else 16
        numbers = f"{values[0]} {self.got:.{digits}g}, {values[1]} {self.expected:.{digits}g}"
        return f"{self.where}{index}: {numbers}. {self.cause}"


def grade_file(path, exercise):
    """The `Verdict` on the file as an answer to the exercise. Raises nothing for whatever the file does."""
    try:
        exercise.check(Student(path))
    except Wrong as wrong:
        status = FAILED if wrong.written else NOT_WRITTEN
        found = (wrong.where, wrong.cause, wrong.index, wrong.got, wrong.expected, wrong.numeric)
        return Verdict(exercise.name, status, *found, reread=exercise.reread)
    return Verdict(exercise.name, PASSED, reread=exercise.reread)
