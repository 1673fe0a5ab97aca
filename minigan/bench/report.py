"""What the benchmark shows: its tables as text and its bar chart."""

import numpy as np

from minigan.base.files import atomic_write
from minigan.tools.tables import text_table

NOTE = (
    "GFLOP/s count two operations for each multiply-add of the direct algorithm. Convolutions of many channels take\n"
    "about half as many (kernels/toom_cook/plans.py), so a preset's share of the sgemm peak may exceed what that\n"
    "could reach."
)


def report(results):
    """All of bench.json as text for a terminal."""
    configurations = results["configurations"]
    parts = [machine_text(results["machine"], results["sgemm_gflops"]), speed_table(configurations), NOTE]
    parts += [memory_table(configurations), startup_text(results["startup"])]
    for entry in configurations:
        about = f" ({'; '.join(entry['notes'])})" if entry["notes"] else ""
        parts.append(f"{title(entry)}: where a step goes{about}\n\n{layer_table(entry['layers'])}")
    earned = earned_table(configurations)
    parts.append(f"a step with a formula in plain NumPy, as a multiple of the step with all kernels\n\n{earned}")
    parts += [text for text in (modes_text(configurations),) if text]
    if results["without_reference"]:
        parts.append(f"PyTorch: there is no reference for {', '.join(results['without_reference'])}.")
    if results["torch_left_out"]:
        parts.append(f"PyTorch: {results['torch_left_out']}.")
    if results["left_out"]:
        parts.append(f"left out: {', '.join(results['left_out'])}.")
    return "\n\n".join(parts)


def title(entry):
    return f"{entry['preset']}, batch {entry['batch']}"


def machine_text(machine, sgemm_gflops):
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    peak = f"; its sgemm peak in this run: {sgemm_gflops:.0f} GFLOP/s" if sgemm_gflops else ""
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['threads']} in use{peak}\n"
        f"{machine['system']}, {versions}, {machine['date']}"
    )


def speed_table(configurations):
    """Milliseconds are medians with the middle half of all steps in brackets; ratio: PyTorch's time / ours."""
    head = ["preset", "batch", "ms per step", "images/s", "GFLOP/s", "of peak", "PyTorch ms", "its mode"]
    head += ["ratio", "median of pairs"]
    rows = []
    for entry in configurations:
        ours, theirs = entry["ours"], entry["torch"]
        row = [entry["preset"], entry["batch"], _spread(ours), f"{ours['images_per_s']:.0f}"]
        row += [f"{ours['gflops']:.1f}", f"{ours['share_of_sgemm']:.0%}"]
        if theirs:
            row += [_spread(theirs), theirs["mode"], f"{entry['ratio']:.2f}", f"{entry['pairwise_ratio']:.2f}"]
        rows.append(row + ["-"] * (len(head) - len(row)))
    return text_table([head, *rows])


def memory_table(configurations):
    """Peak MiB of the process, and in brackets how much of that came after its imports."""
    head = ["preset", "batch", "peak MiB (of it after import)", "PyTorch's"]
    rows = [[entry["preset"], entry["batch"], _peak(entry["ours"]), _peak(entry["torch"])] for entry in configurations]
    return text_table([head, *rows])


def layer_table(rows):
    """Each pass in ms and % of the step; GFLOP/s of the three passes together."""
    head = ["layer", "forward", "input grad", "weight grad", "optimizer", "total", "GFLOP/s"]
    step_ms = sum(row["total_ms"] for row in rows)
    names = ("forward_ms", "input_grad_ms", "weight_grad_ms", "optimizer_ms", "total_ms")

    def line(title, values, gflops):
        return [title, *(f"{value:.2f} {value / step_ms:4.0%}" if value else "-" for value in values), gflops]

    lines = []
    for row in rows:
        gflops = f"{row['gflops']:.0f}" if row["gflops"] else "-"
        lines.append(line(f"{row['network'][:1].upper()} {row['layer']}".strip(), map(row.get, names), gflops))
    return text_table([head, *lines, line("the step", [sum(row[name] for row in rows) for name in names], "-")])


def earned_table(configurations):
    """A row for each formula that has kernels, a column for each configuration that uses it."""
    names = dict.fromkeys(name for entry in configurations for name in entry["kernels"])
    head = ["formula", *(f"{entry['preset']} {entry['batch']}" for entry in configurations)]
    kernels = [entry["kernels"] for entry in configurations]
    return text_table([head, *([n, *(f"{k[n]:.2f}" if n in k else "-" for k in kernels)] for n in names)])


def modes_text(configurations):
    """The short trial that chose PyTorch's mode, one line per configuration."""
    lines = []
    for entry in configurations:
        tried = [
            f"{mode} {trial['ms']:.1f} ms ({_variant(trial['variant'])})"
            if "ms" in trial
            else f"{mode} left out ({trial['reason']})"
            for mode, trial in entry["torch_modes"].items()
        ]
        lines += [f"PyTorch, {title(entry)}: {', '.join(tried)}"] if tried else []
    return "\n".join(lines)


def startup_text(startup):
    cold = f"{startup['cold_s']:.1f} s with nothing compiled before, " if startup["cold_s"] else ""
    return (
        f"start-up: import minigan {startup['import_s']:.2f} s, its training modules with NumPy and Numba "
        f"{startup['modules_s']:.2f} s;\n"
        f"python -m minigan.train --steps 1, from its start to its end: {cold}{startup['warm_s']:.1f} s warm"
    )


def chart_title(machine):
    return f"{machine['cpu']}, {machine['threads']} threads, {machine['date']}"


def save_chart(path, results):
    """bench.png: a group of bars for each configuration, ms per step, ours beside PyTorch's best."""
    from matplotlib.figure import Figure  # not pyplot: no window system, nothing global

    entries = results["configurations"]
    figure = Figure(figsize=(max(6, 2 + 1.4 * len(entries)), 4.5), layout="constrained")
    axes = figure.subplots()
    for side, label, colour, shift in (
        ("ours", "minigan", "#1f77b4", -0.2),
        ("torch", "PyTorch, its best mode", "#ee4c2c", 0.2),
    ):
        known = [(i + shift, entry[side]) for i, entry in enumerate(entries) if entry[side]]
        if known:
            heights, low, high = (np.array([one[key] for _, one in known]) for key in ("ms", "ms_q1", "ms_q3"))
            spread = [heights - low, high - heights]
            bars = axes.bar([x for x, _ in known], heights, 0.38, yerr=spread, color=colour, label=label)
            axes.bar_label(bars, fmt="%.3g", fontsize=8, padding=2)
    names = [f"{title(entry)}\n{entry['ratio']:.2f} x" if entry["ratio"] else title(entry) for entry in entries]
    axes.set_xticks(range(len(entries)), names, fontsize=8)
    axes.set(ylabel="ms per training step (lower is better)", ylim=(0, axes.get_ylim()[1] * 1.05))
    figure.suptitle(chart_title(results["machine"]), fontsize=10)
    axes.legend(fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _spread(side):
    digits = 1 if side["ms"] >= 10 else 2
    return f"{side['ms']:.{digits}f} ({side['ms_q1']:.{digits}f}–{side['ms_q3']:.{digits}f})"


def _peak(side):
    if not side or side["peak_mib"] is None:
        return "-"
    return f"{side['peak_mib']:.0f} ({side['increase_mib']:.0f})"


def _variant(variant):
    return variant["optimizer"] + " Adam" + (", real and fake in one batch" if variant["joined"] else "")
