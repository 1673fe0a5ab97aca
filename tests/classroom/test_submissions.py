"""What arrives from a class under all kinds of names is matched where it can be, and never lost in silence."""

import json
import os
import zipfile

import pytest

from minigan.base.errors import InputError
from minigan.classroom import handed_in, solutions
from minigan.classroom.submissions import collect, match

DENSE = solutions.source("dense")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dense.py", ("dense", ())),
        ("Dense.py", ("dense", ())),
        ("DENSE.PY", ("dense", ())),
        ("dense (1).py", ("dense", (1,))),
        ("dense(12).py", ("dense", (12,))),
        ("dense-1.py", ("dense", (1,))),
        ("dense_2.py", ("dense", (2,))),
        ("dense 3.py", ("dense", (3,))),
        ("dense (1)-2.py", ("dense", (2, 1))),
        ("dense - Copy.py", ("dense", ())),
        ("dense - Copy (2).py", ("dense", (2,))),
        ("dense.py.txt", ("dense", ())),
        ("dense.ipynb", ("dense", ())),
        ("dense-1.ipynb", ("dense", (1,))),
        ("LeakyReLU.py", ("leaky_relu", ())),
        ("leaky relu.py", ("leaky_relu", ())),
        ("conv-forward.py", ("conv_forward", ())),
        ("lastfirst_123_456_dense.py", ("dense", ())),
        ("lastfirst_123_456_dense-1.py", ("dense", (1,))),
        ("lastfirst_LATE_123_456_Conv_Forward-2.py", ("conv_forward", (2,))),
        ("dense.txt", (None, ())),
        ("dense", (None, ())),
        ("dense.pyc", (None, ())),
        ("my_dense.py", (None, ())),
        ("test_dense.py", (None, ())),
        ("conv.py", (None, ())),
        (".py", (None, ())),
        ("(1).py", (None, ())),
        ("dense (" + "9" * 5000 + ").py", (None, ())),
    ],
)
def test_a_name_says_the_exercise_and_which_copy_it_is(name, expected):
    assert match(name) == expected


def build(folder, files):
    """Files from {path: text, or a dict for a zip, or None for a folder}."""
    for path, content in files.items():
        place = folder / path
        (place if content is None else place.parent).mkdir(parents=True, exist_ok=True)
        if isinstance(content, dict):
            pack(place, content)
        elif content is not None:
            place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def pack(place, files, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(place, "w", how) as archive:
        for name, content in files.items():
            if isinstance(content, dict):
                inner = place.with_name(f"{place.name}.inner")
                pack(inner, content, how)
                content = inner.read_bytes()
                inner.unlink()
            archive.writestr(name, content)


def found(folder):
    """-> {student: {exercise: [what the files hold, or the problem]}}, and all of it."""
    all_of_it = collect(folder)
    return {
        name: {
            exercise: [answer.problem or answer.source.decode() for answer in answers]
            for exercise, answers in student.answers.items()
        }
        for name, student in all_of_it.students.items()
    }, all_of_it


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"anna/dense.py": "1", "ben": None}, {"anna": {"dense": ["1"]}, "ben": {}}),
        ({"anna/dense (1).py": "1"}, {"anna": {"dense": ["1"]}}),
        ({"anna/hw1/dense.py": "1", "anna/hw2/adam.py": "2"}, {"anna": {"dense": ["1"], "adam": ["2"]}}),
        ({"doe_1_2_dense-1.py": "1", "doe_1_3_adam.py": "2", "li_LATE_4_5_adam.py": "3"},
         {"doe": {"dense": ["1"], "adam": ["2"]}, "li": {"adam": ["3"]}}),
        ({"li_1_2_dense.py": "1", "li_7_8_dense.py": "2"}, {"li_1": {"dense": ["1"]}, "li_7": {"dense": ["2"]}}),
        ({"anna.zip": {"dense.py": "1", "__MACOSX/": "", "__MACOSX/dense.py": "x"}, "ben.zip": {"hw/dense.py": "2"}},
         {"anna": {"dense": ["1"]}, "ben": {"dense": ["2"]}}),
        ({"student1.zip": {"dense.py": "1"}, "student2.zip": {"dense.py": "2"}},
         {"student1": {"dense": ["1"]}, "student2": {"dense": ["2"]}}),
        ({"doe_1_2_hw.zip": {"dense.py": "1"}, "doe_1_9_hw-1.zip": {"dense.py": "2"}}, {"doe": {"dense": ["2", "1"]}}),
        ({"anna/hw.zip": {"week 1/dense.py": "1"}}, {"anna": {"dense": ["1"]}}),
        ({"all.zip": {"anna/dense.py": "1", "ben/dense.py": "2"}, "grades.csv": ""},
         {"anna": {"dense": ["1"]}, "ben": {"dense": ["2"]}}),
        ({"all.zip": {"__MACOSX/": "", "hw1/anna/dense.py": "1", "hw1/ben/dense.py": "2", "hw1/cy/": ""}},
         {"anna": {"dense": ["1"]}, "ben": {"dense": ["2"]}, "cy": {}}),
        ({"all.zip": {"doe_1_2_dense.py": "1", "li_4_5_hw.zip": {"dense.py": "2"}}},
         {"doe": {"dense": ["1"]}, "li": {"dense": ["2"]}}),
        ({"all.zip": {"a.zip": {"dense.py": "1"}, "b.zip": {"dense.py": "2"}}},
         {"a": {"dense": ["1"]}, "b": {"dense": ["2"]}}),
        ({"anna.zip": {"doe_1_2_dense-9.py": "1"}, "doe_1_2_dense.py": "2"},
         {"anna": {"dense": ["1"]}, "doe": {"dense": ["2"]}}),  # and not as Doe's
        ({"anna.zip": {"new/dense.py": "1", "old/dense.py": "1"}, "ben": None}, {"anna": {"dense": ["1"]}, "ben": {}}),
        ({"anna.zip": {"hw\\dense.py": "1", "old\\adam.py": "2"}, "ben": None},
         {"anna": {"dense": ["1"], "adam": ["2"]}, "ben": {}}),
        ({"anna/homework.py": DENSE}, {"anna": {"dense": [DENSE]}}),  # by the functions that it defines
        ({"anna/dense.py/dense.py": "1"}, {"anna": {"dense": ["1"]}}),
        ({".git/dense.py": "1", "_old/dense.py": "2", "anna/.ipynb_checkpoints/dense.py": "3"}, {"anna": {}}),
    ],
)  # fmt: skip
def test_whose_a_file_is(tmp_path, files, expected):
    assert found(build(tmp_path / "class", files))[0] == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"dense.py": "1", "dense (1).py": "2", "dense (10).py": "3"}, ["3", "2", "1"]),  # the later downloads first
        ({"dense.py": "1", "old/dense (1).py": "2"}, ["1", "2"]),  # where it was asked for
        ({"dense.py": "1", "dense.ipynb": "?"}, ["1", "dense.ipynb is no notebook that can be read"]),
        ({"homework.py": DENSE, "dense.py": "1"}, ["1", DENSE]),
        ({"a/dense.py": "1", "b/dense.py": "1"}, ["1"]),
        ({"a/dense.py": "1", "b/dense.py": "2"},
         ["a/dense.py and b/dense.py differ, and none is known to be newer: keep one"]),
        ({"dense (1).py": "1", "a/dense.py": "2", "b/dense.py": "3"},
         ["1", "a/dense.py and b/dense.py differ, and none is known to be newer: keep one"]),
        ({"dense.py": "1" * 2_000_000, "dense (1).py": "2"}, ["2", "dense.py is too large, with 2000000 bytes"]),
    ],
)  # fmt: skip
def test_of_several_files_the_one_that_counts_is_known_or_none_is(tmp_path, files, expected):
    students, all_of_it = found(build(tmp_path / "class", {f"anna/{name}": text for name, text in files.items()}))
    problems = [text.removeprefix("anna/") for text in students["anna"]["dense"]]
    assert problems == expected
    assert len(all_of_it.chosen) == (len(expected) > 1)


def test_what_is_matched_in_an_unusual_way_or_not_at_all_is_listed(tmp_path):
    files = {"anna/dense.py": "1", "anna/Adam.py": "2", "anna/dens.py": "3", "anna/a.png": "4", "dense.py": "5"}
    files |= {"anna/test_exercises.py": "6", "anna/new\n\x1b[31mline.py": "7"}
    all_of_it = found(build(tmp_path / "class", files))[1]
    assert all_of_it.matched == ["anna/Adam.py is adam of anna"]
    assert all_of_it.unmatched == ["anna/a.png", "anna/dens.py", "anna/new [31mline.py"]
    assert all_of_it.strays == ["dense.py"]


def test_a_zip_of_the_class_in_the_place_of_the_folder(tmp_path):
    files = {"sent/anna/dense.py": "1", "sent/ben/adam.py": "2"}
    build(tmp_path, {"class.zip": files, "anna.zip": {"dense.py": "3"}})
    assert found(tmp_path / "class.zip")[0] == {"anna": {"dense": ["1"]}, "ben": {"adam": ["2"]}}
    assert found(tmp_path / "anna.zip")[0] == {"anna": {"dense": ["3"]}}
    (tmp_path / "broken.zip").write_bytes((tmp_path / "class.zip").read_bytes()[:60])
    with pytest.raises(InputError, match="no such folder or zip"):
        collect(tmp_path / "broken.zip")


# ---- what cannot be read is no missing file, and costs nobody else


def problem(folder, student):
    return collect(folder).students[student].problem


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"PK\x03\x04 and no more", "x.zip is no zip that can be read"),
        ({"hw.7z": "1"}, "x.zip/hw.7z is an archive, but no zip: unpack it"),
        ({"a.zip": {"b.zip": {"dense.py": "1"}}}, "x.zip/a.zip/b.zip is a zip in a zip in a zip: unpack it"),
    ],
)
def test_an_archive_that_cannot_be_read_is_told(tmp_path, content, expected):
    build(tmp_path / "class", {"x.zip": content, "anna/dense.py": "1"})
    assert problem(tmp_path / "class", "x").startswith(expected)
    assert found(tmp_path / "class")[0]["anna"] == {"dense": ["1"]}


def test_a_zip_can_neither_write_nor_fill_the_memory(tmp_path, monkeypatch):
    """Names that lead outside, a link, a bomb, many files that are a bomb together, a password, a rare method."""
    link = zipfile.ZipInfo("dense.py")
    link.external_attr = 0o120777 << 16
    (tmp_path / "class").mkdir()
    for name, members in {
        "outside": {"../../dense.py": "1"},
        "rooted": {"/dense.py": "1"},
        "link": {link: "../anna/dense.py"},
        "bomb": {"dense.py": b"#" * 100_000_000},
    }.items():
        pack(tmp_path / "class" / f"{name}.zip", members)
    pack(tmp_path / "class" / "lzma.zip", {"dense.py": "1"}, zipfile.ZIP_LZMA)
    monkeypatch.setattr(handed_in, "ZIP", 3_000_000)
    pack(tmp_path / "class" / "many.zip", {f"{i}/dense.py": "#" * 1_000_000 for i in range(9)})
    pack(tmp_path / "class" / "secret.zip", {"dense.py": "1"})
    data = bytearray((tmp_path / "class" / "secret.zip").read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "class" / "secret.zip").write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    students = found(tmp_path / "class")[0]
    assert sorted(tmp_path.rglob("*")) == before
    for name, expected in {
        "outside": "has a name that leads elsewhere",
        "rooted": "has a name that leads elsewhere",
        "link": "cannot be unpacked: it is a link",
        "bomb": "is too large, with 100000000 bytes",
        "lzma": "cannot be unpacked: it is packed in an unusual way",
        "secret": "encrypted, password required",
    }.items():
        assert expected in students[name]["dense"][0]
    unread = [file for file in handed_in.one_file(tmp_path / "class" / "many.zip", ("many.zip",)) if file.problem]
    assert 4 <= len(unread) <= 6
    assert "more in the zip than anyone writes" in unread[0].problem


@pytest.mark.skipif(os.name != "posix", reason="needs links and pipes")
def test_links_pipes_and_loops_are_not_followed(tmp_path):
    folder = build(tmp_path / "class", {"anna/dense.py": "1", "ben": None, "cy": None})
    (folder / "ben" / "dense.py").symlink_to(folder / "anna" / "dense.py")
    (folder / "ben" / "adam.py").symlink_to("adam.py")
    (folder / "ben" / "all").symlink_to(folder)
    os.mkfifo(folder / "cy" / "dense.py")
    (folder / "loop").symlink_to("loop")
    (folder / os.fsdecode(b"M\xfcller")).mkdir()
    students, all_of_it = found(folder)
    assert students["ben"] == {"dense": ["dense.py is a link"], "adam": ["adam.py is a link"]}
    assert students["cy"] == {"dense": ["dense.py is no regular file"]}
    assert all_of_it.unmatched == ["ben/all"]
    assert all_of_it.strays == ["loop"]


def test_a_file_or_a_folder_that_may_not_be_read_is_told(tmp_path, monkeypatch):
    folder = build(tmp_path / "class", {"anna/dense.py": "1", "ben/adam.py": "2"})
    scandir = os.scandir

    def refusing(path):  # as the system does, though not for root
        if str(path).endswith("ben"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert problem(folder, "ben") == "ben/ cannot be opened: Permission denied"
    assert found(folder)[0]["anna"] == {"dense": ["1"]}
    monkeypatch.setattr(handed_in, "open", lambda *_: refusing("ben"), raising=False)
    assert found(folder)[0]["anna"] == {"dense": ["dense.py cannot be read: Permission denied"]}


# ---- notebooks


def notebook(*cells):
    return json.dumps({"cells": [{"cell_type": kind, "source": text} for kind, text in cells]})


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("a = 1\nb = (a\n  %b)", "a = 1\nb = (a\n  %b)"),  # Python, not magic
        ("%matplotlib inline\na = 1", "pass\na = 1"),
        ("if x:\n    %time f()\n    !ls\n", "if x:\n    pass\n    pass\n"),
        ("files = !ls\nnp.dot?\n?f", "pass\npass\npass"),
        ("%%bash\nrm -rf /", ""),
        ("%%writefile dense.py\na = 1", "a = 1"),
        (["a = 1\n", "b = 2"], "a = 1\nb = 2"),
    ],
)
def test_a_notebook_is_its_code_cells_without_magics(cell, expected):
    text = notebook(("markdown", "# Dense"), ("code", cell), ("code", "c = 3"))
    assert handed_in.notebook_source(text.encode()).decode() == f"{expected}\n\nc = 3"


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"cells": 3}', '{"cells": [{}]}', "[" * 100_000, "\xff"])
def test_what_is_no_notebook_is_told(text):
    with pytest.raises(handed_in.Unreadable):
        handed_in.notebook_source(text.encode("latin-1"))
