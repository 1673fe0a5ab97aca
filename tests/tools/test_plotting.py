"""The pictures show what they should: every pixel of a grid, every point of a cloud, every value of a curve."""

import numpy as np
import pytest
from PIL import Image

from minigan.base.errors import InputError
from minigan.tools import plotting

COLUMNS = ("step", "d_loss", "g_loss", "d_real", "d_fake")


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def noise(*shape):
    return np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)


# ---- grids


def test_grid_puts_each_picture_in_its_place_and_white_elsewhere():
    images = np.arange(5 * 3 * 4, dtype=np.uint8).reshape(5, 3, 4, 1)
    sheet = plotting.grid(images, columns=2)
    assert sheet.dtype == np.uint8
    assert sheet.shape == (2 + 3 * (3 + 2), 2 + 2 * (4 + 2), 1)
    for i, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]):
        top, left = 2 + row * 5, 2 + column * 6
        place = sheet[top : top + 3, left : left + 4]
        np.testing.assert_array_equal(place, images[i])
        place[:] = 255
    assert (sheet == 255).all()  # the margins and the sixth place, which stays empty


@pytest.mark.parametrize(
    ("n", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (5, 2, 3), (9, 3, 3), (10, 3, 4), (100, 10, 10)]
)
def test_grid_is_about_square(n, rows, columns):
    black = np.zeros((n, 4, 4, 1), np.uint8)
    sheet = plotting.grid(black)
    assert sheet.shape == (2 + 6 * rows, 2 + 6 * columns, 1)
    assert np.count_nonzero(sheet == 0) == n * 16


def test_grid_maps_the_range_of_networks_to_that_of_files():
    values = [-1, 1, 0.99, 0.0, -0.5, 1.5, -3]  # what is outside is clipped
    images = np.array(values, np.float32).reshape(-1, 1, 1, 1)
    sheet = plotting.grid(images, columns=len(values))
    assert sheet[2, 2::3, 0].tolist() == [0, 255, 254, 128, 64, 255, 0]


def test_grid_keeps_colours_and_its_input():
    images = noise(2, 2, 2, 3)
    before = images.copy()
    sheet = plotting.grid(images, columns=2)
    assert sheet.shape == (6, 10, 3)
    np.testing.assert_array_equal(sheet[2:4, 6:8], np.rint((images[1] + 1) * 127.5))
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("shape", [(5, 4, 4), (4, 4), (5, 4, 4, 2), (5, 4, 4, 4), (5, 2)])
def test_grid_refuses_other_shapes(shape):
    with pytest.raises(InputError, match=r"grid: images have shape .*expected \(N, H, W, C\) with C 1 or 3"):
        plotting.grid(np.zeros(shape, np.uint8))


def test_grid_refuses_nan():
    with pytest.raises(InputError, match="NaN"):
        plotting.grid(np.full((1, 2, 2, 1), np.nan, np.float32))


# ---- files of samples


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("n", "size"), [(1, 28), (4, 28), (100, 28), (4, 300), (9, 400)])
def test_a_saved_grid_is_the_grid_shown_larger_where_it_is_small(tmp_path, channels, n, size):
    samples = noise(n, size, size, channels)
    plotting.save_samples(tmp_path / "x.png", samples)
    got = pixels(tmp_path / "x.png")
    assert got.ndim == (2 if channels == 1 else 3)
    sheet = plotting.grid(samples)
    scale = len(got) // len(sheet)
    assert scale == 1 or max(got.shape) <= 1000
    assert len(got) >= 450  # large enough to see on a screen
    expected = np.kron(sheet, np.ones((scale, scale, 1), np.uint8))
    np.testing.assert_array_equal(got.reshape(expected.shape), expected)


def test_a_saved_grid_has_the_columns_asked_for(tmp_path):
    plotting.save_samples(tmp_path / "x.png", noise(6, 300, 300, 1), columns=6)
    assert pixels(tmp_path / "x.png").shape == (304, 2 + 6 * 302)


def red(image):
    return (image[..., 0] > 150) & (image[..., 1] < 90) & (image[..., 2] < 90)


def test_a_cloud_shows_each_sample_where_it_is(tmp_path):
    # the axes are found by their extreme points, then a third point must lie where these say
    samples = np.array([[-1, 1], [1, -1], [0.5, -0.25]], np.float32)
    plotting.save_samples(tmp_path / "x.png", samples)
    image = pixels(tmp_path / "x.png")
    assert image.shape[:2] == (500, 500)
    image[:90, 350:][red(image[:90, 350:])] = 255  # the legend in the corner has a red dot of its own
    rows, columns = np.nonzero(red(image))
    left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()
    assert right - left > 250
    assert abs((right - left) - (bottom - top)) <= 2  # as wide as high: aspect equal
    x = left + (right - left) * (0.5 + 1) / 2
    y = bottom - (bottom - top) * (-0.25 + 1) / 2
    inner = (columns > left + 5) & (columns < right - 5)
    assert columns[inner].mean() == pytest.approx(x, abs=2)
    assert rows[inner].mean() == pytest.approx(y, abs=2)


def test_a_cloud_lies_over_the_data(tmp_path):
    samples, data = np.array([[0.0, 0.0]], np.float32), np.array([[-0.8, 0.0], [0.0, 0.0]], np.float32)
    plotting.save_samples(tmp_path / "x.png", samples, data)
    with_data = pixels(tmp_path / "x.png").astype(int)
    plotting.save_samples(tmp_path / "y.png", samples)
    without = pixels(tmp_path / "y.png").astype(int)
    changed = np.abs(with_data - without).max(axis=2) > 30
    changed[:90, 250:] = False  # the legend, which is wider now
    assert changed.any()
    rows, columns = np.nonzero(changed)
    where = np.nonzero(red(with_data.astype(np.uint8))[90:])[1].mean()
    # only the grey point to the left is new: the one under the sample stays hidden
    assert columns.max() < where - 50
    assert np.ptp(columns) < 10
    assert np.ptp(rows) < 10


# ---- curves


@pytest.fixture
def figures(monkeypatch):
    """The figures as matplotlib holds them, before they become pixels."""
    kept, save = [], plotting._save_figure

    def keep(figure, path):
        kept.append(figure)
        save(figure, path)

    monkeypatch.setattr(plotting, "_save_figure", keep)
    return kept


def a_log(n):
    rng = np.random.default_rng(1)
    return {"step": [10.0 * (i + 1) for i in range(n)], **{name: list(rng.uniform(0, 2, n)) for name in COLUMNS[1:]}}


def test_curves_show_the_log_and_its_moving_average(tmp_path, figures):
    log = a_log(60)
    log["g_loss"][1::2] = [None] * 30  # steps in which G did not move
    plotting.save_losses(tmp_path / "losses.png", log)
    assert pixels(tmp_path / "losses.png").shape[:2] == (600, 900)
    upper, lower = figures[0].axes
    for axes, names in ((upper, ("d_loss", "g_loss")), (lower, ("d_real", "d_fake"))):
        lines = axes.get_lines()
        assert len(lines) == 4
        for i, name in enumerate(names):
            known = [(step, value) for step, value in zip(log["step"], log[name], strict=True) if value is not None]
            values = [value for _, value in known]
            width = max(1, len(known) // 20)
            smooth = [np.mean(values[max(0, k + 1 - width) : k + 1]) for k in range(len(values))]
            raw, averaged = lines[2 * i : 2 * i + 2]
            np.testing.assert_allclose(raw.get_xydata(), known)
            np.testing.assert_allclose(averaged.get_xydata(), np.column_stack([[s for s, _ in known], smooth]))
            assert raw.get_color() == averaged.get_color()
        assert lines[0].get_color() != lines[2].get_color()
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["discriminator", "generator"]
    assert [text.get_text() for text in lower.get_legend().get_texts()] == ["D(x), real", "D(G(z)), fake"]


@pytest.mark.parametrize("n", [0, 1])
def test_curves_of_a_run_that_has_hardly_begun(tmp_path, figures, n):
    plotting.save_losses(tmp_path / "losses.png", a_log(n))
    assert [len(line.get_xdata()) for line in figures[0].axes[0].get_lines()] == [n] * 4
    assert pixels(tmp_path / "losses.png").shape[:2] == (600, 900)


# ---- films


@pytest.mark.parametrize("channels", [1, 3])
def test_a_film_has_every_picture_in_order_and_holds_the_last(tmp_path, channels):
    paths = []
    for i in range(4):
        picture = np.full((20, 20, channels), 40 * i, np.uint8)
        picture[i, :, 0] = 250
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(picture.squeeze()).save(paths[-1])
    plotting.save_gif(tmp_path / "x.gif", paths, seconds=2.0)
    with Image.open(tmp_path / "x.gif") as film:
        assert film.format == "GIF"
        assert film.n_frames == 4
        assert film.info["loop"] == 0
        for i, path in enumerate(paths):
            film.seek(i)
            got, expected = np.array(film.convert("RGB"), int), np.array(Image.open(path).convert("RGB"), int)
            np.testing.assert_allclose(got, expected, atol=2)
            assert film.info["duration"] == (500 if i < 3 else 2500)


def test_a_film_of_nothing_leaves_the_film_before(tmp_path):
    (tmp_path / "x.gif").write_bytes(b"the film before")
    plotting.save_gif(tmp_path / "x.gif", [])
    assert (tmp_path / "x.gif").read_bytes() == b"the film before"
    assert len(list(tmp_path.iterdir())) == 1
