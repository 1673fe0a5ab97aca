"""Bytes for tests/scripts/fuzz.py: ways of spoiling any, and IDX, gzip, .npy and .npz files that lie."""

import gzip
import io
import struct
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from minigan import datasets
from minigan.datasets.idx import TYPES, idx_header

CANARY = Path(tempfile.gettempdir()) / "minigan-fuzz-canary"
HUGE = (0, 1, 255, 65535, 10**6, 2**31 - 1, 2**31, 2**32 - 1, 10**12, 2**63 - 1, 2**64, 10**40, -1, -(10**6))
DESCRIPTIONS = (
    "|u1",
    "<f4",
    ">f8",
    "<f2",
    "<i8",
    "|O",
    "O",
    "<U5",
    "<U1000000000",
    "|S0",
    "<U0",
    "|V8",
    "<c8",
    "<M8[s]",
)
ZEROS = 250_000_000  # bytes that a bomb unpacks to


class Payload:
    """What opens the canary's cage when it is unpickled."""

    def __reduce__(self):
        return (open, (str(CANARY), "w"))


def choose(rng, values):
    return values[int(rng.integers(len(values)))]


def spoil(rng, data, other=b""):
    """Bytes -> bytes: flipped, cut, spliced, repeated, numbers overwritten, in one place or several."""
    data = bytearray(data)
    for _ in range(choose(rng, (1, 1, 1, 2, 5))):
        at = int(rng.integers(len(data) + 1))
        at = min(at, int(rng.integers(200))) if rng.random() < 0.5 else at  # headers first
        size = int(rng.integers(1, 64))
        match int(rng.integers(9)):
            case 0 if at < len(data):
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at:]
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size] * int(rng.integers(1, 4))
            case 4:
                data[at : at + size] = rng.bytes(size)
            case 5:
                first = int(rng.integers(len(other) + 1))
                data[at : at + size] = other[first : first + size]
            case 6:
                data[at : at + 4] = struct.pack(choose(rng, "<>") + "I", choose(rng, HUGE) % 2**32)
            case 7:
                data[at : at + 8] = struct.pack(choose(rng, "<>") + "Q", choose(rng, HUGE) % 2**64)
            case _:
                data += rng.bytes(size)
    return bytes(data)


def written(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# ---- IDX, and IDX in gzip


def idx_bytes(rng):
    dtype = choose(rng, list(TYPES.values()))
    array = rng.integers(0, 100, rng.integers(1, 7, rng.integers(1, 4))).astype(dtype)
    header = idx_header(array)
    if rng.random() < 0.4:
        header = header[:3] + bytes([int(rng.integers(256)) if rng.random() < 0.2 else array.ndim])
        header += b"".join(struct.pack(">I", choose(rng, HUGE) % 2**32) for _ in range(array.ndim))
    return header + array.tobytes()


def make_idx(rng, folder):
    content = idx_bytes(rng)
    return (written(folder, "a.idx", spoil(rng, content, content) if rng.random() < 0.8 else content),)


def make_gzip(rng, folder):
    inner = idx_bytes(rng)
    if rng.random() < 0.5:
        inner = spoil(rng, inner, inner)
    if rng.random() < 0.02:
        inner += bytes(ZEROS // 10)
    packed = gzip.compress(inner, int(rng.integers(10)), mtime=0)
    if rng.random() < 0.2:
        packed += gzip.compress(inner)
    return (written(folder, "a.gz", spoil(rng, packed, packed) if rng.random() < 0.6 else packed),)


# ---- .npy and .npz


def npy_bytes(rng, array):
    """`array` in NumPy's format, often with a header that lies."""
    stream = io.BytesIO()
    np.save(stream, array)
    content = stream.getvalue()
    kind = rng.random()
    if kind < 0.6:
        return content
    if kind < 0.65:
        stream = io.BytesIO()
        np.save(stream, np.array([Payload()] * 3, dtype=object), allow_pickle=True)
        return stream.getvalue()
    if kind < 0.75:
        return spoil(rng, content, content)
    shape = tuple(choose(rng, HUGE) if rng.random() < 0.5 else int(n) for n in array.shape)
    text = str({"descr": choose(rng, DESCRIPTIONS), "fortran_order": bool(rng.integers(2)), "shape": shape})
    text = choose(
        rng,
        [text] * 8
        + [text.replace("False", "0"), "(" * 3000, "-" * 9000 + "1", f"__import__('os').system('touch {CANARY}')"]
        + [text.replace("'shape': ", "'shape': 9, 'shape': "), "9" * 5000, "{}", "[" * 150 + "]" * 150],
    )
    header = text.encode() + b" " * int(rng.integers(20)) + b"\n"
    version = choose(rng, [1] * 8 + [2, 3, 0, 9])
    size = len(header) if rng.random() < 0.9 else choose(rng, HUGE) % 2**16
    packed = struct.pack("<H" if version == 1 else "<I", size)
    return b"\x93NUMPY" + bytes([version, 0]) + packed + header + content[128:]


def npz_bytes(rng, entries):
    """A zip of {name: bytes}, in ways that NumPy uses and in others, with names that would leave the folder."""
    stream = io.BytesIO()
    method = choose(rng, (zipfile.ZIP_STORED,) * 3 + (zipfile.ZIP_DEFLATED,) * 2 + (zipfile.ZIP_BZIP2,))
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(f"{name}.npy" if rng.random() < 0.97 else f"../../{name}.npy", content)
        if rng.random() < 0.1:
            archive.writestr(
                choose(rng, ("/etc/minigan.base.npy", "../beside.npy", "a" * 300, "images.npy")), b"beside"
            )
    if rng.random() < 0.01:
        return bomb_npz()
    content = stream.getvalue()
    return spoil(rng, content, content) if rng.random() < 0.4 else content


@cache
def bomb_npz():
    """Images that are nothing but zeros, in 300 KB, and an entry nobody asks for."""
    stream = io.BytesIO()
    np.savez_compressed(stream, images=np.zeros((100, 1000, 1000), np.uint8), about=np.zeros(10_000_000, "U1"))
    return stream.getvalue()


@cache
def bomb_gzip():
    return gzip.compress(bytes(ZEROS), 1)


def data_arrays(rng):
    shape = (int(rng.integers(1, 40)), *(int(n) for n in rng.integers(1, 13, choose(rng, (2, 2, 3, 3, 3, 1, 0)))))
    if len(shape) == 4:
        shape = choose(rng, ((*shape[:3], choose(rng, (1, 3, 4, 2))), (shape[0], 3, *shape[1:3])))
    images = rng.integers(0, 256, shape).astype(choose(rng, (np.uint8, np.uint8, np.int64, np.float32, bool)))
    if images.dtype == np.float32:
        images = images * np.float32(choose(rng, (1 / 255, 1.0, np.nan, np.inf, 1e30)))
    if rng.random() < 0.1:
        images = np.asfortranarray(images)
    labels = rng.integers(0, 10, len(images)) - int(rng.random() < 0.1)
    labels = choose(rng, [labels] * 3 + [labels.astype("U3"), labels.astype("S3"), labels / 2, np.eye(12)[labels]])
    names = choose(rng, (("images", "labels"), ("X", "y"), ("x_train", "y_train", "x_test", "y_test")))
    return dict(zip(names, (images, labels, images, labels), strict=False))


@np.errstate(all="ignore")
def make_arrays(rng, folder):
    arrays = data_arrays(rng)
    if rng.random() < 0.4:
        path = written(folder, "a.npy", npy_bytes(rng, next(iter(arrays.values()))))
    else:
        path = written(folder, "a.npz", npz_bytes(rng, {key: npy_bytes(rng, value) for key, value in arrays.items()}))
    return path, choose(rng, datasets.SPLITS)


# ---- tables


def make_table(rng, folder):
    """A .csv as Kaggle's, good or with a cell, a line or bytes that are none."""
    side, count = int(rng.integers(1, 7)), int(rng.integers(1, 9))
    rows = rng.integers(0, 256, (count, side * side)).astype(str).tolist()
    if rng.random() < 0.3:
        row = choose(rng, rows)
        odd = ("", "x", "nan", "-1", "1e999", "9" * 400, "'", '"1"', "1.5", "1 2")
        row[int(rng.integers(len(row)))] = choose(rng, odd)
    if rng.random() < 0.7:
        rows = [[choose(rng, ("1", "2", "cat", "é", "")), *row] for row in rows]
    if rng.random() < 0.7:
        rows.insert(0, ["label"] * (len(rows[0]) - side * side) + [f"pixel{i}" for i in range(side * side)])
    content = "\n".join(map(",".join, rows)).encode(choose(rng, ("utf-8", "utf-8-sig", "utf-16")))
    if rng.random() < 0.4:
        content = spoil(rng, content, content)
    return written(folder, "a.csv", content), choose(rng, datasets.SPLITS)
