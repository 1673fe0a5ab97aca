"""Picture files: what is read is what a viewer shows, and pictures beside each other keep their rows."""

import numpy as np
import pytest
from PIL import Image

from minigan.base import pictures
from minigan.base.errors import InputError
from minigan.tools import plotting


def test_a_comparison_keeps_rows_together(tmp_path, monkeypatch):
    rooms, grid = [], plotting.grid
    monkeypatch.setattr(plotting, "grid", lambda images, columns: rooms.append(images) or grid(images, columns))
    small, large = np.full((2, 4, 4, 1), 7, np.uint8), np.full((2, 8, 12, 1), 9, np.uint8)
    plotting.save_comparison(tmp_path / "x.png", {"input": small, "truth": large})
    assert rooms[0].shape == rooms[1].shape
    assert (rooms[0][:, 2:6, 4:8] == 7).all()
    assert (rooms[0] == 255).sum() == 2 * (8 * 12 - 16)
    assert (rooms[1] == 9).all()


def test_reading_pictures(tmp_path):
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    path = tmp_path / "x.png"
    pictures.write(path, colours)
    np.testing.assert_array_equal(pictures.read(path, 3), colours)
    luma = colours @ np.array([0.299, 0.587, 0.114])
    assert abs(pictures.read(path, 1)[..., 0] - luma).max() <= 1
    deep = rng.integers(0, 2**16, (5, 6)).astype(np.uint16)
    Image.fromarray(deep).save(path)
    assert abs(pictures.read(path, 1)[..., 0] - deep / 257.0).max() <= 1
    clear = np.dstack([colours, np.full((5, 6), 255, np.uint8)])
    clear[0, :, 3] = 0
    Image.fromarray(clear).save(path)
    seen = pictures.read(path, 3)
    assert (seen[0] == 255).all()
    np.testing.assert_array_equal(seen[1:], colours[1:])
    turned = Image.fromarray(colours)
    exif = turned.getexif()
    exif[0x0112] = 6  # a camera held upright
    turned.save(path, exif=exif)
    np.testing.assert_array_equal(pictures.read(path, 3), np.rot90(colours, -1))
    Image.fromarray(np.zeros((5, 6), np.float32)).save(tmp_path / "x.tiff")
    with pytest.raises(InputError, match="numbers of 32 bits"):
        pictures.read(tmp_path / "x.tiff", 1)
