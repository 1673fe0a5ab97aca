"""Pictures of what training does: sample grids, clouds of points, loss curves, the film of a run."""

import math

import numpy as np

from minigan.base.errors import InputError
from minigan.base.files import atomic_write
from minigan.base.pixels import to_uint8

MARGIN = 2  # pixels between the pictures of a grid
LIMIT = 1.2  # a cloud's axes run from -LIMIT to LIMIT
LONGEST_NAME, WIDEST_NAMES = 24, 50  # characters of a class's name in a picture, of all side by side
PADDING = 6  # pixels around a name


def grid(images, columns=None):
    """One picture of many: images (N, H, W, C) in [-1, 1] or uint8 -> (H', W', C) uint8, row by row on white.

    C is 1 or 3; columns: the number a row, about √N unless given.
    """
    images = to_uint8(images)
    if images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(f"grid: images have shape {images.shape}, expected (N, H, W, C) with C 1 or 3.")
    n, h, w, c = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = np.full((rows * (h + MARGIN) + MARGIN, columns * (w + MARGIN) + MARGIN, c), 255, np.uint8)
    for i, image in enumerate(images):
        top, left = (MARGIN + (i // columns) * (h + MARGIN), MARGIN + (i % columns) * (w + MARGIN))
        sheet[top : top + h, left : left + w] = image
    return sheet


def save_samples(path, samples, reference=None, columns=None, rows=None):
    """A .png of samples: pictures (N, H, W, C) as a grid, or points (N, 2) as a cloud over `reference` points.

    rows: a name for each row of the grid, written on its left, if any.
    """
    if samples.ndim == 2:
        _save_cloud(path, samples, reference)
        return
    from PIL import Image

    sheet = grid(samples, columns)
    scale = max(1, 900 // max(sheet.shape[:2]))  # small pictures are shown larger, pixel by pixel
    sheet = sheet.repeat(scale, axis=0).repeat(scale, axis=1)
    picture = Image.fromarray(sheet[..., 0] if sheet.shape[2] == 1 else sheet)
    if rows is not None:
        picture = _with_names(picture, rows, scale * MARGIN, scale * (samples.shape[1] + MARGIN))
    with atomic_write(path) as temporary:
        picture.save(temporary)


def _with_names(picture, names, top, height):
    """The picture with a name on the left of each row; the first begins at `top`, each has that height (pixels)."""
    from matplotlib import get_data_path
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", max(8, min(18, height // 2)))
    names = list(map(_short, names))
    width = math.ceil(max(map(font.getlength, names))) + 2 * PADDING
    wider = Image.new(picture.mode, (width + picture.width, picture.height), "white")
    wider.paste(picture, (width, 0))
    for row, name in enumerate(names):
        ImageDraw.Draw(wider).text((PADDING, top + (row + 0.5) * height), name, "black", font, anchor="lm")
    return wider


def _save_cloud(path, points, reference):
    figure, axes = _figure(5, 5)
    if reference is not None:
        axes.plot(*reference.T, ".", color="#bbbbbb", markersize=2, label="data")
    axes.plot(*points.T, ".", color="#d62728", markersize=3, label="samples")
    axes.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal")
    axes.legend(loc="upper right", fontsize=8)
    _save_figure(figure, path)


def save_field(path, places, values, arrows, reference):
    """What D says of the plane: its `values` at `places` (N, 2) in colours, arrows (N, 2) along its gradient, over
    `reference` points."""
    figure, axes = _figure(6, 5)
    colours = axes.tricontourf(*places.T, values, levels=20, cmap="coolwarm")
    axes.plot(*reference.T, ".", color="#444444", markersize=1)
    axes.quiver(*places.T, *arrows.T, angles="xy", width=0.002)
    axes.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), aspect="equal")
    figure.colorbar(colours, label="D's output before σ")
    _save_figure(figure, path)


def save_losses(path, log):
    """losses.png from the log's columns (name -> list of floats or None): losses above, D's judgement below."""
    figure, (upper, lower) = _figure(9, 6, rows=2)
    for axes, names in ((upper, ("d_loss", "g_loss")), (lower, ("d_real", "d_fake"))):
        for name, colour in zip(names, ("#1f77b4", "#d62728"), strict=True):
            steps, values = _curve(log, name)
            axes.plot(steps, values, color=colour, alpha=0.25, linewidth=0.8)
            axes.plot(steps, _smooth(values), color=colour, linewidth=1.5, label=_LABELS[name])
        _legend(axes)
    upper.set_ylabel("loss")
    lower.set(ylabel="D's mean output", xlabel="step")
    _save_figure(figure, path)


def save_quality(path, log, real, follows=None):
    """How the samples became better: Fréchet distance and entropy of the classes against the step.

    log: its columns; real: the same metrics of real pictures, as dashed lines. follows: what
    evaluation.critic_follows found, if anything; a third picture then shows the critic's estimate against the step.
    """
    figure, (upper, lower, *third) = _figure(9, 9 if follows else 6, rows=3 if follows else 2)
    for axes, name in ((upper, "frechet_distance"), (lower, "entropy")):
        axes.plot(*_curve(log, name), ".-", color="#1f77b4", label="samples")
        axes.axhline(real[name], color="#888888", linestyle="--", linewidth=1, label="real pictures")
        _legend(axes)
    upper.set(ylabel="Fréchet distance", yscale="log")
    lower.set_ylabel("entropy of the classes")
    for axes in third:
        axes.plot(follows["steps"], follows["estimate"], ".-", color="#d62728")
        axes.set_ylabel("critic's estimate of the distance")
        title = "with the Fréchet distance: Pearson {pearson:.2f}, Spearman {spearman:.2f}".format(**follows)
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.3)
    (third or [lower])[-1].set_xlabel("step")
    _save_figure(figure, path)


def save_truncation(path, points, real):
    """Quality against variety as z is drawn from ever wider: precision against recall, and the inception-style score
    against the Fréchet distance. points: a dict of metrics for each truncation; real: those of real pictures."""
    figure, pair = _figure(10, 4.5, columns=2)
    names = (("recall", "precision"), ("frechet_distance", "inception_score"))
    for axes, (across, upward) in zip(pair, names, strict=True):
        xs, ys = ([point[name] for point in points] for name in (across, upward))
        axes.plot(xs, ys, ".-", color="#1f77b4", label="samples")
        axes.plot(real[across], real[upward], "*", color="#888888", markersize=10, label="real pictures")
        for x, y, point in zip(xs, ys, points, strict=True):
            name = "all" if point["truncation"] is None else f"{point['truncation']:g}"
            axes.annotate(name, (x, y), (4, 4), textcoords="offset points", fontsize=8)
        _legend(axes)
    pair[0].set(xlabel="recall (variety)", ylabel="precision (quality)")
    pair[1].set(xlabel="Fréchet distance", ylabel="inception-style score", xscale="log")
    figure.suptitle("z within plus or minus", fontsize=10)
    _save_figure(figure, path)


_LABELS = {"d_loss": "discriminator", "g_loss": "generator", "d_real": "D(x), real", "d_fake": "D(G(z)), fake"}


def _curve(log, name):
    """-> the steps that have such a value, and the values."""
    known = [(s, v) for s, v in zip(log["step"], log[name], strict=True) if v is not None]
    return np.array(known).T if known else ([], [])


def _legend(axes):
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)


def _smooth(values):
    """A moving average over a twentieth of the curve, shorter at its start."""
    values = np.asarray(values, float)
    width = max(1, len(values) // 20)
    sums = np.concatenate([[0], np.cumsum(values)])
    first = np.maximum(np.arange(1, len(values) + 1) - width, 0)
    return (sums[1:] - sums[first]) / (np.arange(1, len(values) + 1) - first)


def save_gif(path, frame_paths, seconds=6.0):
    """The pictures one after another as a .gif of about so many seconds, the last one held for two more."""
    from PIL import Image

    frames = []
    for frame_path in frame_paths:
        with Image.open(frame_path) as frame:
            frames.append(frame.convert("P", palette=Image.Palette.ADAPTIVE))
    if not frames:
        return
    each = int(1000 * seconds / len(frames))
    with atomic_write(path) as temporary:
        durations = [each] * (len(frames) - 1) + [each + 2000]
        frames[0].save(temporary, save_all=True, append_images=frames[1:], duration=durations, loop=0)


def save_confusion(path, matrix, names=None):
    """How often class i (row) was taken for class j (column), (K, K) counts, as a table in colours; names: of the K."""
    figure, axes = _figure(7, 6.5)
    wrong = matrix - np.diag(np.diag(matrix))
    axes.imshow(wrong, cmap="Reds")
    for i, j in np.ndindex(matrix.shape):
        axes.text(j, i, str(matrix[i, j]), ha="center", va="center", fontsize=8, color="#888888" if i == j else "black")
    axes.set(xlabel="recognised as", ylabel="really", xticks=range(len(matrix)), yticks=range(len(matrix)))
    if names:
        _name_ticks(axes.xaxis, names)
        _name_ticks(axes.yaxis, names)
    _save_figure(figure, path)


def save_captioned(path, images, captions, columns=6):
    """Pictures (N, H, W, C) with a line of text below each; none at all is said in words."""
    rows = max(1, math.ceil(len(images) / columns))
    figure, axes = _figure(1.7 * columns, 1.9 * rows, rows, columns)
    for place in axes.flat:
        place.axis("off")
    for place, image, caption in zip(axes.flat, to_uint8(images), captions, strict=False):
        place.imshow(image.squeeze(), cmap="gray", vmin=0, vmax=255)
        place.set_title(caption, y=-0.18, fontsize=7, parse_math=False)
    if not len(images):
        figure.suptitle("nothing to show")
    _save_figure(figure, path)


def save_row(path, groups, captions):
    """Groups of pictures (N, H, W, C) beside each other, each a grid of one size with its caption above."""
    figure, places = _figure(2.2 * len(groups), 2.8, columns=len(groups))
    _draw_grids(places, [(caption, images, None) for images, caption in zip(groups, captions, strict=True)])
    _save_figure(figure, path)


def save_comparison(path, columns):
    """Pictures beside each other: title -> images (N, H, W, C), a column each; row i shows the i-th of all of them.

    Smaller pictures have white around them, so that rows stay rows.
    """
    rows, height, width = (max(images.shape[axis] for images in columns.values()) for axis in range(3))
    figure, places = _figure(1.1 * len(columns), 1.04 * rows + 0.3, 1, len(columns))
    grids = []
    for title, images in columns.items():
        above, left = (height - images.shape[1]) // 2, (width - images.shape[2]) // 2
        room = np.full((len(images), height, width, images.shape[3]), 255, np.uint8)
        room[:, above : above + images.shape[1], left : left + images.shape[2]] = to_uint8(images)
        grids.append((title, room, 1))
    _draw_grids(places, grids)
    _save_figure(figure, path)


def save_page(path, grids, shares, names=None):
    """Titled grids of pictures, title -> (images, columns), one below the other, and a bar for each class's share; the
    classes' names, if not their numbers."""
    heights = [math.ceil(len(images) / columns) for images, columns in grids.values()]
    figure, places = _figure(6, 0.62 * sum(heights) + 0.5 * len(grids) + 2, len(grids) + 1, ratios=[*heights, 3])
    _draw_grids(places, [(title, *how) for title, how in grids.items()])
    bars = places[-1].bar(range(len(shares)), shares, color="#1f77b4")
    places[-1].bar_label(bars, [f"{share:.1%}" for share in shares], fontsize=8)
    places[-1].axhline(1 / len(shares), color="#888888", linewidth=0.8)
    places[-1].margins(y=0.15)
    places[-1].set(xticks=range(len(shares)), yticks=[])
    if names:
        _name_ticks(places[-1].xaxis, names)
    places[-1].set_title("share of each class, as the judge sees it", fontsize=9)
    _save_figure(figure, path)


def save_gallery(path, grids):
    """Titled grids of pictures, title -> (images, columns), one below the other."""
    heights = [math.ceil(len(images) / columns) for images, columns in grids.values()]
    figure, places = _figure(6, 0.4 * sum(heights) + 0.3 * len(grids), len(grids), ratios=heights)
    _draw_grids(np.atleast_1d(places), [(title, *how) for title, how in grids.items()])
    _save_figure(figure, path)


def save_accuracies(path, values):
    """A bar for each thing tried, name -> accuracies (one a seed): their mean, and a dot for each of them.

    The axis begins a little below the worst, or differences between good ones would not be seen.
    """
    figure, axes = _figure(7, 0.45 * len(values) + 0.9)
    means = [float(np.mean(each)) for each in values.values()]
    bars = axes.barh(range(len(values)), means, color="#1f77b4", alpha=0.6)
    axes.bar_label(bars, [f"{mean:.2%}" for mean in means], padding=4, fontsize=8)
    for row, each in enumerate(values.values()):
        axes.plot(each, [row] * len(each), ".", color="#d62728", markersize=5)
    least = min(min(each) for each in values.values())
    axes.set(xlim=(max(0, least - 0.1 * (1 - least) - 0.01), 1.02), xlabel="accuracy on test pictures")
    axes.set_yticks(range(len(values)), list(values), fontsize=8)
    axes.invert_yaxis()
    _save_figure(figure, path)


def _name_ticks(axis, names):
    """Names of classes at the ticks, upright where they are long; a $ in them is no formula."""
    shown = list(map(_short, names))
    upright = axis.axis_name == "x" and sum(map(len, shown)) > WIDEST_NAMES
    axis.set_ticks(range(len(shown)), shown, rotation=90 if upright else 0, parse_math=False)


def _short(name):
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _draw_grids(places, grids):
    """(title, images, columns) each in its place."""
    for axes, (title, images, columns) in zip(places, grids, strict=False):
        axes.imshow(grid(images, columns).squeeze(), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(title, fontsize=9)
        axes.axis("off")


def _figure(width, height, rows=1, columns=1, ratios=None):
    from matplotlib.figure import Figure  # not pyplot: no window system, nothing global

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, sharex=rows > 1 and columns == 1 and not ratios, height_ratios=ratios)


def _save_figure(figure, path):
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100)
