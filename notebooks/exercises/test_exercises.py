"""Judge the exercises: `pytest notebooks/exercises`, or `pytest notebooks/exercises -k dense` for one of them.

Each file is judged by itself in a process of its own. One that is not written yet fails, in a line that says so, and is
not skipped: pytest's exit status, by which classrooms give points, would call an empty file a success.
"""

from pathlib import Path

import pytest

from minigan.classroom.catalogue import EXERCISES
from minigan.classroom.grading import PASSED, grade_file

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", EXERCISES)
def test_exercise(name):
    path = HERE / f"{name}.py"
    if not path.is_file():
        pytest.fail(f"{name}: the file {path.name} is missing", pytrace=False)
    verdict = grade_file(path.read_bytes(), str(path), EXERCISES[name])
    if verdict.printed:
        print(verdict.printed)
    if verdict.status != PASSED:
        pytest.fail(str(verdict), pytrace=False)
