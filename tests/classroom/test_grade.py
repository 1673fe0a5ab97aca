"""The judge in a process of its own, and the commands that use it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from minigan import grade
from minigan.base.processes import environment
from minigan.classroom import isolation, solutions
from minigan.classroom.catalogue import EXERCISES
from minigan.classroom.grading import FAILED, PASSED, Verdict, grade_file
from minigan.gradcheck import __main__ as gradcheck
from minigan.tools import cli

ROOT = Path(__file__).parents[2]
WHOLE = solutions.source("dense")


def in_forward(line):
    return WHOLE.replace("    return x @ weight + bias", f"    {line}\n    return x @ weight + bias")


@pytest.fixture(params=["walls", "no walls"])
def apart(request, monkeypatch):
    if request.param == "no walls":
        monkeypatch.setattr(isolation, "walls", lambda: False)
    elif not isolation.walls():
        pytest.skip("this system has no user namespaces for us")

    def graded(text, seconds=isolation.SECONDS):
        return grade_file(text.encode(), "dense.py", EXERCISES["dense"], seconds)

    return graded


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        (in_forward("import os; os._exit(0)"), "ended Python itself, with status 0"),
        (in_forward("import os; os.kill(os.getpid(), 9)"), "ended Python itself (SIGKILL)"),
        (in_forward("import os; os.kill(os.getpid(), 35)"), "ended Python itself (signal 35)"),  # which has no name
        (
            in_forward("import sys; sys.stdout.buffer.write(b'\\xff\\xfe'); raise ValueError('\\ud800\\r\\x1b')"),
            "ValueError",
        ),
        (in_forward("raise ValueError('x' * 10**6)"), "raises ValueError: xxx"),
        (f"import {'m' * 10**6}", "imports mmm"),
        (in_forward("open('a', 'wb').write(bytes(10**8))"), "File too large in line"),
        (in_forward("sum(range(10**9), [0] * 10**12)"), "more memory than it is allowed in line"),
        (in_forward("np.ones((10**5, 10**5))"), "more memory than it is allowed in line"),
        (in_forward("open('left_behind.txt', 'w').write('x'); input()"), "asks for input in line"),
    ],
)
def test_what_would_end_the_judge_is_told(apart, text, hint, tmp_path):
    verdict = apart(text)
    assert verdict.status == FAILED
    assert hint in verdict.hint, verdict
    assert verdict.hint.isprintable()
    assert len(verdict.hint) < 2000
    assert list(tmp_path.iterdir()) == []


def test_a_loop_without_end_is_stopped_with_all_that_it_started(apart, tmp_path):
    mark = tmp_path / "mark"
    child = f"import time\nfor _ in range(400): time.sleep(0.05); open({str(mark)!r}, 'a').write('x')"
    line = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    endless = "while True: print('a line that is printed again and again')"
    verdict = apart(in_forward(f"{line}\n    {endless}"), seconds=5)
    assert "stopped after 5 s: is there a loop without an end?" in verdict.hint
    assert verdict.printed.startswith("a line that is printed")
    assert len(verdict.printed) <= isolation.KEPT
    size = mark.stat().st_size if mark.exists() else 0
    time.sleep(0.3)
    assert (mark.stat().st_size if mark.exists() else 0) == size


def test_a_process_that_slips_away_keeps_nobody_waiting(apart, tmp_path):
    """One in a session of its own is not ended with the rest, and still holds the pipe that prints go to."""
    release, ended = tmp_path / "release", tmp_path / "ended"
    child = f"""
import os, time
for _ in range(600):
    if os.path.exists({str(release)!r}): break
    time.sleep(0.05)
open({str(ended)!r}, "w")
"""
    start = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n"
    try:
        assert apart(start + WHOLE).status == PASSED
        assert not ended.exists()
    finally:
        release.touch()


def test_a_file_that_signals_its_parent_does_not_end_the_judge(tmp_path):
    (tmp_path / "dense.py").write_text(in_forward("import os; os.kill(os.getppid(), 2); os.kill(os.getppid(), 15)"))
    command = [sys.executable, "-m", "minigan.gradcheck", "dense.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "dense: passed\n", "")


@pytest.mark.parametrize("line", ["sys.stdout.close()", "sys.stdout = None", "os.closerange(0, 3)"])
def test_what_a_right_file_closes_is_not_missed(apart, line):
    verdict = apart(f"import os, sys\n{line}\n{WHOLE}")
    assert (verdict.status, verdict.printed) == (PASSED, "")


@pytest.mark.skipif(os.name != "posix", reason="needs fork and rm")
def test_a_copy_of_the_process_answers_for_nothing_and_deep_folders_go_away(apart, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    nested = "import os\nos.fork()\nfor _ in range(1100):\n    os.makedirs('a', exist_ok=True)\n    os.chdir('a')\n"
    verdict = apart(nested + WHOLE)
    left = {path.name for path in tmp_path.iterdir()} - {"dense.py"}
    subprocess.run(["rm", "-rf", *left], cwd=tmp_path)  # or pytest would stumble over it
    assert (verdict.status, left) == (PASSED, set())


def test_what_a_right_file_prints_is_kept_and_changes_nothing(apart, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    verdict = apart("import atexit\natexit.register(lambda: 1 / 0)\n" + in_forward("print('βₜ\\ud800', x.ndim)"))
    assert verdict.status == PASSED
    assert verdict.printed.startswith("βₜ\\ud800 2\n")


# ---- the commands


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def called(command, *words):
        with pytest.raises(SystemExit) as stop:
            cli.main(command, {"gradcheck": gradcheck.run, "grade": grade.run}[command], [str(word) for word in words])
        return stop.value.code, *capsys.readouterr()

    return called


def test_gradcheck_judges_a_file(call, tmp_path):
    (tmp_path / "dense.py").write_text(WHOLE)
    assert call("gradcheck", "dense.py") == (0, "dense: passed\n", "")
    (tmp_path / "mine.py").write_text("print('seen')\n" + WHOLE.replace("x.T @ grad_output", "-x.T @ grad_output"))
    status, out, err = call("gradcheck", "mine.py:dense_backward")
    assert (status, err) == (1, "")
    assert out.startswith("mine.py printed:\nseen\n\ndense: WRONG. grad_weight[")
    assert "Equal up to the sign" in out
    shutil.copy(ROOT / "notebooks" / "exercises" / "adam.py", tmp_path / "later.py")
    status, out, _ = call("gradcheck", "later.py")  # known by the function that it defines
    assert (status, out.startswith("adam: not written yet")) == (1, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "required: FILE[:NAME]"),
        (["nothing.py"], "nothing.py: there is no such file"),
        (["."], "there is no such file"),
        (["empty.py"], "write empty.py:NAME with the exercise or layer that it is, one of dense,"),
        (["empty.py:dens"], "there is no exercise 'dens'"),
        (["empty.py:dense", "--seconds", "0"], "--seconds is 0.0"),
        (["empty.py:dense", "--threads", "1"], "unrecognized arguments"),
    ],
)
def test_bad_use_of_gradcheck(call, tmp_path, words, expected):
    (tmp_path / "empty.py").touch()
    status, out, err = call("gradcheck", *words)
    assert (status, out) == (2, "")
    assert err.startswith("python -m minigan.gradcheck: ")
    assert expected in err
    assert err.count("\n") == 1


def test_both_names_of_the_command(tmp_path):
    (tmp_path / "dense.py").write_text(WHOLE)
    for words in (["minigan.gradcheck"], ["minigan", "gradcheck"]):
        command = [sys.executable, "-m", *words, "dense.py"]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "dense: passed\n", "")


def table(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def test_a_class_is_graded(call, tmp_path):
    for student, files in {
        "anna": {"dense": WHOLE, "leaky_relu": solutions.source("leaky_relu"), "notes": "1 / 0"},
        "Ben, jr": {"dense": WHOLE.replace("+ bias", "- bias"), "adam": "import sys; sys.exit(0)"},
        "=cmd": {"dense": (ROOT / "notebooks" / "exercises" / "dense.py").read_text()},
        "nobody": {},
        ".git": {"dense": WHOLE},
    }.items():
        (tmp_path / "class" / student).mkdir(parents=True)
        for name, text in files.items():
            (tmp_path / "class" / student / f"{name}.py").write_text(text)
    (tmp_path / "class" / "nobody" / "adam.py").mkdir()
    (tmp_path / "class" / "read me.txt").touch()
    before = sorted((tmp_path / "class").rglob("*"))
    status, out, err = call("grade", "class", "--out", "marks.csv", "--quiet")
    assert status == 0
    assert re.fullmatch(r"every file is tried on the numbers of --seed \d+\n", err)
    assert sorted((tmp_path / "class").rglob("*")) == before
    rows = table("marks.csv")
    assert list(rows) == ["'=cmd", "Ben, jr", "anna", "nobody"]
    assert list(rows["anna"]) == ["student", *EXERCISES, "passed"]
    assert (rows["anna"]["dense"], rows["anna"]["leaky_relu"], rows["anna"]["passed"]) == ("passed", "passed", "2")
    assert rows["Ben, jr"]["dense"].startswith("failed: out[")
    assert "The bias has the wrong sign." in rows["Ben, jr"]["dense"]
    assert rows["Ben, jr"]["adam"].startswith("failed: the file: It ends the program with sys.exit")
    assert (rows["'=cmd"]["dense"], rows["'=cmd"]["adam"]) == ("not written", "missing")
    assert set(list(rows["nobody"].values())[1:-1]) == {"missing"}
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["exercise", "passed", "failed", "not", "written", "missing"]
    assert ["dense", "1", "1", "1", "1"] in lines
    assert ["adam", "0", "1", "0", "3"] in lines
    assert "4 students, 15 exercises in marks.csv" in out


@pytest.fixture
def two(monkeypatch):
    """Two exercises only: each costs a process."""
    kept = {name: EXERCISES[name] for name in ("dense", "leaky_relu")}
    monkeypatch.setattr(grade, "EXERCISES", kept)
    return kept


def test_no_name_is_a_silent_zero(call, tmp_path, two):
    cells = [{"cell_type": "code", "source": f"%matplotlib inline\n{WHOLE}"}]
    stub = (ROOT / "notebooks" / "exercises" / "dense.py").read_text()
    for path, text in {
        "anna/dense (1).py": WHOLE,
        "ben/hw1/Dense.py": WHOLE.replace("+ bias", "- bias"),
        "ben/hw1/notes.py": "",
        "cy/dense.ipynb": json.dumps({"cells": cells}),
        "dora/dense.py": WHOLE,
        "dora/dense (1).py": stub,  # downloaded again, by mistake
        "emil/a/dense.py": WHOLE,
        "emil/b/dense.py": stub,
        "lastfirst_123_456_dense-1.py": WHOLE,
        "README.txt": "",
    }.items():
        (tmp_path / "class" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "class" / path).write_text(text, encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "class" / "fay.zip", "w") as archive:
        archive.writestr("fay/dense.py", WHOLE)
    (tmp_path / "class" / "gus.rar").write_bytes(b"Rar!")
    status, out, err = call("grade", "class", "--quiet", "--seed", "5")
    assert status == 0
    marks = {name: row["dense"].partition(".")[0] for name, row in table("grades.csv").items()}
    assert marks.pop("ben").startswith("failed: out[")
    assert marks == {
        "anna": "passed",
        "cy": "passed",
        "dora": "passed",
        "emil": "not judged: a/dense",
        "fay": "passed",
        "gus": "not judged: gus",
        "lastfirst": "passed",
    }
    assert {row["leaky_relu"].partition(":")[0] for row in table("grades.csv").values()} == {"missing", "not judged"}
    assert "dense       5       1       0            0        2" in out
    assert "2 files match no exercise: ben/hw1/notes.py, gus.rar\n1 file belongs to no student: README.txt\n" in out
    assert err.splitlines() == [
        "8 files have other names than asked for: anna/dense (1).py is dense of anna, ben/hw1/Dense.py is dense of "
        "ben, cy/dense.ipynb is dense of cy, dora/dense (1).py is dense of dora, emil/a/dense.py is dense of emil, "
        "emil/b/dense.py is dense of emil, fay.zip/fay/dense.py is dense of fay, lastfirst_123_456_dense-1.py is "
        "dense of lastfirst",
        "1 exercise has several files, of which the first that is written counts: dora: dense (1).py before dense.py",
        "every file is tried on the numbers of --seed 5",
    ]


def test_what_one_file_does_to_the_judge_costs_no_other_its_grade(call, tmp_path, monkeypatch, two):
    """Whatever goes wrong in this process has a cell of its own."""
    for student in ("anna", "ben", "cy"):
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "dense.py").write_text(f"# {student}")

    def graded(source, name, exercise, *_):
        if source == b"# ben":
            raise ValueError("35 is not a \ud800 valid Signals")
        return Verdict(exercise.name, PASSED)

    monkeypatch.setattr(grade, "grade_file", graded)
    assert call("grade", "class", "--quiet")[0] == 0
    assert [row["dense"] for row in table("grades.csv").values()] == [
        "passed",
        "not judged: ValueError: 35 is not a valid Signals",
        "passed",
    ]


def test_an_interrupted_class_keeps_the_rows_that_are_done(tmp_path):
    """Ctrl-C, at once although the second student's file would run for long; the table of before is kept as well."""
    for student, text in {"anna": WHOLE, "ben": "import time; time.sleep(100)", "cy": WHOLE}.items():
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "dense.py").write_text(text)
    (tmp_path / "grades.csv").write_text("of last week")
    command = [sys.executable, "-m", "minigan.grade", "class", "--quiet", "--seconds", "100", "--seed", "5"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 30
    while "anna" not in (tmp_path / "grades.csv").read_text(encoding="utf-8-sig") and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert [row["dense"] for row in table(tmp_path / "grades.csv").values()] == ["passed"]
    assert err.splitlines() == [
        "every file is tried on the numbers of --seed 5",
        "the table that was in grades.csv is grades.old.csv now",
        "1 of 3 students are graded, in grades.csv.",
        "python -m minigan.grade: interrupted; what was saved before is still there.",
    ]
    assert (tmp_path / "grades.old.csv").read_text() == "of last week"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is full")
def test_the_table_is_one_for_excel_and_waits_for_room(tmp_path, call):
    """A row that finds no room, since some file fills the disk, comes with the next one."""
    names, lines = ["Zoë", "Łukasz", "王"], []
    with grade._Table(tmp_path / "grades.csv") as grades, open("/dev/full", "wb", buffering=0) as full:
        room = grades.file
        for name in names:
            grades.file = full if name == names[1] else room
            grades.add([name, "passed"])
            lines.append((tmp_path / "grades.csv").read_bytes().count(b"\n"))
    assert lines == [1, 1, 3]
    assert (tmp_path / "grades.csv").read_text() == "\ufeff" + "".join(f"{name},passed\n" for name in names)
    (tmp_path / "class" / "anna").mkdir(parents=True)
    status, _, err = call("grade", "class", "--quiet", "--out", "/dev/full")
    assert (status, "No space left on device" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "a FOLDER is missing"),
        (["nothing"], "nothing: there is no such folder"),
        (["."], "holds no folders"),
        (["/dev/null"], "no such folder or zip"),
        ([".", "--seconds", "-1"], "--seconds is -1.0"),
    ],
)
def test_bad_use_of_grade(call, tmp_path, words, expected):
    status, out, err = call("grade", *words)
    assert (status, out) == (2, "")
    assert expected in err
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_cannot_be_written_is_said_before_the_work(call, tmp_path, monkeypatch):
    (tmp_path / "class" / "anna").mkdir(parents=True)
    (tmp_path / "class" / "anna" / "dense.py").write_text(WHOLE)
    monkeypatch.setattr(grade, "grade_file", None)
    status, _, err = call("grade", "class", "--out", "none/marks.csv")
    assert (status, "there is no folder none" in err) == (2, True)


def test_the_command_writes_the_solutions(call, tmp_path):
    assert call("grade", "--solutions", "answers")[0] == 0
    assert {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "answers").iterdir()} == {
        f"{name}.py": solutions.source(name) for name in EXERCISES
    }


# ---- pytest in the student's tree


def test_pytest_judges_each_exercise_by_itself(tmp_path):
    tree = shutil.copytree(ROOT / "notebooks" / "exercises", tmp_path / "exercises")
    for name in EXERCISES:
        (tree / f"{name}.py").write_text("raise SystemExit  # broken, and no concern of dense")
    (tree / "dense.py").write_text(WHOLE)
    shutil.copy(ROOT / "notebooks" / "exercises" / "adam.py", tree)
    for words, status, expected in [
        (["-k", "dense"], 0, "1 passed, 14 deselected"),
        (["-k", "adam"], 1, "adam: not written yet: adam_step still raises NotImplementedError. (notebook 7"),
        (["-k", "leaky_relu"], 1, "leaky_relu: WRONG. the file: It ends the program"),
    ]:  # fmt: skip
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tree), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
        assert (done.returncode, expected in done.stdout) == (status, True), done.stdout
        assert "Traceback" not in done.stdout
