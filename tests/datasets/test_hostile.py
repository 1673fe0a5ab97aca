"""Files made to do harm: claims of sizes, pickles, pictures that are programs. Refused at once, nothing of them run."""

import ast
import gzip
import io
import json
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from test_structure import SOURCES

from minigan import datasets
from minigan.base import checkpoint, pictures
from minigan.base.errors import InputError
from minigan.datasets.idx import read_idx
from minigan.gan import build_gan
from minigan.image_to_image.enhancement import EnhancementTask, Enhancer
from minigan.metrics.judge import Classifier

MANY = 10**12


def npy(shape, payload=b""):
    header = str({"descr": "|u1", "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + payload


def npz(content):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("images.npy", content)
    return stream.getvalue()


def png(width, height):
    parts = {b"IHDR": struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT": zlib.compress(b""), b"IEND": b""}
    chunks = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts.items())
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


IDX = struct.pack(">HBB3I", 0, 8, 3, 10**6, 1000, 1000) + bytes(80)
CLAIMS = {
    "a.idx": (IDX, read_idx),
    "a.gz": (gzip.compress(IDX), read_idx),
    "a.npy": (npy((MANY, 1, 1), bytes(20)), datasets.load),
    "b.npy": (npy((10**6, 10**6, 0), b""), datasets.load),
    "a.npz": (npz(npy((MANY, 1, 1), bytes(20))), datasets.load),
    "c.npz": (npz(npy((MANY,), bytes(20))), checkpoint.load),
    "a.png": (png(10**6, 10**6), lambda path: pictures.read(path, 3)),
    "b.png": (png(5000, 5000), lambda path: pictures.read(path, 3)),
    "folder/a.png": (png(10**6, 10**6), lambda path: datasets.load(path.parent, image_size=8)),
    "folder/b.png": (png(9000, 9000), lambda path: datasets.load(path.parent, image_size=8)),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_hundred_bytes_that_claim_a_million_times_a_million(tmp_path, name):
    content, read = CLAIMS[name]
    assert len(content) < 300
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert "memory" not in str(caught.value)  # refused for what it claims, not for want of memory


@pytest.mark.parametrize("size", [5000, 9000])
def test_a_picture_that_is_mostly_nothing(tmp_path, size):
    """A bomb: it holds what it claims, and is larger than a picture of a data set or to be enhanced may be."""
    Image.new("1", (size, size)).save(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size < 20_000
    with pytest.raises(InputError, match="pixels, expected at most 16,777,216"):
        pictures.read(tmp_path / "a.png", 1)
    if size == 9000:
        with pytest.raises(InputError, match="there is no picture in"):
            datasets.load(tmp_path, image_size=8)


# ---- forged weights: well-formed files that say they are more than they hold


@pytest.mark.parametrize("change", [{"sample_shape": [10**9, 8, 1]}, {"classes": 10**9}, {"sample_shape": None}])
def test_a_classifier_that_claims_more_than_it_holds(tmp_path, change):
    Classifier((8, 8, 1)).save(tmp_path / "a.npz", {})
    arrays, about = checkpoint.load(tmp_path / "a.npz")
    checkpoint.save(tmp_path / "a.npz", arrays, {"classifier": about["classifier"] | change})
    with pytest.raises(InputError, match="holds no classifier of this version"):
        Classifier.load(tmp_path / "a.npz")


@pytest.mark.parametrize("change", [{"channels": 10**9}, {"channels": "three"}, {"factor": 10**9}])
def test_an_enhancer_that_claims_more_than_it_holds(tmp_path, change):
    Enhancer(1, EnhancementTask(2)).save(tmp_path / "a.npz", {})
    arrays, about = checkpoint.load(tmp_path / "a.npz")
    checkpoint.save(tmp_path / "a.npz", arrays, {"enhancer": about["enhancer"] | change})
    with pytest.raises(InputError, match="holds no enhancer of this version"):
        Enhancer.load(tmp_path / "a.npz")


@pytest.mark.parametrize("shape", [(10**9,), (10**6,), (10**6, 10**6, 3), (8, 8), (8, -8, 1), (2.0,), ("a",), ()])
def test_samples_of_no_possible_shape(shape):
    with pytest.raises(InputError, match="sample_shape is"):
        build_gan("toy", sample_shape=shape)


@pytest.mark.parametrize("shares", [[], [0, 0], [0.5, -0.5], [np.nan, 1], [1, 2, 3], [[1, 2]], 3.0])
def test_shares_of_conditions_that_cannot_be(shares):
    with pytest.raises(InputError, match="shares"):
        build_gan("toy", condition="labels", clusters=2, shares=shares)


# ---- nothing from a file is run


class Payload:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return (open, (self.path, "w"))


def test_no_pickle_is_opened(tmp_path):
    sprung = tmp_path / "sprung"
    objects = np.array([Payload(sprung)] * 3, dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", images=objects, about=np.array(json.dumps({"format": 1})), sums=objects)
    (tmp_path / "b.npz").write_bytes((tmp_path / "a.npy").read_bytes())
    for name in ("a.npy", "a.npz", "b.npz"):
        with pytest.raises(InputError):
            datasets.load(tmp_path / name)
        with pytest.raises(InputError):
            checkpoint.load(tmp_path / name)
    assert not sprung.exists()
    np.load(tmp_path / "a.npy", allow_pickle=True)
    assert sprung.exists(), "the trap itself does not work"


RUNNING = {"eval", "exec", "compile", "__import__", "extractall", "extract", "unpack_archive"}


def calls(source):
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield name, ast.unparse(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}


def suspicious(source):
    """The calls that could run what a file holds, or write where an archive says."""
    for name, full, words in calls(source):
        numpy_reads = full in ("np.load", "np.lib.format.read_array", "np.fromfile", "np.genfromtxt", "np.loadtxt")
        if (numpy_reads and words.get("allow_pickle") != "False") or (
            (name in RUNNING or full == "os.system") and not full.startswith("re.")
        ):
            yield full


# students' files are Python, and run in a process of their own (classroom/isolation.py)
@pytest.mark.parametrize("name", [name for name in SOURCES if not name.startswith("minigan.classroom")])
def test_no_call_that_runs_what_a_file_holds(name):
    assert not list(suspicious(SOURCES[name].read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source", ["np.load(p)", "np.load(p, allow_pickle=True)", "eval(t)", "archive.extractall(p)", "os.system(t)"]
)
def test_the_rule_can_fail(source):
    assert list(suspicious(source))


def test_postscript_is_no_picture(tmp_path, monkeypatch):
    """Pillow hands it to Ghostscript, a program that runs what is in it."""

    def run(*_, **__):
        raise AssertionError("Ghostscript was called")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", run)
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "a.png").write_bytes(text)
    with pytest.raises(AssertionError, match="Ghostscript was called"), Image.open(tmp_path / "a.png") as image:
        image.load()
    with pytest.raises(InputError, match="cannot be read as a picture"):
        pictures.read(tmp_path / "a.png", 1)
    with pytest.raises(InputError, match="there is no picture in"):
        datasets.load(tmp_path, image_size=8)


def test_odd_files_leave_no_warning(tmp_path, recwarn, capsys):
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\xff"
    Image.new("L", (9, 9)).save(tmp_path / "a.jpg", exif=exif)
    assert pictures.read(tmp_path / "a.jpg", 1).shape == (9, 9, 1)
    assert datasets.load(tmp_path, image_size=8)[0].shape == (1, 8, 8, 1)
    assert not [warning for warning in recwarn if "EXIF" in str(warning.message)]
    assert capsys.readouterr().err == ""
