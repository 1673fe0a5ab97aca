"""read_idx gives back exactly what was written, and refuses everything that is not exactly one IDX array."""

import gzip
import os
import struct
import tracemalloc

import numpy as np
import pytest

import minigan.datasets.idx
from minigan.base.errors import InputError
from minigan.datasets.idx import idx_header, read_idx

IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
# spelled out, so that the reader is not judged by its own idx_header
IMAGES_IDX = bytes([0, 0, 8, 3, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 5]) + bytes(range(60))
HTML = b"\n<!DOCTYPE html>\n<html><head><title>403 Forbidden</title></head></html>\n"


@pytest.fixture
def save(tmp_path):
    def save(content, name="data.idx"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return save


def header(code, *sizes):
    return struct.pack(f">HBB{len(sizes)}I", 0, code, len(sizes), *sizes)


def peak_of_refusal(path, match):
    """The most memory, in bytes, that Python and NumPy held while read_idx refused the file."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=match):
            read_idx(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_plain_file_is_read(save):
    array = read_idx(save(IMAGES_IDX))
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, IMAGES)
    array += 1  # writable


@pytest.mark.parametrize("name", ["data.gz", "data-ubyte", "data.txt"])
def test_gzip_is_recognised_by_content_not_by_name(save, name):
    np.testing.assert_array_equal(read_idx(save(gzip.compress(IMAGES_IDX), name)), IMAGES)
    np.testing.assert_array_equal(read_idx(str(save(IMAGES_IDX, name))), IMAGES)


@pytest.mark.parametrize(
    ("code", "values", "content"),
    [
        (0x08, np.array([1, 255], np.uint8), b"\x01\xff"),
        (0x09, np.array([1, -1], np.int8), b"\x01\xff"),
        (0x0B, np.array([258, -2], np.int16), b"\x01\x02\xff\xfe"),
        (0x0C, np.array([16909060, -2], np.int32), b"\x01\x02\x03\x04\xff\xff\xff\xfe"),
        (0x0D, np.array([1.0, -2.0], np.float32), bytes.fromhex("3f800000 c0000000")),
        (0x0E, np.array([1.0, -2.0], np.float64), bytes.fromhex("3ff0000000000000 c000000000000000")),
    ],
)
def test_each_type_is_read_in_native_byte_order(save, code, values, content):
    array = read_idx(save(header(code, 2) + content))
    np.testing.assert_array_equal(array, values)
    assert array.dtype == values.dtype
    assert array.dtype.isnative
    assert idx_header(values) == header(code, 2)


def test_array_longer_than_one_read(save):
    values = np.random.default_rng(0).integers(0, 256, 3 * (1 << 20) + 7, dtype=np.uint8)
    content = header(0x08, len(values)) + values.tobytes()
    np.testing.assert_array_equal(read_idx(save(content)), values)
    np.testing.assert_array_equal(read_idx(save(gzip.compress(content, 1))), values)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty, expected an IDX file"),
        (b"\0\0\x08", "not an IDX file: it starts with the bytes 00 00 08, expected 00 00"),
        (b"PK\x03\x04" + IMAGES_IDX, "not an IDX file: it starts with the bytes 50 4b 03 04"),
        (b"\0\x01" + IMAGES_IDX[2:], "starts with the bytes 00 01 08 03"),
        (header(0x0A, 2) + b"ab", "a type code out of 08 09 0b 0c 0d 0e"),
        (header(0x08), "01 to 20 dimensions"),
        (header(0x08, *[1] * 33) + b"a", "01 to 20 dimensions"),
        (HTML, "looks like a web page, not data: the download failed"),
        (b"\xef\xbb\xbf<html>", "looks like a web page"),
        (b"<", "looks like a web page"),
        (IMAGES_IDX[:10], "ends inside the header, expected 3 sizes"),
        (header(0x08, 0, 28, 28), "sizes 0×28×28, expected at least 1 in each"),
        (IMAGES_IDX + b"\0", "extra bytes after the values, expected the end after 60"),
        (IMAGES_IDX + IMAGES_IDX, "extra bytes after the values"),
    ],
)
def test_malformed_content_is_refused(save, pack, content, match):
    path = save(pack(content))
    with pytest.raises(InputError, match=match) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith("; fetch the file again") or not content


def test_truncated_values_are_refused(save):
    for length in range(16, len(IMAGES_IDX)):
        with pytest.raises(InputError, match=rf"claims 3×4×5 values, 60 bytes, expected at most {length - 16} "):
            read_idx(save(IMAGES_IDX[:length]))
        with pytest.raises(InputError, match=rf"truncated: {length - 16} bytes of values, expected 60 for .* 3×4×5"):
            read_idx(save(gzip.compress(IMAGES_IDX[:length])))


def test_gzip_cut_anywhere_is_refused(save):
    whole = gzip.compress(IMAGES_IDX)
    for length in range(2, len(whole)):
        with pytest.raises(InputError, match=r"truncated|at most"):
            read_idx(save(whole[:length]))


def test_gzip_with_any_byte_of_data_or_checksum_flipped_is_never_read_as_something_else(save):
    whole = gzip.compress(IMAGES_IDX, mtime=0)
    for position in range(10, len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x55
        with pytest.raises(InputError, match=r"; fetch the file again$"):  # which damage shows first is chance
            read_idx(save(bytes(damaged)))


def test_garbage_after_gzip_is_refused(save):
    with pytest.raises(InputError, match="damaged gzip"):
        read_idx(save(gzip.compress(IMAGES_IDX) + b"garbage"))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("sizes", [(10**6,), (10**6, 10**6), (2**32 - 1,) * 2, (2**32 - 1,) * 32, (10**9, 28, 28)])
def test_impossible_claim_is_refused_before_memory_is_taken(save, pack, sizes):
    path = save(pack(header(0x08, *sizes) + bytes(100)))
    assert peak_of_refusal(path, "claims .* expected at most .* in a file of this size") < 500_000


def test_best_honest_compression_is_read(save):
    blank = save(gzip.compress(header(0x08, 5000, 28, 28) + bytes(5000 * 28 * 28)))
    assert 5000 * 28 * 28 / blank.stat().st_size > 1000  # close to the 1032 that a claim is held against
    assert read_idx(blank).shape == (5000, 28, 28)


def test_gzip_bomb_is_not_unpacked(save):
    path = save(gzip.compress(header(0x08, 2, 28, 28) + bytes(50_000_000)))
    assert peak_of_refusal(path, "extra bytes after the values, expected the end after 1568") < 1_000_000


def test_array_beyond_memory_is_a_sentence(save, monkeypatch):
    def empty(*_):
        raise MemoryError

    monkeypatch.setattr(np, "empty", empty)
    with pytest.raises(InputError, match="does not fit into memory"):
        read_idx(save(IMAGES_IDX))


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.gz: there is no such file, expected .*; check the path or ask Ada"):
        read_idx(tmp_path / "nothing.gz", remedy="ask Ada")


def test_folder(tmp_path):
    with pytest.raises(InputError, match="is a folder, expected an IDX file; name the file inside it"):
        read_idx(tmp_path)


def test_file_used_as_a_folder(save):
    with pytest.raises(InputError, match=r"cannot be read \(Not a directory\)|no such file"):
        read_idx(save(IMAGES_IDX) / "images.gz")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a pipe or a device"):
        read_idx(tmp_path / "pipe")


def test_no_permission(save, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(minigan.datasets.idx, "open", refuse, raising=False)  # chmod would not stop root
    with pytest.raises(InputError, match="no permission to read it; make it readable"):
        read_idx(save(IMAGES_IDX))


def test_damage_ends_with_the_remedy(save):
    with pytest.raises(InputError, match=r"web page.*; ask Ada$"):
        read_idx(save(HTML), remedy="ask Ada")
