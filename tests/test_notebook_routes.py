"""notebooks/README.md says of each notebook what the notebook says of itself, and its routes can be walked."""

import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
NOTEBOOKS = {int(path.name[:2]): path for path in sorted(FOLDER.glob("[0-9]*.ipynb"))}
SPREAD = 0.5  # hours by which a route's time may differ from the sum of its notebooks


def members(text):
    found = []
    for word in text.split(", "):
        first, _, last = word.partition(" to ")
        found += range(int(first), int(last or first) + 1)
    return found


def first_cell(number):
    return nbformat.read(NOTEBOOKS[number], 4).cells[0].source


def minutes(number):
    return int(re.search(r"\| time to read \| (\d+) minutes", first_cell(number))[1])


def needed(number):
    """The notebooks that a notebook says are needed before it."""
    row = re.search(r"\| you need \| (.*) \|", first_cell(number))[1]
    words = re.sub(r"\([^)]*\)|[\[\]]", "", row)  # without links, and what is needed of a notebook
    named = re.findall(r"notebooks? (\d+(?:(?:, and |, | and | to )\d+)*)", words)
    return {number for text in named for number in members(re.sub(r",? and ", ", ", text))}


def entries():
    """number -> the paragraphs of README.md about that notebook."""
    parts = re.split(r"^### (\d+) · ", README, flags=re.MULTILINE)[1:]
    return {int(number): text for number, text in zip(parts[::2], parts[1::2], strict=True)}


ROUTES = re.findall(r"^\*\*(.+?)\*\* \((\d+) hours\): ([\d, to]+)\.", README, re.MULTILINE)


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_an_entry_says_what_the_notebook_says(number):
    entry, title = entries()[number], first_cell(number).splitlines()[0].partition(" · ")[2]
    assert entry.startswith(f"[{title}]({NOTEBOOKS[number].name})\n")
    assert f"{minutes(number)} minutes" in entry
    before = re.search(r"after (\d[\d, and]*)", entry)
    assert {int(n) for n in re.findall(r"\d+", before[1] if before else "")} == needed(number)
    picture = re.search(r'<img src="([^"]+)" width="\d+" alt="([^"]{20,})"', entry)
    assert (FOLDER / picture[1]).is_file()
    assert "You can then" in entry


def test_there_are_three_routes_the_last_of_which_is_the_whole():
    assert len(ROUTES) == 3
    assert members(ROUTES[-1][2]) == list(NOTEBOOKS)


@pytest.mark.parametrize(("name", "hours", "numbers"), ROUTES)
def test_a_route_can_be_walked_in_its_time(name, hours, numbers):
    walked = members(numbers)
    for place, number in enumerate(walked):
        assert needed(number) <= set(walked[:place]), f"{name}: notebook {number} needs {sorted(needed(number))}"
    assert abs(sum(map(minutes, walked)) / 60 - int(hours)) <= SPREAD, sum(map(minutes, walked)) / 60
