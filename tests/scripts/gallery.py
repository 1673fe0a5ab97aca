"""What finished and evaluated runs draw, as one picture, and how good it is, as one table: those of RESULTS.md.

    python -m minigan.train --preset wgan; python -m minigan.evaluate runs/wgan      # and so on
    python tests/scripts/gallery.py runs/wgan runs/progan --pictures gallery.png

A script to run by hand; not a test. The pictures are samples of seed 0, not picked, one of each class in turn where the
networks can be asked; in the way that the preset itself shows them, so pairs and levels side by side.
"""

import argparse
import json
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from minigan import datasets
from minigan.gan.run import load_gan
from minigan.models.progan import LAST
from minigan.tools import plotting

COLUMNS, ROWS = 14, 2
PAGE = 10  # pictures each way on the pages that training draws
HEAD = ("preset", "steps", "Fréchet distance", "precision / recall", "over 95 % sure", "as asked")


def pictures(gan):
    """-> samples for people, and how many of them in a row; fewer where each shows several pictures."""
    rng, n = np.random.default_rng(0), ROWS * COLUMNS
    labels = np.arange(n) % gan.conditions.classes if gan.conditions.classes else None
    z = gan.draw_z(n, rng)
    made = gan.preset.to_display(gan.make(z, gan.conditions.draw(n, rng, labels)))
    columns = COLUMNS * gan.sample_shape[1] // made.shape[2]
    return datasets.to_uint8(made[: ROWS * columns]), columns


def stages(run, gan):
    """What networks that grow drew at the end of each stage but the last, cut out of the run's own pictures."""
    frames = {int(path.stem.rpartition("_")[2]): path for path in (run / "samples").glob("step_*.png")}
    found = {}
    for stage in range(LAST):
        step = max(step for step in frames if step <= (2 * stage + 1) * gan.config.grow_steps)
        page = np.rint(255 * np.atleast_3d(plt.imread(frames[step]))[..., :1]).astype(np.uint8)
        side = len(page) // PAGE
        rows = [np.split(row, PAGE, axis=1) for row in np.split(page[: PAGE * side, : PAGE * side], PAGE)]
        cells = [cell for row in rows for cell in row][: ROWS * COLUMNS]
        found[f"{gan.config.preset} at step {step}"] = np.stack(cells), COLUMNS
    return found


def line(name, report):
    """A row of the table from a metrics.json."""
    value = report["samples"]
    asked = f"{value['conditional_accuracy']:.1%}" if "conditional_accuracy" in value else ""
    both = f"{value['precision']:.2f} / {value['recall']:.2f}"
    return (
        f"`{name}`",
        f"{report['step']}",
        f"{value['frechet_distance']:.3g}",
        both,
        f"{value['confident_share']:.1%}",
        asked,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN")
    parser.add_argument("--pictures", default="gallery.png")
    arguments = parser.parse_args()
    shown, lines = {}, [HEAD, ("---",) * len(HEAD)]
    for run in map(Path, arguments.runs):
        gan, _, _ = load_gan(run)
        if hasattr(gan.generator, "grow"):
            shown |= stages(run, gan)
        shown[gan.config.preset] = pictures(gan)
        lines.append(line(gan.config.preset, json.loads((run / "metrics.json").read_text())))
    plotting.save_gallery(arguments.pictures, shown)
    print("\n".join(f"| {' | '.join(cells)} |" for cells in lines))


if __name__ == "__main__":
    main()
