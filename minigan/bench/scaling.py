"""How time and memory of a training step grow with the batch, the picture and the threads."""

import sys

import numpy as np
from tqdm import tqdm

from minigan.base.errors import InputError
from minigan.base.files import atomic_write
from minigan.bench.process import Worker
from minigan.bench.report import chart_title, machine_text
from minigan.kernels.parallel import threads
from minigan.models import get_preset
from minigan.tools import cli
from minigan.tools.tables import text_table

BATCHES = (16, 32, 64, 128, 256, 512, 1024)
SIDES = (28, 56, 84, 112)  # pixels
BATCH = 64  # where the picture or the threads are what changes
OURS = [sys.executable, "-m", "minigan.bench.network"]
SECONDS, QUICK_SECONDS = 2.0, 0.3  # about so long for each point
FEWEST, MOST = 3, 100  # steps
IDEAL = {  # log-log slopes: in proportion to the work, which threads share
    "ms": {"batch": 1, "pixels": 1, "threads": -1},
    "increase_mib": {"batch": 1, "pixels": 1, "threads": 0},
}
AXES = {"batch": "samples per batch", "pixels": "pixels per picture", "threads": "threads"}


def measure(presets, batches=None, quick=False):
    """{"points": […], "slopes": […], "left_out": […]}, each point measured in a process of its own.

    A point has preset, axis (batch, pixels or threads), value, ms of the median step, gflop of a step, peak_mib, and
    increase_mib over the process just after its imports. Raises InputError for a preset without pictures.
    """
    for preset in presets:
        if len(get_preset(preset).sample_shape) != 3:
            raise InputError(f"--scaling: the preset {preset} has no pictures whose size could change; leave it out.")
    for preset in presets:
        with Worker(OURS, {"preset": preset, "batch": 2, "threads": threads.get_threads()}) as worker:
            worker.ask(step=1)  # whatever has to be compiled is compiled now, and uses memory now
    wanted = [plan for preset in presets for plan in _plan(preset, batches, quick)]
    points = []
    with tqdm(wanted, mininterval=cli.interval()) as bar:
        for preset, axis, value, request in bar:
            bar.set_description(f"{preset}, {AXES[axis]}: {value}", refresh=sys.stderr.isatty())
            points.append({"preset": preset, "axis": axis, "value": value} | _point(request, quick))
    left_out = ["the largest batches and pictures", "most steps"] if quick else []
    return {"points": points, "slopes": _slopes(presets, points), "left_out": left_out}


def _plan(preset, batches, quick):
    batches = sorted(batches or (BATCHES[:4] if quick else BATCHES))
    h, w, c = get_preset(preset).sample_shape
    request = {"preset": preset, "batch": BATCH, "threads": threads.get_threads(), "sample_shape": (h, w, c)}
    yield from ((preset, "batch", batch, request | {"batch": batch}) for batch in batches)
    for side in SIDES[:2] if quick else SIDES:
        yield preset, "pixels", side * side, request | {"sample_shape": (side, side, c)}
    for count in range(1, threads.get_threads() + 1):
        yield preset, "threads", count, request | {"threads": count}


def _point(request, quick):
    with Worker(OURS, request) as worker:
        seconds = min(worker.ask(step=2)["seconds"])
        steps = int(np.clip((QUICK_SECONDS if quick else SECONDS) / seconds, FEWEST, MOST))
        answer = worker.ask(step=steps)
        peak, start = answer["peak_mib"], worker.ready["import_mib"]
        return {
            "ms": 1e3 * float(np.median(answer["seconds"])),
            "gflop": worker.ask(flops=1)["flops"] / 1e9,
            "peak_mib": peak,
            "increase_mib": None if peak is None else peak - start,
        }


def slope(xs, ys):
    """(slope, steepest): of log y against log x, by least squares over all points and the largest between neighbours.

    1 is growth in proportion, 2 with the square; (None, None) for fewer than two points or values that have no log.
    """
    if len(xs) < 2 or any(value is None or value <= 0 for value in (*xs, *ys)):
        return None, None
    logs = np.log([xs, ys])
    return float(np.polyfit(*logs, 1)[0]), float((np.diff(logs[1]) / np.diff(logs[0])).max())


def _slopes(presets, points):
    found = []
    for preset in presets:
        for axis in AXES:
            line = [point for point in points if (point["preset"], point["axis"]) == (preset, axis)]
            for quantity in ("ms", "increase_mib"):
                fitted, steepest = slope([p["value"] for p in line], [p[quantity] for p in line])
                entry = {"preset": preset, "axis": axis, "quantity": quantity}
                found.append(entry | {"slope": fitted, "steepest": steepest})
    return found


def report(results):
    """scaling.json as text: the points, then the slopes."""

    def cell(value, form):
        return "-" if value is None else format(value, form)

    points = [
        [
            *(p[key] for key in ("preset", "axis", "value")),
            f"{p['ms']:.2f}",
            f"{1e3 * p['gflop'] / p['ms']:.1f}",
            *(cell(p[key], ".0f") for key in ("peak_mib", "increase_mib")),
        ]
        for p in results["points"]
    ]
    names = {"ms": "time", "increase_mib": "memory after import"}
    slopes = [
        [s["preset"], names[s["quantity"]], s["axis"], *(cell(s[key], ".2f") for key in ("slope", "steepest"))]
        for s in results["slopes"]
    ]
    parts = [
        machine_text(results["machine"], None),
        text_table([["preset", "against", "value", "ms per step", "GFLOP/s", "peak MiB", "after import"], *points]),
        text_table([["preset", "of", "against", "log-log slope", "steepest"], *slopes]),
        "A slope of 1 is growth in proportion; against threads, time at its best has -1. steepest: of two neighbours.",
    ]
    if results["left_out"]:
        parts.append(f"left out: {', '.join(results['left_out'])}.")
    return "\n\n".join(parts)


def save_chart(path, results):
    """scaling.png: time above, memory below, against each of the three, on logarithmic axes; dotted: the slope due."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.5), layout="constrained")
    figure.suptitle(chart_title(results["machine"]), fontsize=10)
    points = results["points"]
    rows = (("ms", "ms per training step"), ("increase_mib", "peak MiB after import"))
    for row, (quantity, label) in zip(figure.subplots(2, len(AXES)), rows, strict=True):
        for axes, (axis, name) in zip(row, AXES.items(), strict=True):
            for preset in dict.fromkeys(point["preset"] for point in points):
                line = [p for p in points if (p["preset"], p["axis"]) == (preset, axis) and p[quantity]]
                xs, ys = [p["value"] for p in line], [p[quantity] for p in line]
                axes.loglog(xs, ys, "o-", markersize=4, label=preset)
                for x, y in zip(xs, ys, strict=True):
                    axes.annotate(f"{y:.4g}", (x, y), (0, 5), textcoords="offset points", ha="center", fontsize=7)
                if line:
                    ideal = ys[0] * (xs[-1] / xs[0]) ** IDEAL[quantity][axis]
                    axes.loglog([xs[0], xs[-1]], [ys[0], ideal], ":", color="#888888", linewidth=1)
            low, high = axes.get_ylim()
            axes.set(xlabel=name, ylabel=label, ylim=(low / 1.5, high * 1.5))  # or a flat line would look steep
            values = sorted({point["value"] for point in points if point["axis"] == axis})
            axes.set_xticks(values, [str(value) for value in values], fontsize=8)
            axes.minorticks_off()
            axes.yaxis.set_major_formatter("{x:g}")
            axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100)
