"""A measurement for each of several seeds: metrics.json as they come, then what they have in common, and tables."""

import math

import numpy as np

from minigan.base.files import read_json, write_json
from minigan.tools.tables import text_table

METRICS = "metrics.json"


def run_seeds(arguments, out, about, one, columns):
    """For each of --seeds, from --seed on, one(seed) -> {"seconds", "metrics", …}, and draw, to be called as it is.

    metrics: what was tried -> {measure: number}, or such a dict for each part of a task. As soon as a seed's are known
    out/metrics.json holds `about` and all "runs" so far, so that nothing that comes later can lose them: neither the
    next seed nor the tables (columns: as for `table`) nor draw, which is called for the first seed. Of several seeds
    mean_and_std is added, worked out from that file. -> what the file holds.
    """
    path, runs = out / METRICS, []
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        found, draw = one(seed)
        runs.append({"seed": seed, **found})
        write_json(path, {**about, "runs": runs})
        print(f"seed {seed}, {found['seconds']:.0f} s:\n{table(found['metrics'], columns)}", flush=True)
        if seed == arguments.seed:
            draw()
    report = read_json(path)
    if len(runs) > 1:
        summary = mean_and_std(report["runs"])
        report |= summary
        write_json(path, report)
        for name, metrics in summary.items():
            print(f"{name} of {len(runs)} seeds:\n{table(metrics, columns)}")
    return report


def mean_and_std(runs):
    """{"mean": …, "deviation": …} of the "metrics" of several runs. What only some of them have, such as a filter of
    the size that was best with those seeds, says in its name how many they are; one alone has the deviation NaN."""
    metrics = [run["metrics"] for run in runs]
    with np.errstate(invalid="ignore"):  # how far infinite numbers deviate is not defined
        return {"mean": _entrywise(np.mean, metrics), "deviation": _entrywise(_deviation, metrics)}


def _deviation(values):
    return np.std(values, ddof=1) if len(values) > 1 else math.nan


def _entrywise(how, values):
    if not isinstance(values[0], dict):
        return float(how(values))
    made = {}
    for name in dict.fromkeys(name for value in values for name in value):
        known = [value[name] for value in values if name in value]
        some = isinstance(known[0], dict) and len(known) < len(values)
        made[f"{name} ({len(known)} of {len(values)} seeds)" if some else name] = _entrywise(how, known)
    return made


def table(metrics, columns):
    """What was tried, a row each, as text, or a table for each part of a task. columns: measure -> its head and format;
    a row that lacks a measure has an empty cell."""
    if any(isinstance(value, dict) for row in metrics.values() for value in row.values()):
        return "\n".join(f"{part}:\n{table(rows, columns)}" for part, rows in metrics.items())
    shown = {key: columns[key] for key in columns if any(key in row for row in metrics.values())}
    rows = [["", *(head for head, _ in shown.values())]]
    for name, row in metrics.items():
        rows.append([name, *(format(row[key], form) if key in row else "" for key, (_, form) in shown.items())])
    return text_table(rows)
