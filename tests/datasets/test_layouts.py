"""Every layout in which people keep their pictures: written to disk as they do, read back pixel by pixel.

The picture is one that no transposed axis, swapped channel or other range leaves as it is.
"""

import csv
import struct

import numpy as np
import pytest
from PIL import Image

from minigan.base import pictures
from minigan.base.errors import InputError
from minigan.datasets import class_names, load, natural_size, own
from minigan.datasets.folder import load_folder

SIDE, COUNT = 6, 24


def smooth(height=SIDE, width=SIDE):
    """COUNT colour pictures: brighter downwards, less so to the right, red before green before blue."""
    rows, columns = np.mgrid[:height, :width]
    n = np.arange(COUNT)[:, None, None, None]
    picture = (20 * rows + 3 * columns)[..., None] + np.array([40, 20, 0]) + n
    picture = np.broadcast_to(picture, (COUNT, height, width, 3)).astype(np.uint8)
    picture[0, 0, 0], picture[1, 0, 0] = 0, 255  # the whole range
    return picture


COLOUR, WIDE = smooth(), smooth(5, 8)
GREY = COLOUR[..., :1]
CLASSES = np.arange(COUNT) % 3
TEST = np.arange(1, COUNT + 1) % 10 == 0


def check(path, images, labels=None, names=(), test=TEST):
    """That the file at `path` is read as these images, with labels (indices) and names, parted so."""
    for split, part in (("train", ~test), ("test", test)):
        got, got_labels = load(path, split)
        np.testing.assert_array_equal(got, images[part])
        assert got.dtype == np.uint8
        if labels is None:
            assert got_labels is None
        else:
            np.testing.assert_array_equal(got_labels, labels[part])
            assert got_labels.dtype == np.int64
    assert class_names(path) == list(names)


# ---- the axes


@pytest.mark.parametrize(
    ("array", "images", "said"),
    [
        (COLOUR, COLOUR, None),
        (WIDE, WIDE, None),
        (WIDE[..., 0], WIDE[..., :1], None),
        (WIDE.transpose(0, 3, 1, 2), WIDE, "channels first"),
        (WIDE[..., :1].transpose(0, 3, 1, 2), WIDE[..., :1], "channels first"),
        (smooth(4, 4), smooth(4, 4), None),  # its rows are no channels: square pictures are likelier
        (smooth(4, 4).transpose(0, 3, 1, 2), smooth(4, 4), "channels first"),
        (GREY.reshape(COUNT, -1), GREY, "grey pictures of 6 x 6"),
        (COLOUR.reshape(COUNT, -1), COLOUR, "colour pictures of 6 x 6, channels last"),
        (COLOUR.transpose(0, 3, 1, 2).reshape(COUNT, -1), COLOUR, "colour pictures of 6 x 6, channels first"),
        (np.asfortranarray(WIDE), WIDE, None),
    ],
)
@pytest.mark.parametrize("how", [np.save, np.savez])
def test_orders_of_the_axes(tmp_path, capsys, how, array, images, said):
    path = tmp_path / f"p.{'npy' if how is np.save else 'npz'}"
    np.save(path, array) if how is np.save else np.savez(path, images=array)
    check(path, images)
    lines = capsys.readouterr().err.splitlines()
    shape = "×".join(map(str, array.shape))
    n, h, w, c = images.shape
    assert lines == ([f"{path}: {shape} read as {n} pictures {h} x {w} x {c}: {said}"] if said else [])


def test_four_channels_are_shown_on_white(tmp_path):
    opacity = np.full((COUNT, 5, 8, 1), 255, np.uint8)
    opacity[:, 0], opacity[:, 1] = 0, 128
    rgba = np.concatenate([WIDE, opacity], axis=3)
    wanted = WIDE.astype(float)
    wanted[:, 0], wanted[:, 1] = 255, wanted[:, 1] * (128 / 255) + 255 * (127 / 255)
    for array in (rgba, rgba.transpose(0, 3, 1, 2), rgba / 255):
        np.save(tmp_path / "p.npy", array)
        check(tmp_path / "p.npy", np.rint(wanted).astype(np.uint8))


# ---- the values


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (WIDE.astype(np.int64), "values from 0 to 255"),
        (WIDE.astype(">i2"), "values from 0 to 255"),
        (WIDE.astype(np.float32), "values from 0 to 255"),
        (WIDE.astype(np.uint16) * 257, "values from 0 to 65535 (16 bits)"),
        (WIDE / 255, "values from 0 to 1"),
        (WIDE / 255 - 1e-5, "values from 0 to 1"),
        ((WIDE / 127.5 - 1).astype(">f4"), "values from -1 to 1"),
    ],
)
def test_ranges_of_the_values(tmp_path, capsys, array, said):
    np.save(tmp_path / "p.npy", array)
    check(tmp_path / "p.npy", WIDE)
    assert capsys.readouterr().err.endswith(f"read as 24 pictures 5 x 8 x 3: {said}\n")


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.float64])
def test_black_and_white(tmp_path, dtype):
    white = WIDE[..., 0] > 70
    np.save(tmp_path / "p.npy", white.astype(dtype))
    check(tmp_path / "p.npy", 255 * white[..., None].astype(np.uint8))


# ---- files of arrays, as libraries make them


@pytest.mark.parametrize("names", [("images", "labels"), ("X", "y"), ("data", "target")])
def test_names_of_arrays(tmp_path, names):
    np.savez(tmp_path / "p.npz", **dict(zip(names, (WIDE, CLASSES), strict=True)), other=np.zeros(3))
    check(tmp_path / "p.npz", WIDE, CLASSES, "012")
    np.savez(tmp_path / "p.npz", **{names[0]: WIDE})
    check(tmp_path / "p.npz", WIDE)


def test_the_layout_of_keras_has_its_own_test_split(tmp_path):
    test = np.arange(COUNT) >= 20
    labels = np.where(test, 7, 2 * CLASSES)  # one of which occurs in the test split only
    parts = {"x_train": WIDE[~test], "y_train": labels[~test], "x_test": WIDE[test], "y_test": labels[test]}
    np.savez(tmp_path / "p.npz", **parts)
    check(tmp_path / "p.npz", WIDE, np.where(test, 3, CLASSES), ["0", "2", "4", "7"], test)
    del parts["y_test"]
    np.savez(tmp_path / "p.npz", **parts)
    with pytest.raises(InputError, match="of y_train and y_test there is only one, expected both or none"):
        load(tmp_path / "p.npz")
    np.savez(tmp_path / "p.npz", **parts | {"x_test": COLOUR})
    with pytest.raises(InputError, match=r"x_test is uint8 \(24, 6, 6, 3\) and x_train .*, expected pictures of one"):
        load(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (CLASSES.astype(np.uint8), "012"),
        (1000 * CLASSES, ["0", "1000", "2000"]),
        (CLASSES - 1, ["-1", "0", "1"]),
        (CLASSES.astype(np.float32), "012"),
        (CLASSES[:, None], "012"),
        (np.eye(3)[CLASSES], "012"),
        (np.eye(5, dtype=bool)[[1, 3, 4]][CLASSES], "134"),
        (np.array(["cat", "dog", "emu"])[CLASSES], ["cat", "dog", "emu"]),
        (np.array([b"cat", "dög".encode(), b"emu"])[CLASSES], ["cat", "dög", "emu"]),
        (np.array(["a\x1b[31m", "b" * 90, "c\nd"])[CLASSES], ["a?[31m", None, "c d"]),
    ],
)
def test_labels_however_they_are_written(tmp_path, labels, names):
    np.savez(tmp_path / "p.npz", images=WIDE, labels=labels)
    names = [name or "b" * 20 + " … " + "b" * 57 for name in names]
    check(tmp_path / "p.npz", WIDE, CLASSES, names)


# ---- tables


@pytest.mark.parametrize(
    ("header", "place", "labels", "names"),
    [
        (True, 0, 3 * CLASSES, ["0", "3", "6"]),  # Kaggle's
        (False, 0, CLASSES, "012"),
        (True, -1, np.array(["cat", "dog", "emu"])[CLASSES], ["cat", "dog", "emu"]),
        (True, None, None, ()),  # Kaggle's test.csv
        (False, None, None, ()),
        ("counted", 0, CLASSES, "012"),  # pandas'
    ],
)
def test_tables(tmp_path, header, place, labels, names):
    rows = GREY.reshape(COUNT, -1).tolist()
    titles = [f"pixel{i}" for i in range(SIDE**2)]
    if place is not None:
        for row, label in zip([titles, *rows], ["label", *labels.tolist()], strict=True):
            row.insert(0 if place == 0 else len(row), label)
    if header == "counted":
        titles = list(range(len(titles)))
    with open(tmp_path / "p.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([titles, *rows] if header else rows)
    check(tmp_path / "p.csv", GREY, None if labels is None else CLASSES, names)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "there is no row of pixels in it"),
        ("label,a,b,c,d\n", "there is no row of pixels in it"),
        ("label,a,b,c,d\n1,2,3,255,4\n1,2,3,x,4\n", "row 3 holds something else than numbers, expected 4 numbers"),
        ("label,a,b,c,d\n1,2,3,255\n", "row 2 holds 3 pixels, expected 4 numbers"),
        ("a,b,c\n1,2,255\n3,4,5\n", "colour pictures of 1 x 1, channels .*, or colour pictures of 1 x 1, channels"),
        ("1,2,3,nan\n", "1 of 1 images hold NaN or infinity"),
        ("label,a,b,c,d\n0,1,2,3,16\n", "images go from 1 to 16, which can be dark pictures in 0 to 255, or"),
        ("<!DOCTYPE html>\n<html>404</html>\n", "row 2 holds something else than numbers"),
    ],
)
def test_other_tables_are_refused(tmp_path, text, match):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=match) as caught:
        load(tmp_path / "p.csv")
    assert str(caught.value).startswith(str(tmp_path / "p.csv"))


# ---- files of pictures


@pytest.mark.parametrize(("ending", "words"), [("png", {}), ("bmp", {}), ("tiff", {}), ("webp", {"lossless": True})])
def test_formats_of_pictures(tmp_path, ending, words):
    Image.fromarray(COLOUR[3]).save(tmp_path / f"p.{ending}", **words)
    np.testing.assert_array_equal(load_folder(tmp_path, SIDE)[0], COLOUR[3:4])
    np.testing.assert_array_equal(pictures.read(tmp_path / f"p.{ending}", 3), COLOUR[3])


def test_of_a_film_the_first_picture_counts(tmp_path):
    frames = [Image.fromarray(picture[..., 0]) for picture in (COLOUR[3], 255 - COLOUR[3])]
    frames[0].save(tmp_path / "p.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(load_folder(tmp_path, SIDE)[0], COLOUR[3:4, ..., :1])


@pytest.mark.parametrize("ending", ["png", "tiff"])
def test_16_bits_become_the_nearest_8(tmp_path, ending):
    deep = np.random.default_rng(0).integers(0, 2**16, (SIDE, SIDE), np.uint16)
    deep[0, :3] = 0, 65535, 300  # 300 / 257 is 1, as is 300 >> 8; but 200 is 1, and 200 >> 8 is 0
    deep[1, 0] = 200
    Image.fromarray(deep).save(tmp_path / f"p.{ending}")
    wanted = np.rint(deep / 257).astype(np.uint8)[..., None]
    np.testing.assert_array_equal(load_folder(tmp_path, SIDE)[0][0], wanted)
    np.testing.assert_array_equal(pictures.read(tmp_path / f"p.{ending}", 1), wanted)


def test_16_bit_colours_in_a_tiff(tmp_path):
    """As scanners write them; Pillow itself writes none."""
    deep = (COLOUR[3].astype("<u2") * 257).tobytes()
    tags = [(256, 4, SIDE), (257, 4, SIDE), (258, 3, 3), (259, 3, 1), (262, 3, 2), (273, 4, 8)]
    tags += [(277, 3, 3), (278, 4, SIDE), (279, 4, len(deep))]
    after = 8 + len(deep) + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack("<HHII", tag, kind, 3 if tag == 258 else 1, after if tag == 258 else value)
        for tag, kind, value in tags
    )
    content = b"II*\0" + struct.pack("<I", 8 + len(deep)) + deep + struct.pack("<H", len(tags)) + entries
    (tmp_path / "p.tif").write_bytes(content + bytes(4) + struct.pack("<3H", 16, 16, 16))
    np.testing.assert_array_equal(load_folder(tmp_path, SIDE)[0], COLOUR[3:4])


@pytest.mark.parametrize(
    ("sides", "size"),
    [([9], 28), ([27, 28, 31], 28), ([31, 32, 500], 32), ([63, 64], 32), ([64, 80, 90], 64), ([2000], 64)],
)
def test_the_size_comes_from_the_median_of_the_shorter_sides(tmp_path, capsys, sides, size):
    for i, side in enumerate(sides):
        Image.new("L", (side, side + 40 * i), 7).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"no")
    assert natural_size(tmp_path) == size
    assert load(tmp_path)[0].shape == (len(sides), size, size, 1)
    said = f"{tmp_path}: pictures are brought to {size} x {size}; --image-size N for another size"
    assert said in capsys.readouterr().err.splitlines()


def test_a_folder_is_read_once_and_again_when_it_has_changed(tmp_path, monkeypatch):
    reads, load_once = [], own.load_folder
    monkeypatch.setattr(own, "load_folder", lambda path, size: reads.append(path) or load_once(path, size))
    for i in range(10):
        (tmp_path / "ab"[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(COLOUR[i]).save(tmp_path / "ab"[i % 2] / f"{i}.png")
    first = load(tmp_path, "train", SIDE)[0]
    first[...] = 0  # the caller's own
    assert load(tmp_path, "train", SIDE)[0].any()
    assert len(load(tmp_path, "test", SIDE)[0]) == 1
    assert class_names(tmp_path, SIDE) == ["a", "b"]
    assert len(reads) == 1
    Image.fromarray(COLOUR[11]).save(tmp_path / "a" / "more.png")
    assert len(load(tmp_path, "train", SIDE)[0]) == 10
    assert len(reads) == 2
