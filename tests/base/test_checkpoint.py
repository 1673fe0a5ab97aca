"""Files are written whole or not at all; what a checkpoint gives back is what went in, or one sentence why not."""

import errno
import io
import json
import math
import os
import tracemalloc
import zipfile

import numpy as np
import pytest
from samples import identical

from minigan.base import checkpoint, files
from minigan.base.errors import InputError

ABOUT = {"config": {"preset": "toy"}, "note": "µ ≤ 1", "progress": {"seconds": 1.5, "variety": None}}


def some_arrays():
    rng = np.random.default_rng(0)
    return {
        "generator.params.0.weight": rng.standard_normal((3, 2), dtype=np.float32),
        "float64": rng.standard_normal((2, 1, 2)),
        "order": np.arange(5, dtype=np.int32),
        "step": np.array(2**40),
        "flag": np.array([True, False]),
        "text": np.array('{"state": "µ"}'),
        "empty": np.empty((0, 4), np.float32),
        "limits": np.array([np.inf, -np.inf, np.nan, -0.0, 5e-324]),
    }


def only(folder, *names):
    return sorted(path.name for path in folder.iterdir()) == sorted(names)


# ---- whole or not at all


def test_numbers_that_json_does_not_know_come_back(tmp_path):
    value = {"a": [1, 2.5, True, None, "inf", math.inf], "b": {"c": -math.inf, "d": (np.float64(math.nan), 1.5)}}
    files.write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["b"] == {"c": "-Infinity", "d": ["NaN", 1.5]}  # valid JSON
    read = files.read_json(tmp_path / "x.json")
    assert math.isnan(read["b"]["d"].pop(0))
    assert read == {"a": [1, 2.5, True, None, "inf", math.inf], "b": {"c": -math.inf, "d": [1.5]}}


def test_the_old_file_is_whole_until_the_new_one_is(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    with files.atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        # in the same folder, or os.replace would have to copy; the same ending, since writers choose the format by it
        assert (temporary.parent, temporary.suffix) == (path.parent, path.suffix)
    assert path.read_text() == "new"
    assert only(tmp_path, "x.txt")


@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_in_the_middle_leaves_the_old_file_and_no_other(tmp_path, old, error):
    path = tmp_path / "x.bin"
    if old is not None:
        path.write_bytes(old)

    def write():
        with files.atomic_write(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise error

    with pytest.raises(error):
        write()
    assert only(tmp_path, *([] if old is None else ["x.bin"]))
    assert old is None or path.read_bytes() == old


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_full_disk_leaves_the_old_checkpoint_and_no_other_file(tmp_path, monkeypatch, failing):
    path = tmp_path / "checkpoint.npz"
    checkpoint.save(path, some_arrays(), ABOUT)
    before = path.read_bytes()

    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, {"x": np.zeros(3)}, {})
    assert only(tmp_path, "checkpoint.npz")
    assert path.read_bytes() == before


def test_the_new_file_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append(("fsync", os.fstat(fd).st_size)), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append(("replace",)), replace(*paths)))
    files.write_text(tmp_path / "x", "twelve bytes")
    assert calls[:2] == [("fsync", 12), ("replace",)]


# ---- round trip


def test_arrays_and_notes_come_back_as_they_went_in(tmp_path):
    arrays = some_arrays()
    checkpoint.save(tmp_path / "x.npz", arrays, ABOUT)
    got, about = checkpoint.load(tmp_path / "x.npz")
    assert identical(got, arrays)
    assert about == {"format": checkpoint.FORMAT, **ABOUT}
    # plain NumPy reads it too, without pickle
    with np.load(tmp_path / "x.npz", allow_pickle=False) as archive:
        assert sorted(archive.files) == sorted([*arrays, "about", "sums"])
        assert json.loads(str(archive["about"])) == about


def test_no_pickle_is_written(tmp_path):
    # or a checkpoint would replace the one before that nobody can read
    checkpoint.save(tmp_path / "x.npz", some_arrays(), ABOUT)
    before = (tmp_path / "x.npz").read_bytes()
    with pytest.raises(Exception, match=r"[Oo]bject|pickle"):
        checkpoint.save(tmp_path / "x.npz", {"x": np.array([{}, None], dtype=object)}, ABOUT)
    assert (tmp_path / "x.npz").read_bytes() == before
    assert only(tmp_path, "x.npz")


# ---- damage


def refused(path, expected="is damaged or no checkpoint"):
    with pytest.raises(InputError) as caught:
        checkpoint.load(path)
    message = str(caught.value)
    assert str(path) in message
    assert expected in message
    assert "\n" not in message


@pytest.fixture
def small(tmp_path):
    """A checkpoint of a few hundred bytes, and what is in it."""
    arrays = {"x": np.array([1.5, -2.5]), "y": np.array("text")}
    checkpoint.save(tmp_path / "small.npz", arrays, {})
    return tmp_path / "small.npz", arrays


def test_every_flipped_byte_is_noticed_or_without_effect(small):
    path, arrays = small
    whole, wrong = path.read_bytes(), []
    for position in range(len(whole)):
        for mask in (1 << position % 8, 0xFF):
            damaged = bytearray(whole)
            damaged[position] ^= mask
            path.write_bytes(damaged)
            try:
                got, about = checkpoint.load(path)
            except InputError:
                continue
            except Exception as error:
                wrong.append(f"byte {position} ^ {mask:#x}: {type(error).__name__}: {error}")
                continue
            # zip has bytes that mean nothing here, such as the time of writing
            if not identical(got, arrays) or about != {"format": checkpoint.FORMAT}:
                wrong.append(f"byte {position} ^ {mask:#x}: other content")
    assert not wrong, f"{len(wrong)} flips: " + "; ".join(wrong[:5])


def test_every_truncation_is_noticed(small):
    path, _ = small
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


@pytest.mark.parametrize("content", [b"", b"PK", b"step,epoch\n1,2\n", b"\x93NUMPY\x01\x00", bytes(5000)])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "x.npz").write_bytes(content)
    refused(tmp_path / "x.npz")


@pytest.mark.parametrize("about", [None, "not json", "[1]", "{}", "3", "null"])
def test_an_npz_of_something_else_is_refused(tmp_path, about):
    notes = {} if about is None else {"about": np.array(about)}
    np.savez(tmp_path / "x.npz", weights=np.zeros(3), **notes)
    refused(tmp_path / "x.npz", "no checkpoint of minigan")


@pytest.mark.parametrize("version", [True, "1", 1.0, 0, -1, None])
def test_a_format_that_is_none_is_refused(tmp_path, version):
    checkpoint.save(tmp_path / "x.npz", some_arrays(), {"format": version})
    refused(tmp_path / "x.npz", "its notes name no format")


def test_what_is_damaged_is_named(tmp_path):
    path = tmp_path / "x.npz"
    checkpoint.save(path, some_arrays(), ABOUT)
    with np.load(path) as archive:
        entries = dict(archive)
    for name in some_arrays():
        # the archive is whole: a program rewrote it
        changed = {**entries, name: np.ones(2)}
        np.savez(path, **changed)
        refused(path, f"the checksum of {name} is wrong")
        np.savez(path, **{key: array for key, array in entries.items() if key != name})
        refused(path, f"the checksum of {name} is wrong")
    np.savez(path, **entries, more=np.ones(2))
    refused(path, "the checksum of more is wrong")
    np.savez(path, **{**entries, "flag": np.ones(2), "step": np.array(3)})
    refused(path, "the checksum of flag, step is wrong")
    np.savez(path, **{key: array for key, array in entries.items() if key != "sums"})
    refused(path, "there is no 'sums'")
    checkpoint.save(path, some_arrays(), ABOUT)
    whole, content = path.read_bytes(), some_arrays()["float64"].tobytes()
    path.write_bytes(whole.replace(content, content[::-1]))
    refused(path, "the array 'float64' cannot be read: Bad CRC-32")


def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path):
    claim = {"descr": "<f4", "fortran_order": False, "shape": (10**6, 10**6)}
    entry, path = io.BytesIO(), tmp_path / "x.npz"
    np.lib.format.write_array_header_1_0(entry, claim)
    about = io.BytesIO()
    np.save(about, np.array(json.dumps({"format": 1})))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", about.getvalue())
        archive.writestr("x.npy", entry.getvalue())
    refused(path, "its header claims 1000000×1000000 values, 4000000000000 bytes, and there are 128")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:  # a thousand times smaller than what comes out
        archive.writestr("about.npy", about.getvalue())
        archive.writestr("x.npy", entry.getvalue() + bytes(10**6))
    tracemalloc.start()
    refused(path, "larger than the file, or compressed")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * 10**5
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", about.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("about.npy", about.getvalue())
    refused(path, "two arrays of one name")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused(tmp_path / "gone.npz", "there is no checkpoint")
    refused(tmp_path)


def test_a_newer_format_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "FORMAT", checkpoint.FORMAT + 1)
    checkpoint.save(tmp_path / "x.npz", some_arrays(), ABOUT)
    monkeypatch.undo()
    newer = f"has format {checkpoint.FORMAT + 1}, newer than {checkpoint.FORMAT}, the last that this version reads"
    refused(tmp_path / "x.npz", newer)
    # whatever else is new in it: a compressed array, no checksums
    about = np.array(json.dumps({"format": checkpoint.FORMAT + 1}))
    np.savez(tmp_path / "x.npz", about=about, x=np.array([{}], dtype=object))
    refused(tmp_path / "x.npz", newer)
