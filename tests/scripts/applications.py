"""The metrics that recognise, enhance, restore, autoencode and audio left, as Markdown tables: those of RESULTS.md.

    python -m minigan.enhance --seeds 3; python -m minigan.restore --seeds 3       # and so on
    python tests/scripts/applications.py runs/enhance runs/restore

A script to run by hand; not a test. Folders with the same measures share a table. In a cell stand the means over the
seeds ± their standard deviations, which are left out where they are 0 as far as the figure is shown.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from minigan.base.files import read_json

FORMATS = {  # measure -> its head and format; others are left out
    "accuracy": ("accuracy", ".2%"),
    "psnr": ("PSNR, dB", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "recognised": ("recognised", ".1%"),
    "frechet_distance": ("Fréchet distance", ".3g"),
    "precision": ("precision", ".2f"),
    "recall": ("recall", ".2f"),
    "sharpness": ("sharpness", ".2f"),
    "bound": ("bound, nats", ".1f"),
    "harmonicity": ("harmonicity", ".3f"),
    "in_tune": ("in tune", ".1%"),
    "seconds": ("seconds of training", ".0f"),
}


def rows(mean, deviation, names=()):
    """-> [(names, mean, deviation)] of the methods in metrics, dicts of numbers in dicts of parts and methods."""
    if not any(isinstance(value, dict) for value in mean.values()):
        return [(names, mean, deviation)]
    return [row for name in mean for row in rows(mean[name], deviation.get(name, {}), (*names, name))]


def cell(measures, mean, deviation):
    """These measures of one method, mean ± deviation of each, – where it has none."""
    return " / ".join(number(FORMATS[key][1], mean.get(key), deviation.get(key, 0.0)) for key in measures)


def number(form, mean, spread):
    if mean is None:
        return "–"
    text = format(mean, form)
    if format(spread, form) != format(0.0, form):
        text += f" ± {format(spread, form)}"
    return text.replace("%", " %")


def lines(folder):
    """-> the names of the measures in a folder's metrics.json, and a row for each part of the task."""
    report = read_json(folder / "metrics.json")
    found = rows(report.get("mean", report["runs"][0]["metrics"]), report.get("deviation", {}))
    measures = [key for key in FORMATS if any(key in mean for _, mean, _ in found)]
    budget = f"{report['steps']} steps, " if "steps" in report else ""
    seeds = len(report["runs"])
    about = f"{folder.name}: {report.get('dataset', 'tones')}, {budget}{seeds} seed{'s' * (seeds > 1)}"
    parts = {}
    for names, mean, deviation in found:
        parts.setdefault(names[:-1], []).append(f"{names[-1]}: {cell(measures, mean, deviation)}")
    heads = " / ".join(FORMATS[key][0] for key in measures)
    return heads, [[", ".join([about, *names]), *cells] for names, cells in parts.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    tables = {}
    for folder in parser.parse_args().folders:
        heads, found = lines(folder)
        tables.setdefault(heads, []).extend(found)
    for heads, found in tables.items():
        width = max(map(len, found))
        print(f"\n| | {heads} |" + " |" * (width - 2))
        print("| --- " * width + "|")
        for row in found:
            print(f"| {' | '.join(row + [''] * (width - len(row)))} |")


if __name__ == "__main__":
    main()
