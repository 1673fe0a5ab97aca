"""One small picture of each notebook for notebooks/README.md -> data/pictures/notebooks/NN.png.

    python tests/scripts/notebook_pictures.py

Taken from the outputs that the notebooks are committed with; CHOSEN says which of a notebook's pictures stands for it.
"""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "data" / "pictures" / "notebooks"
WIDTH, COLOURS = 420, 48  # shown at half of that, and sharp on a fine screen
CHOSEN = {1: 0}  # notebook -> which of its pictures, counted from 0; the others: the first


def pictures(path):
    """[(PNG bytes, alternative text)] of a notebook's outputs."""
    outputs = [output for cell in nbformat.read(path, 4).cells for output in cell.get("outputs", [])]
    shown = [output for output in outputs if "image/png" in output.get("data", {})]
    return [(base64.b64decode(o.data["image/png"]), o.metadata.get("image/png", {}).get("alt", "")) for o in shown]


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        number = int(path.name[:2])
        content, alt = pictures(path)[CHOSEN.get(number, 0)]
        picture = Image.open(io.BytesIO(content)).convert("RGB")
        picture.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
        picture.quantize(COLOURS).save(OUT / f"{number:02}.png", optimize=True)
        print(f"{number:02}.png  {alt}")


if __name__ == "__main__":
    main()
