"""How the notebooks show things: code, pictures with alternative text, films, diagrams,
and the verdict on an answer.

COLOURS mean the same in every notebook, and the colour-blind can tell them apart (the
palette of Okabe and Ito 2008).
"""

import inspect
import io
import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.display import Code, Image, display
from PIL import Image as Picture
from tqdm import tqdm

COLOURS = {
    "G": "#cc79a7",
    "D": "#009e73",
    "real": "#0072b2",
    "fake": "#d55e00",
    "loss": "#e69f00",
    "gradient": "#d55e00",
    "other": "#666666",
}
CYCLE = [
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#666666",
]  # for curves with other names
HERE = Path(__file__).resolve().parent

sys.path.insert(
    0, str(HERE.parent)
)  # a clone without installation: `minigan` is one folder up

plt.rcParams.update(
    {
        "figure.dpi": 90,
        "figure.constrained_layout.use": True,
        "image.cmap": "gray",
        "font.size": 10,
        "axes.prop_cycle": plt.cycler(color=CYCLE),
    }
)


def source(*functions):
    """The library's own code of these functions or classes, as it stands there."""
    text = "\n\n".join(inspect.getsource(function).rstrip() for function in functions)
    display(Code(text, language="python"))


def picture(figure, alt):
    """The figure, once, with what it shows in words for those who cannot see it."""
    data = io.BytesIO()  # 256 colours do for a figure, in a third of the bytes
    _drawn(figure).quantize(256).save(data, format="PNG", optimize=True)
    display(Image(data.getvalue(), format="png", alt=alt))


def film(figures, alt, seconds=0.5):
    """A film of figures of one size, which runs wherever pictures do; the last one
    stays longer."""
    frames = [_drawn(figure).quantize(64) for figure in figures]
    times = [int(1000 * seconds)] * (len(frames) - 1) + [2000]
    data = io.BytesIO()
    frames[0].save(
        data,
        format="PNG",
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
    )
    display(Image(data.getvalue(), format="png", alt=alt))


def live(widget):
    """The widget, for who runs the notebook; what is committed (MINIGAN_STATIC=1) has a
    sentence in its place, since a widget is blank where nothing runs."""
    if os.environ.get("MINIGAN_STATIC"):
        print("Run this notebook in Jupyter, and buttons stand here.")
    else:
        display(widget)


def _drawn(figure):
    data = io.BytesIO()
    figure.savefig(data, format="png")
    plt.close(figure)
    return Picture.open(data).convert("RGB")


def flow(boxes, arrows, size=(8, 2.4)):
    """A diagram -> its figure.

    boxes: name -> (column, row, text, kind), rows counted downwards, kind a key of
    COLOURS. arrows: (from, to, text, kind), kind "forward", or "gradient" for a dashed
    one that goes back.
    """
    figure, axes = plt.subplots(figsize=size)
    drawn = {}
    for name, (column, row, text, kind) in boxes.items():
        style = {
            "boxstyle": "round,pad=0.45",
            "facecolor": COLOURS[kind] + "33",
            "edgecolor": COLOURS[kind],
        }
        how = {"ha": "center", "va": "center", "bbox": style, "zorder": 3}
        drawn[name] = axes.text(column, -row, text, **how).get_bbox_patch()
    for start, end, text, kind in arrows:
        (x0, y0), (x1, y1) = (
            (boxes[name][0], -boxes[name][1]) for name in (start, end)
        )
        back = kind == "gradient"
        style = {
            "color": COLOURS["gradient" if back else "other"],
            "linestyle": "--" if back else "-",
        }
        bend = "arc3,rad=-0.35" if back else "arc3"
        arrow = {
            "arrowstyle": "->",
            "patchA": drawn[start],  # from edge to edge, however wide the boxes
            "patchB": drawn[end],
            "shrinkA": 2,
            "shrinkB": 2,
            "connectionstyle": bend,
            "linewidth": 1.4,
            **style,
        }
        axes.annotate("", (x1, y1), (x0, y0), arrowprops=arrow, zorder=4)
        sideways = 0.3 * (x1 - x0) if back else 0.0  # where the bent arrow passes
        middle = (
            (x0 + x1) / 2 - (0.3 * (y1 - y0) if back else 0),
            (y0 + y1) / 2 + sideways,
        )
        axes.text(
            *middle, text, ha="center", va="bottom", fontsize=9, color=style["color"]
        )
    columns, rows = (
        [box[0] for box in boxes.values()],
        [box[1] for box in boxes.values()],
    )
    axes.set(
        xlim=(min(columns) - 0.7, max(columns) + 0.7),
        ylim=(-max(rows) - 0.7, -min(rows) + 0.7),
    )
    axes.axis("off")
    return figure


def progress(iterable, text):
    """The iterable, with a bar: for every loop of more than five seconds."""
    hidden = bool(os.environ.get("MINIGAN_STATIC"))  # no trace in what is committed
    return tqdm(iterable, desc=text, file=sys.stdout, leave=False, disable=hidden)


def verdict(answer, check):
    """What check(answer) says, whose assertions say what is wrong; "not yet" to None."""
    if answer is None:
        return "not yet: replace None, run that cell again, then this one"
    try:
        check(answer)
    except AssertionError as error:
        return f"not right: {error}"
    except Exception as error:  # a list for a number, say
        return f"not right: of another kind than was asked for ({type(error).__name__}: {error})"
    return "right"


def answers(number, names):
    """The names that answers/NUMBER.py defines, run with the notebook's own `names` (its
    globals()) at hand."""
    scope = dict(names)
    path = HERE / "answers" / f"{number}.py"
    exec(compile(path.read_text(encoding="utf-8"), path.name, "exec"), scope)
    return scope
