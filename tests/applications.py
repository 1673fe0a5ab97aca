"""The figures that recognise, enhance, restore, autoencode and audio left, as Markdown tables: those of RESULTS.md.

    python -m minigan.enhance --seeds 3; python -m minigan.restore --seeds 3       # and so on
    python tests/applications.py runs/enhance runs/restore

A script to run by hand; not a test. Folders with the same measures share a table. A cell is the mean over the seeds ±
their standard deviation, which is left out where nothing was random, or the figure itself of a single seed.
"""

import argparse
import json
from pathlib import Path

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
}


def rows(mean, deviation, names=()):
    """-> [(names, mean, deviation)] of the methods in figures, dicts of numbers in dicts of parts and methods."""
    if not any(isinstance(value, dict) for value in mean.values()):
        return [(names, mean, deviation)]
    return [row for name in mean for row in rows(mean[name], deviation.get(name, {}), (*names, name))]


def cell(measure, mean, deviation):
    if measure not in mean:
        return ""
    form = FORMATS[measure][1]
    spread = deviation.get(measure, 0.0)
    return format(mean[measure], form) + (f" ± {format(spread, form)}" if spread else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    tables = {}
    for folder in parser.parse_args().folders:
        report = json.loads((folder / "figures.json").read_text())
        found = rows(report.get("mean", report["runs"][0]["figures"]), report.get("deviation", {}))
        about = (
            f"{folder.name}: {report.get('dataset', 'tones')}, {report.get('steps', 'as long')}, {len(report['runs'])}"
        )
        measures = tuple(key for key in FORMATS if any(key in mean for _, mean, _ in found))
        tables.setdefault(measures, []).extend((about, *row) for row in found)
    for measures, lines in tables.items():
        print("\n| run: data, steps, seeds | | " + " | ".join(FORMATS[key][0] for key in measures) + " |")
        print("| --- " * (2 + len(measures)) + "|")
        before = None
        for about, names, mean, deviation in lines:
            cells = (cell(key, mean, deviation) for key in measures)
            print(f"| {about if about != before else ''} | {', '.join(names)} | {' | '.join(cells)} |")
            before = about


if __name__ == "__main__":
    main()
