"""CIFAR-10 from files made here: planes and colours in their places, archives and folders, and hostile ones refused."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest

from minigan import datasets
from minigan.base.errors import InputError
from minigan.datasets import cifar, locations

RECORDS = 4


def records(seed):
    """Bytes of a file, and its images and labels as they should come out."""
    rng = np.random.default_rng(seed)
    labels, images = rng.integers(0, 10, RECORDS), rng.integers(0, 256, (RECORDS, 32, 32, 3), np.uint8)
    lines = []
    for label, image in zip(labels, images, strict=True):
        planes = [image[row, column, channel] for channel in range(3) for row in range(32) for column in range(32)]
        lines.append(bytes([label, *planes]))
    return b"".join(lines), images, labels


@pytest.fixture
def small(tmp_path, monkeypatch):
    """CIFAR-10 with four records a file: split -> (images, labels), and the files' bytes by name; nothing on disk."""
    monkeypatch.setattr(cifar, "RECORDS", RECORDS)
    monkeypatch.setattr(locations, "DATA_DIR", tmp_path / "data")
    monkeypatch.setenv("MINIGAN_DATA", str(tmp_path))
    (tmp_path / "cifar10").mkdir()
    known, contents, expected, md5 = datasets.KNOWN["cifar10"], {}, {}, {}
    for split, files in known.md5.items():
        made = {file: records(i + 10 * (split == "test")) for i, file in enumerate(files)}
        contents |= {file: content for file, (content, _, _) in made.items()}
        md5[split] = {file: hashlib.md5(content).hexdigest() for file, (content, _, _) in made.items()}
        expected[split] = tuple(np.concatenate([one[i] for one in made.values()]) for i in (1, 2))
    monkeypatch.setattr(cifar.Cifar10, "md5", md5)
    return expected, contents


def write_archive(folder, contents, change=lambda member: member, name="cifar-10-binary.tar.gz", mode="w:gz"):
    with tarfile.open(folder / "cifar10" / name, mode) as archive:
        for file, content in sorted({**contents, "readme.html": b"<html>"}.items()):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{file}")
            member.size = len(content)
            archive.addfile(change(member), io.BytesIO(content))


def write_folder(folder, contents):
    folder.mkdir(exist_ok=True)
    for file, content in contents.items():
        (folder / file).write_bytes(content)


def check(expected):
    for split in datasets.SPLITS:
        images, labels = datasets.load("cifar10", split)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        np.testing.assert_array_equal(images, expected[split][0])
        np.testing.assert_array_equal(labels, expected[split][1])


def test_from_the_archive(small, tmp_path):
    write_archive(tmp_path, small[1])
    check(small[0])
    assert [path.name for path in (tmp_path / "cifar10").iterdir()] == ["cifar-10-binary.tar.gz"]


def test_from_an_archive_that_was_unpacked_on_the_way(small, tmp_path):
    write_archive(tmp_path, small[1], mode="w")
    check(small[0])
    (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").rename(tmp_path / "cifar10" / "cifar-10-binary.tar")
    check(small[0])


def test_from_the_folder_or_from_loose_files(small, tmp_path):
    write_folder(tmp_path / "cifar10" / "cifar-10-batches-bin", small[1])
    check(small[0])
    (tmp_path / "cifar10" / "cifar-10-batches-bin").rename(tmp_path / "loose")
    write_folder(tmp_path / "cifar10", small[1])
    check(small[0])


def refused(split="train"):
    with pytest.raises(InputError) as error:
        datasets.load("cifar10", split)
    message = str(error.value)
    assert message.endswith("and run `python -m minigan.datasets cifar10` to fetch it again")
    return message


def test_a_changed_pixel(small, tmp_path):
    contents = dict(small[1])
    contents["data_batch_3.bin"] = contents["data_batch_3.bin"][:-1] + b"\x00"
    write_archive(tmp_path, contents)
    assert "data_batch_3.bin has md5" in refused()
    datasets.load("cifar10", "test")


@pytest.mark.parametrize("size", [10, 30_730_000, 10**12])
def test_a_member_of_a_wrong_size(small, tmp_path, size):
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
    member.size = size
    path.write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT)))
    assert f"data_batch_1.bin has {size} bytes, expected {4 * 3073}: 4 records of 3073" in refused()


def test_a_file_of_a_wrong_size(small, tmp_path):
    folder = tmp_path / "cifar10" / "cifar-10-batches-bin"
    write_folder(folder, small[1])
    with open(folder / "test_batch.bin", "r+b") as file:
        file.truncate(10**12)  # a hole: it takes no room on the disk, and would not fit into memory
    assert f"test_batch.bin has {10**12} bytes, expected" in refused("test")


def test_a_member_that_is_no_file(small, tmp_path):
    def link(member):
        if member.name.endswith("batch_2.bin"):
            member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
        return member

    write_archive(tmp_path, small[1], link)
    assert "holds data_batch_2.bin as something else than a plain file" in refused()


def test_a_missing_member(small, tmp_path):
    contents = {file: content for file, content in small[1].items() if file != "data_batch_4.bin"}
    write_archive(tmp_path, contents)
    assert "lacks data_batch_4.bin" in refused()


def test_a_truncated_archive(small, tmp_path):
    write_archive(tmp_path, small[1])
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    whole = path.read_bytes()
    for length in (0, 1, 5, 100, len(whole) // 2, len(whole) * 3 // 4):
        path.write_bytes(whole[:length])
        assert str(path) in refused()


def test_damage_anywhere_is_seen(small, tmp_path):
    write_archive(tmp_path, small[1])
    path = tmp_path / "cifar10" / "cifar-10-binary.tar.gz"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for place in rng.integers(10, len(whole) * 3 // 4, 40):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        refused()


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>404</html>" * 100, b"\x80\x04pickle", b"\0" * 10_240])
def test_what_is_no_archive(small, tmp_path, content):
    (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(content)
    assert "no archive" in refused() or "lacks" in refused()


def test_an_archive_that_expands_without_end(small, tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "LARGEST", 1 << 20)
    write_archive(tmp_path, {"a": bytes(10 << 20), **small[1]})
    assert "more than 1048576 bytes" in refused()


def test_a_header_that_claims_more_than_there_is(small, tmp_path):
    """A long name of 10^11 bytes: tarfile would ask for that much at once."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, 8**11 - 1
    (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT)))
    assert "cifar-10-binary.tar.gz" in refused()
