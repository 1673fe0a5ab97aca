"""One's own pictures: a folder of them, good, odd and hostile, and arrays in .npy and .npz."""

import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_hostile import png

from minigan.base.errors import InputError
from minigan.datasets import folder as folders
from minigan.datasets import load
from minigan.datasets.folder import load_folder

COLOURS = {"blue": (10, 20, 230), "green": (15, 220, 30), "red": (240, 25, 5)}


def plain(colour, width=12, height=12):
    return Image.new("RGB", (width, height), colour)


def read_one(path, size=8):
    """The only picture in a folder."""
    images, labels, names = load_folder(path, size)
    assert (labels, names) == (None, [])
    assert len(images) == 1
    return images[0]


# ---- a folder


def test_colours_labels_and_order(tmp_path):
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for i in range(3):
            plain(colour).save(tmp_path / name / f"{i}.{('png', 'jpg', 'JPEG')[i]}", quality=100)
    images, labels, names = load_folder(tmp_path, 8)
    assert names == ["blue", "green", "red"]
    assert (images.shape, images.dtype, labels.dtype) == ((9, 8, 8, 3), np.uint8, np.int64)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for image, label in zip(images, labels, strict=True):
        wanted = list(COLOURS.values())[label]
        assert np.abs(image.astype(int) - wanted).max() <= 4  # JPEG's rounding


def test_every_tenth_is_for_testing(tmp_path):
    for i in range(25):
        plain((10 * i, 0, 99)).save(tmp_path / f"{i:02}.png")
    train, test = (load(tmp_path, split, image_size=4)[0][:, 0, 0, 0] for split in ("train", "test"))
    assert test.tolist() == [90, 190]
    assert train.tolist() == [10 * i for i in range(25) if i not in (9, 19)]
    again = load(str(tmp_path), "test", 4)[0][:, 0, 0, 0]
    np.testing.assert_array_equal(test, again)
    for path in sorted(tmp_path.iterdir())[9:]:
        path.unlink()
    with pytest.raises(InputError, match="holds 9 pictures, too few for a test split; expected at least 10"):
        load(tmp_path, "test", image_size=4)
    assert len(load(tmp_path, "train", image_size=4)[0]) == 9


def test_the_square_in_the_middle_is_kept(tmp_path):
    for wide in (True, False):
        picture = np.zeros((30, 90, 3), np.uint8)
        picture[:, :30], picture[:, 30:60], picture[:, 60:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
        Image.fromarray(picture if wide else picture.transpose(1, 0, 2)).save(tmp_path / "picture.png")
        assert (read_one(tmp_path) == (0, 255, 0)).all()
    left = np.zeros((32, 32, 3), np.uint8)
    left[:, :16, 0] = left[:16, :, 1] = 200  # neither mirrored nor turned
    Image.fromarray(left).save(tmp_path / "picture.png")
    image = read_one(tmp_path)
    assert (image[:, 0, 0] > 150).all()
    assert (image[:, -1, 0] < 50).all()
    assert (image[0, :, 1] > 150).all()
    assert (image[-1, :, 1] < 50).all()


def test_a_photograph_that_was_taken_sideways_is_upright(tmp_path):
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:8] = 250
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(picture).save(tmp_path / "picture.jpg", exif=exif, quality=100)
    image = read_one(tmp_path)
    assert image[:, -1].min() > 200
    assert image[:, 0].max() < 50


def test_a_large_jpeg_is_the_mean_of_its_pixels(tmp_path):
    half = np.zeros((512, 512, 3), np.uint8)
    half[::2] = 200
    Image.fromarray(half).save(tmp_path / "picture.jpg", quality=100)
    assert np.abs(read_one(tmp_path).astype(int) - 100).max() <= 3


def test_a_larger_jpeg_keeps_what_the_small_picture_can_show(tmp_path):
    checks = (np.indices((8, 8)).sum(axis=0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checks.repeat(4, 0).repeat(4, 1)).save(tmp_path / "picture.jpg", quality=95)
    assert np.abs(read_one(tmp_path)[..., 0].astype(int) - checks).max() < 100


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_grey_pictures_have_one_channel_whatever_the_file_says(tmp_path, mode):
    grey = np.repeat(np.array([[0, 85, 170, 255]], np.uint8), 4, axis=0)
    grey = grey.repeat(4, 0).repeat(4, 1)
    if mode == "1":
        grey[(grey > 0) & (grey < 200)] = 0
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    image.save(tmp_path / "picture.png")
    out = read_one(tmp_path, 16)
    assert out.shape == (16, 16, 1)
    np.testing.assert_array_equal(out[..., 0], grey)


def test_one_colour_picture_makes_all_of_them_colour(tmp_path):
    Image.new("L", (8, 8), 77).save(tmp_path / "a.png")
    assert load_folder(tmp_path, 8)[0].shape == (1, 8, 8, 1)
    plain(COLOURS["red"]).save(tmp_path / "b.png")
    images, _, _ = load_folder(tmp_path, 8)
    assert images.shape == (2, 8, 8, 3)
    assert (images[0] == 77).all()


def test_what_is_transparent_is_white(tmp_path):
    Image.new("RGBA", (8, 8), (200, 0, 0, 0)).save(tmp_path / "clear.png")
    assert (read_one(tmp_path) == 255).all()
    Image.new("RGBA", (8, 8), (200, 0, 0, 128)).save(tmp_path / "clear.png")
    np.testing.assert_allclose(read_one(tmp_path)[0, 0], [227, 127, 127], atol=1)


def test_broken_files_are_named_and_skipped(tmp_path, capsys):
    plain(COLOURS["green"]).save(tmp_path / "good.png")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for ending in ("png", "jpg"):
        Image.fromarray(noise).save(tmp_path / f"cut.{ending}")
        whole = (tmp_path / f"cut.{ending}").read_bytes()
        (tmp_path / f"cut.{ending}").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "page.jpg").write_bytes(b"<html>404</html>")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "bomb.png").write_bytes(png(10_001, 10_000))
    (tmp_path / "huge.png").write_bytes(png(2**31 - 1, 2**31 - 1))
    Image.fromarray(noise).save(tmp_path / "other.pcx")
    (tmp_path / ".hidden").write_bytes(b"x")
    images, _, _ = load_folder(tmp_path, 8)
    assert (images == np.array(COLOURS["green"])).all()
    assert len(images) == 1
    lines = capsys.readouterr().err.splitlines()
    broken = {"bomb.png", "cut.jpg", "cut.png", "empty.png", "huge.png", "notes.txt", "other.pcx", "page.jpg"}
    assert {line.split(": ")[0] for line in lines} == {f"skipped {tmp_path / name}" for name in broken}
    assert "10001 x 10000 pixels, expected at most 33,554,432" in next(line for line in lines if "bomb" in line)


def test_damage_of_any_kind_is_survived(tmp_path, capsys):
    rng, buffers = np.random.default_rng(1), []
    for kind in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(buffer, kind)
        buffers.append(buffer.getvalue())
    for i in range(300):
        damaged = bytearray(buffers[i % 2])
        for place in rng.integers(0, len(damaged), 3):
            damaged[place] = rng.integers(256)
        (tmp_path / f"{i:03}").write_bytes(damaged[: rng.integers(1, len(damaged))] if i % 3 == 0 else damaged)
    plain(COLOURS["red"]).save(tmp_path / "zzz.png")
    images, _, _ = load_folder(tmp_path, 8)
    assert (images[-1] == COLOURS["red"]).all()
    err = capsys.readouterr().err
    assert err.count("skipped") == folders.MOST_NAMED + 1
    assert f"skipped {301 - len(images) - folders.MOST_NAMED} more files" in err


def test_labels_of_those_that_can_be_read(tmp_path, capsys):
    for name in ("a", "b", "c", ".cache", "b/deeper"):
        (tmp_path / name).mkdir()
    plain((9, 9, 9)).save(tmp_path / "a" / "x.png")
    (tmp_path / "b" / "broken.png").write_bytes(b"no")
    plain((1, 2, 3)).save(tmp_path / ".cache" / "thumbnail.png")
    plain((5, 5, 5)).save(tmp_path / "c" / "x.png")
    plain((7, 7, 7)).save(tmp_path / "top.png")
    images, labels, names = load_folder(tmp_path, 8)
    assert names == ["a", "c"]
    assert images[:, 0, 0, 0].tolist() == [9, 5]
    assert labels.tolist() == [0, 1]  # 0, 1, … without gaps
    err = capsys.readouterr().err
    assert f"skipped {tmp_path / 'top.png'}: lies beside the sub-folders, which are the labels" in err
    plain((6, 6, 6)).save(tmp_path / "b" / "deeper" / "x.png")
    assert load_folder(tmp_path, 8)[1].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("content", "size"), [(None, 8), (b"text", 8), (None, None), (b"text", None)])
def test_a_folder_without_use(tmp_path, content, size):
    if content:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"there is no picture in .* that can be read, such as a PNG or a JPEG;"):
        load(tmp_path, "train", size)


def test_a_size_goes_with_a_folder_only():
    for name in ("mnist", "ring", "pictures.npz"):
        with pytest.raises(
            InputError, match=f"image_size goes with a folder of pictures; {name} has a size of its own"
        ):
            load(name, "train", 32)


# ---- arrays


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (20, 5, 6, 3), np.uint8)


def save(path, **content):
    np.savez(path, **content) if path.suffix == ".npz" else np.save(path, content["images"])
    return path


@pytest.mark.parametrize(
    ("images", "match"),
    [
        (lambda p: p / 255 - 1.5, "images go from -1.5 to .*, expected 0 to 255, 0 to 1, -1 to 1, or 0 to 65535"),
        (lambda p: p.astype(int) - 128, "images go from -128 to"),
        (lambda p: p / 255 * 16, "from 0 to 16, which can be dark pictures in 0 to 255, or ones in 0 to 16; multiply"),
        (lambda p: p.astype(int) * 16, "to 4080, which can be dark pictures in 0 to 65535, or ones in 0 to 4080"),
        (lambda p: p.astype(int) * 1000, "images go from 0 to 255000"),
        (lambda p: p[..., :2], r"shape \(20, 5, 6, 2\), expected \(N, H, W\), .* with 1, 3 or 4 channels"),
        (lambda p: p[:, :3], r"\(20, 3, 6, 3\), which can be channels .*, or channels .*the numbers do not tell"),
        (
            lambda p: p[:, :4, :4].reshape(20, 48),
            "colour pictures of 4 x 4, channels .*, or colour pictures of 4 x 4,",
        ),
        (lambda p: p[:, 0], r"\(20, 6, 3\), which can be 20 grey pictures of 6 x 3, or one picture of 20 x 6 with 3"),
        (lambda p: np.concatenate([p, p], 3)[..., :4], "four channels, which can be red, green, blue and opacity, or"),
        (lambda p: p[0, 0, 0], r"shape \(3,\)"),
        (lambda p: p[:0], r"shape \(0, 5, 6, 3\)"),
        (lambda p: p.astype("c8"), "it holds complex64"),
        (lambda p: p.astype("S1"), "images are |S1, expected numbers"),
        (lambda p: np.zeros(3, [("a", "u1")]), "it holds .*, expected numbers, or text as labels"),
    ],
)
def test_other_arrays_are_refused(tmp_path, pictures, images, match):
    pictures[0, :2] = 0, 128, 255
    with pytest.raises(InputError, match=match):
        load(save(tmp_path / "p.npz", images=images(pictures)))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_pictures_without_numbers_are_counted_and_the_first_is_named(tmp_path, pictures, wrong):
    images = pictures / 255
    images[[7, 12], 1, 2, 0] = wrong
    with pytest.raises(InputError, match="2 of 20 images hold NaN or infinity, the first of them is number 7 "):
        load(save(tmp_path / "p.npy", images=images))


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.zeros(19, int), r"labels are int64 \(19,\), expected one for each of 20 pictures, \(20,\), or one-hot"),
        (np.full(20, 0.5), "labels hold 0.5, expected whole numbers or names"),
        (np.full(20, np.nan), "labels hold nan"),
        (np.ones((20, 3)), r"labels are float64 \(20, 3\)"),
        (np.full((20, 3), "a"), r"labels are <U1 \(20, 3\)"),
    ],
)
def test_other_labels_are_refused(tmp_path, pictures, labels, match):
    with pytest.raises(InputError, match=match):
        load(save(tmp_path / "p.npz", images=pictures, labels=labels))


def claim(shape, dtype="|u1", content=b""):
    """A .npy whose header claims this."""
    buffer = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + content


@pytest.mark.parametrize("shape", [(10**12, 28, 28), (2**62, 2**62, 4), (200, 2, 2), (-1, 28, 28)])
def test_claims_are_held_against_the_file(tmp_path, shape):
    (tmp_path / "p.npy").write_bytes(claim(shape, content=b"x" * 50))
    with zipfile.ZipFile(tmp_path / "p.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", claim(shape, content=b"x" * 50))
    for ending in ("npy", "npz"):
        with pytest.raises(InputError, match=r"its header claims|damaged or no"):
            load(tmp_path / f"p.{ending}")


def test_an_entry_that_lies_about_its_size(tmp_path):
    path = tmp_path / "p.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", claim((10**9, 28, 28), content=b"x" * 50))
        size = archive.getinfo("images.npy").file_size
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", size), struct.pack("<I", 2**32 - 2)))
    with pytest.raises(InputError, match="images claims 4294967294 bytes, more than a file of this size can hold"):
        load(path)


def test_truncated_or_longer_or_damaged_arrays(tmp_path, pictures):
    for ending in ("npy", "npz"):
        path = save(tmp_path / f"p.{ending}", images=pictures)
        whole = path.read_bytes()
        for length in (0, 3, 9, 60, 130, len(whole) - 200, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(InputError, match=f"p.{ending}: "):
                load(path)
        if ending == "npy":
            path.write_bytes(whole + b"x")
            with pytest.raises(InputError, match="it has more than the 1800 bytes its header claims"):
                load(path)
        else:
            path.write_bytes(whole[:500] + b"~" + whole[501:])
            with pytest.raises(InputError, match=r"damaged or no .npz file"):
                load(path)


def test_other_files_are_refused(tmp_path, pictures):
    with pytest.raises(InputError, match='there is no array "images" in it'):
        load(save(tmp_path / "p.npz", x=pictures))
    with pytest.raises(InputError, match=r"there is no folder or file .*nothing.npz, seen from .*; put it back there"):
        load(tmp_path / "nothing.npz")
    (tmp_path / "page.npz").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"damaged or no .npz file"):
        load(tmp_path / "page.npz")
    with zipfile.ZipFile(tmp_path / "lzma.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("images.npy", claim((10, 2, 2), content=bytes(40)))
    with pytest.raises(InputError, match="compressed in a way that NumPy does not use"):
        load(tmp_path / "lzma.npz")
