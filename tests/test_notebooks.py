"""The notebooks as they are committed: whole, small, run from top to bottom, and asserting what they say.

That they run anew is for .ci/run to see, which executes each. Here they are only read.

A formula notebook has to assert an identity (an equality with something that the library computed) and a gradient
(something that comes from gradcheck). What a name "comes from" is followed through assignments, loops and functions.
"""

import ast
import functools
import re
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
LARGEST = 1_000_000  # bytes
TOURS = {"01", "12"}  # numbers of the notebooks that have no formula of their own
NO_FORMULA = {"datasets", "gradcheck", "plotting"}  # modules whose functions are tools: equal to them is no identity
FORMULAS = ["layers/*.py", "losses.py", "penalties.py", "optim.py", "metrics.py", "theory.py", "gradcheck.py"]
FORMULAS += ["kernels/im2col.py", "kernels/updates.py"]  # the other kernels are those of the layers, or no formulas
CHECKS = {"check_gradients", "check_function", "numerical_gradient"}
RAISING = {"assert_allclose", "assert_array_equal"}  # NumPy's, which need no assert in front
EQUAL = {"allclose", "isclose", "array_equal", *RAISING}
PATH = re.compile(r"(?<![\w.~/])/(?:home|root|tmp|work|usr|opt|mnt|var|Users)/|\b[A-Z]:\\\\?\w|file://")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@functools.cache
def library_functions():
    """The names of the library's public functions that compute a formula."""
    files = [path for place in FORMULAS for path in (ROOT / "minigan").glob(place)]
    trees = [ast.parse(path.read_text()) for path in files]
    names = {node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name for name in names if not name.startswith("_")}


class Code:
    """A notebook's code cells as one program."""

    def __init__(self, notebook):
        self.tree = ast.parse("\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code"))
        self.statements = list(self._statements(self.tree.body))
        self.imported = {  # name here -> what it is in the library
            alias.asname or alias.name.split(".")[0]: alias.name
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
            if (getattr(node, "module", None) or alias.name).split(".")[0] == "minigan"
        }

    def _statements(self, body):
        """All statements but those inside of functions, whose names are their own."""
        for node in body:
            yield node
            if not isinstance(node, ast.FunctionDef | ast.ClassDef):
                for field in ("body", "orelse", "finalbody"):
                    yield from self._statements(getattr(node, field, []))

    def from_library(self, name=None):
        """A predicate: does this node use the library, or its function `name`, or the class of that name?"""
        name = name and plain(name)

        def uses(node):
            if isinstance(node, ast.Attribute) and name is not None:
                root = next(n for n in ast.walk(node) if isinstance(n, ast.expr) and not isinstance(n, ast.Attribute))
                return plain(node.attr) == name and getattr(root, "id", None) in self.imported
            if isinstance(node, ast.Name):
                original = self.imported.get(node.id)
                return original is not None and (plain(original) == name if name else original not in NO_FORMULA)
            return False

        return uses

    def derived(self, uses):
        """The names whose values come from a node that `uses` holds for."""
        names, before = set(), None
        while names != before:
            before = set(names)
            for node in self.statements:
                targets, value = [], None
                if isinstance(node, ast.Assign):
                    targets, value = node.targets, node.value
                elif isinstance(node, ast.AugAssign | ast.AnnAssign):
                    targets, value = [node.target], node.value
                elif isinstance(node, ast.For):
                    targets, value = [node.target], node.iter
                elif isinstance(node, ast.FunctionDef | ast.ClassDef) and mentions(node, uses, names):
                    names.add(node.name)
                if value is not None and mentions(value, uses, names):
                    stored = (n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
                    names |= {n.id for n in stored if isinstance(n.ctx, ast.Store)}
        return names

    def asserts(self, *predicates, equality=True):
        """Whether one assertion (of an equality) involves something that each predicate holds for."""
        sources = [(uses, self.derived(uses)) for uses in predicates]
        for node in self.statements:
            if isinstance(node, ast.Assert) or (isinstance(node, ast.Expr) and calls(node, RAISING)):
                right_kind = calls(node, EQUAL) or any(isinstance(n, ast.Eq) for n in ast.walk(node))
                if (right_kind or not equality) and all(mentions(node, uses, names) for uses, names in sources):
                    return True
        return False


def plain(name):
    """`Adam` and `adam`, `BatchNorm` and `batch_norm` are the same."""
    return name.replace("_", "").lower()


def mentions(node, uses, names):
    return any(uses(n) or (isinstance(n, ast.Name) and n.id in names) for n in ast.walk(node))


def calls(node, functions):
    found = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    return any(getattr(f, "attr", getattr(f, "id", None)) in functions for f in found)


def named(name):
    return lambda node: isinstance(node, ast.Name) and node.id == name


def checked(node):
    return getattr(node, "attr", getattr(node, "id", None)) in CHECKS


def problems(notebook, formula=True):
    """What is wrong with a notebook, in words."""
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.execution_count for cell in code_cells]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not run from top to bottom in a fresh kernel: the cells' numbers are {counts}"
    outputs = [(cell.id, output) for cell in code_cells for output in cell.outputs]
    if not any("image/png" in output.get("data", {}) for _, output in outputs):
        yield "no figure among its outputs"
    for cell_id, output in outputs:
        if output.output_type == "error":
            yield f"cell {cell_id} ended in {output.ename}"
        if output.get("name") == "stderr":
            yield f"cell {cell_id} has a warning: {output.text[:80]}"
        texts = [output.get("text", ""), *(v for k, v in output.get("data", {}).items() if k != "image/png")]
        if any(PATH.search(str(text)) for text in texts):
            yield f"the output of cell {cell_id} holds a path of the machine it ran on"
    for cell in notebook.cells:
        if PATH.search(cell.source):
            yield f"cell {cell.id} holds an absolute path"
    code = Code(notebook)
    if formula and not code.asserts(code.from_library()):
        yield "asserts no equality with anything that the library computed"
    if formula and not code.asserts(checked, equality=False):
        yield "asserts no gradient against finite differences"
    own = {node.name for node in code.statements if isinstance(node, ast.FunctionDef)}
    for name in sorted(own & library_functions()):
        if not code.asserts(named(name), code.from_library(name)):
            yield f"defines {name} anew and does not assert that it equals the library's"


@every_notebook
def test_notebook(path):
    assert path.stat().st_size < LARGEST
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not list(problems(notebook, formula=path.name[:2] not in TOURS))


def test_the_reading_order_names_every_notebook():
    text = (ROOT / "notebooks" / "README.md").read_text()
    assert sorted(re.findall(r"\]\((\w+\.ipynb)\)", text)) == [path.name for path in NOTEBOOKS]


def notebook_of(*sources, outputs=()):
    """A notebook with a figure, as if just run; `outputs` are those of the last cell."""
    v4 = nbformat.v4
    cells = [v4.new_code_cell(source, execution_count=k) for k, source in enumerate(sources, 1)]
    cells[0].outputs = [v4.new_output("display_data", {"image/png": "", "text/plain": "<a figure>"})]
    cells[-1].outputs += [v4.new_output(**output) for output in outputs]
    return v4.new_notebook(cells=cells)


IDENTITY = "from minigan import gradcheck, layers\nassert np.allclose(x @ w, layers.dense_forward(x, w, None)[0])"
GRADIENT = "report = gradcheck.check_gradients(layer, x)\nassert report.ok"


def test_a_good_notebook_passes():
    assert not list(problems(notebook_of(IDENTITY, GRADIENT)))
    through_names = "theirs = layers.f(x)\nfor a, b in zip(ours, theirs):\n    assert np.array_equal(a, b)"
    assert not list(problems(notebook_of("from minigan import gradcheck, layers", through_names, GRADIENT)))
    own = "from minigan import losses\n\n\ndef softmax(x):\n    return 1"
    assert not list(problems(notebook_of(IDENTITY, GRADIENT, own, "assert np.isclose(softmax(x), losses.softmax(x))")))


@pytest.mark.parametrize(
    ("sources", "outputs", "complaint"),
    [
        ((IDENTITY,), (), "no gradient"),
        ((GRADIENT,), (), "no equality"),
        (("from minigan import layers\ny = layers.f(x)\nassert np.allclose(x, x)", GRADIENT), (), "no equality"),
        (("from minigan import datasets\nx = datasets.load(n)\nassert np.isclose(x, x)", GRADIENT), (), "no equality"),
        ((IDENTITY, "n = gradcheck.numerical_gradient(f, x)\nassert a == b"), (), "no gradient"),
        ((IDENTITY, GRADIENT, "def softmax(x):\n    return 1"), (), "defines softmax anew"),
        ((IDENTITY, GRADIENT, "def softmax(x):\n    return 1\n\n\nassert softmax(1) == 1"), (), "defines softmax anew"),
        (
            (IDENTITY, GRADIENT, "def adam(x):\n    return 1\n\n\nassert adam(1) == other.adam(1)"),
            (),
            "defines adam anew",
        ),
        ((IDENTITY, GRADIENT, "open('/home/someone/data')"), (), "absolute path"),
        ((IDENTITY, GRADIENT), ({"output_type": "stream", "text": "in /tmp/x.py"},), "path of the machine"),
        ((IDENTITY, GRADIENT), ({"output_type": "stream", "name": "stderr", "text": "Warning"},), "a warning"),
        ((IDENTITY, GRADIENT), ({"output_type": "error", "ename": "NameError"},), "ended in NameError"),
    ],
)
def test_a_bad_notebook_is_told_why(sources, outputs, complaint):
    found = list(problems(notebook_of(*sources, outputs=outputs)))
    assert any(complaint in problem for problem in found), found


def test_a_notebook_that_was_not_run_is_told_so():
    notebook = notebook_of(IDENTITY, GRADIENT)
    notebook.cells[1].execution_count = None
    assert "not run" in next(problems(notebook))
    notebook.cells[0].outputs = []
    assert "no figure among its outputs" in list(problems(notebook))
