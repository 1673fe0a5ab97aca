"""How the notebooks are written: ideas apart from checks, pictures with words, a letter one meaning, real sources."""

import ast
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "notebooks"
# Those written by these rules so far are those whose answers stand apart.
NOTEBOOKS = sorted(path for path in FOLDER.glob("*.ipynb") if (FOLDER / "answers" / f"{path.name[:2]}.py").exists())
LONGEST = 22  # lines of a cell that is to be read
WIDEST = 88  # characters of a line of code, which fit beside a side bar
PARTS = ("## Predict", "## What we saw", "## Exercises", "## Write it yourself")
MATHS = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)
NAMES = re.compile(r"\\(?:text|textbf|textit|mathrm|mathtt|mathbb|mathcal|operatorname|begin|end|tag)\*?\{[^{}]*\}")
GREEK = {
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "kappa",
    "lambda",
    "mu",
    "nu",
}
GREEK |= {"xi", "rho", "sigma", "tau", "phi", "varphi", "chi", "psi", "omega", "pi", "ell"}
GREEK |= {"Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega"}
CITED = re.compile(r"\b([A-Z][\w\-ńçöøáéı]+(?: et al\.| and (?:[a-z]+ )*[A-Z][\w\-]+)?),? \(?((?:19|20)\d\d)\)?")


def letters(maths):
    """The letters and Greek names of a formula; words in \\text and the like are none."""
    maths = re.sub(r"\\(?:mathbb|mathcal)\s*([A-Z])", " ", NAMES.sub(" ", maths))
    commands = set(re.findall(r"\\([A-Za-z]+)", maths))
    plain = re.sub(r"\\[A-Za-z]+", " ", maths)
    return set(re.findall(r"[A-Za-z]", plain)) | (commands & GREEK)


def formulas(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            text = re.sub(r"```.*?```|`[^`]*`", " ", cell.source, flags=re.DOTALL)
            yield from (a or b for a, b in MATHS.findall(text))


def symbol_tables():
    """ "Everywhere" and numbers of notebooks -> the letters that each row of their table explains, a list of sets."""
    tables, title = {}, None
    for line in (FOLDER / "SYMBOLS.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            title = line[3:].removeprefix("Notebook ")
        elif line.startswith("| ") and not line.startswith(("| symbol", "| ---", "| English")):
            cell = re.split(r"(?<!\\)\|", line)[1]
            rows = [letters(re.sub(r"_(\{[^{}]*\}|\\?\w+)", "", a or b)) for a, b in MATHS.findall(cell)]
            tables.setdefault(title, []).append(set().union(*rows))
    return tables


def of_layout(notebook):
    """What is wrong with the cells, in words."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        lines = cell.source.splitlines()
        if any(len(line) > WIDEST for line in lines):
            yield f"{cell.id}: a line of more than {WIDEST} characters"
        nodes = list(ast.walk(ast.parse(cell.source)))
        asserts = any(isinstance(node, ast.Assert) for node in nodes) or "assert_" in cell.source
        if "check" in cell.metadata.get("tags", []):
            if not asserts and "verdict" not in cell.source:
                yield f"{cell.id}: a check that checks nothing"
            if not cell.metadata.get("jupyter", {}).get("source_hidden"):
                yield f"{cell.id}: a check that is not folded"
        elif asserts:
            yield f"{cell.id}: an assertion in a cell that is to be read; it belongs into one tagged check"
        elif len(lines) > LONGEST:
            yield f"{cell.id}: {len(lines)} lines, at most {LONGEST} can be read"
        for output in cell.outputs:
            alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
            if "image/png" in output.get("data", {}) and len(alt) < 20:
                yield f"{cell.id}: a picture without alternative text"
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {}):
                yield f"{cell.id}: a widget, which is blank where nothing runs; show it by show.live"


def of_text(notebook, number):
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    first = notebook.cells[0].source
    for part in PARTS:
        if part not in text:
            yield f"no part {part!r}"
    if "§" not in first or "生成对抗网络" not in first:
        yield "the first cell does not name the article and its section"
    if "exercises/" not in text[text.find("## Write it yourself") :]:
        yield "does not send the reader to notebooks/exercises/"
    tables = symbol_tables()
    known, used = tables["Everywhere"] + tables.get(str(number), []), set()
    for formula in formulas(notebook):
        used |= letters(formula)
        if re.search("[½¼¾⅛⅓°]", formula):
            yield f"a sign that is no LaTeX in {formula!r}"
    for letter in sorted(used):
        meanings = sum(letter in row for row in known)
        if meanings != 1:
            yield f"the letter {letter} has {meanings} meanings in SYMBOLS.md, expected 1"
    references = (FOLDER / "REFERENCES.md").read_text(encoding="utf-8")
    for who, year in CITED.findall(text):
        if f"- {who} {year}:" not in references and who not in {"November", "October", "December"}:
            yield f"{who} {year} is not in REFERENCES.md"


def of_answers(notebook, number):
    path = FOLDER / "answers" / f"{number:02}.py"
    defined = {name for name in re.findall(r"^(?:def )?(answer_\d)\b", path.read_text(encoding="utf-8"), re.MULTILINE)}
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    asked = set(re.findall(r"^(answer_\d) = None", code, re.MULTILINE))
    if not asked or asked != defined:
        yield f"asks for {sorted(asked)}, and {path.name} answers {sorted(defined)}"
    if "show.answers(" not in code:
        yield "does not check its answers"
    if "<details>" in "".join(cell.source for cell in notebook.cells):
        yield "shows a solution; it belongs into answers/"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_how_a_notebook_is_written(path):
    notebook, number = nbformat.read(path, as_version=4), int(path.name[:2])
    assert not [*of_layout(notebook), *of_text(notebook, number), *of_answers(notebook, number)]


def test_no_letter_has_two_meanings():
    tables = symbol_tables()
    for title, rows in tables.items():
        seen = [letter for row in [*rows, *(tables["Everywhere"] if title != "Everywhere" else [])] for letter in row]
        assert len(seen) == len(set(seen)), f"{title}: {sorted(x for x in seen if seen.count(x) > 1)}"


def cells(*sources, tags=(), **metadata):
    v4 = nbformat.v4
    code = [v4.new_code_cell(source, metadata={"tags": list(tags), **metadata}) for source in sources]
    return v4.new_notebook(cells=code)


FOLDED = {"tags": ["check"], "jupyter": {"source_hidden": True}}


@pytest.mark.parametrize(
    ("notebook", "complaint"),
    [
        (cells("assert 1 == 1"), "an assertion in a cell"),
        (cells("x = 1\n" * 23), "at most 22"),
        (cells("x = " + "1" * 90), "more than 88"),
        (cells("x = 1", **FOLDED), "checks nothing"),
        (cells("assert x == 1", tags=["check"]), "not folded"),
    ],
)
def test_a_bad_cell_is_told_why(notebook, complaint):
    found = list(of_layout(notebook))
    assert any(complaint in problem for problem in found), found


def test_a_picture_needs_words():
    notebook = cells("x = 1")
    output = nbformat.v4.new_output("display_data", {"image/png": ""})
    notebook.cells[0].outputs = [output]
    assert "without alternative text" in next(of_layout(notebook))
    output.metadata = {"image/png": {"alt": "two clouds of points, one blue, one orange"}}
    assert not list(of_layout(notebook))


def test_letters_are_read_as_they_are_set():
    assert letters(r"\frac{1}{N}\sum_n \mathrm{softplus}(-D(x_n))") == {"N", "n", "D", "x"}
    assert letters(r"\sigma'(\hat x) \in \mathbb R^{n}") == {"sigma", "x", "n"}
