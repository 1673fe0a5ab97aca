"""Who may import whom: down only, or beside. Read from the sources, so that an import inside a function counts too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "minigan"
LONGEST = 400  # lines: what is longer is more than one thing
FOREIGN = {"torch", "scipy", "pickle", "cPickle", "dill", "joblib", "sklearn", "tensorflow", "jax", "torchvision"}

COMMANDS = "the commands"
STOREYS = [  # rooms, from the ground up: a folder, or a page of maths; each may import what is below it
    {"base"},
    {"datasets", "gradcheck", "init", "kernels", "theory"},
    {"layers", "optim", "tools"},
    {"losses", "models", "penalties"},
    {"autoencoders", "metrics"},
    {"audio", "classroom", "gan", "image_to_image"},
    {"bench", "recognition"},
    {COMMANDS},
    {"minigan"},  # what it holds is loaded when asked for
]
ONLY = {  # these are to stay usable by themselves: all that they may import of minigan
    "minigan.base.errors": set(),
    "minigan.base.files": {"minigan.base.errors"},
    "minigan.datasets.idx": {"minigan.base.errors", "minigan.base.npy"},
    "minigan.datasets.batches": {"minigan.base.errors", "minigan.datasets.checks"},
    "minigan.datasets.checks": {"minigan.base.errors"},
    "minigan.datasets.toy": {"minigan.base.errors", "minigan.datasets.checks"},
    "minigan.datasets.locations": {"minigan.base.errors"},
    "minigan.base.npy": {"minigan.base.errors"},
    "minigan.gradcheck": {"minigan.base.errors", "minigan.gradcheck.causes"},
    "minigan.gradcheck.causes": set(),
    "minigan.metrics.distances": {"minigan.base.errors"},
    "minigan.init": {"minigan.base.errors"},
    "minigan.theory": {"minigan.base.errors"},
    "minigan.datasets": {
        "minigan.base.errors",
        "minigan.datasets.batches",
        "minigan.datasets.checks",
        "minigan.datasets.cifar",
        "minigan.datasets.folder",
        "minigan.datasets.mnist",
        "minigan.datasets.own",
        "minigan.base.pixels",
        "minigan.datasets.locations",
        "minigan.datasets.toy",
    },
    "minigan.base.checkpoint": {"minigan.base.errors", "minigan.base.files", "minigan.base.npy"},
    "minigan.tools.plotting": {"minigan.base.errors", "minigan.base.files", "minigan.base.pixels"},
    "minigan": set(),
}

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
every_source = pytest.mark.parametrize("name", SOURCES)


def room(name):
    """The folder of a module, or the page it is; the commands, which are files at the root or a folder's __main__."""
    parts = name.split(".")
    if len(parts) == 1:
        return name
    return COMMANDS if (parts[-1] == "__main__" and parts[1] != "classroom") or name in AT_THE_ROOT else parts[1]


AT_THE_ROOT = {
    name for name, path in SOURCES.items() if path.parent == PACKAGE and "cli.main(" in path.read_text(encoding="utf-8")
}


def storey(name):
    return next((number for number, rooms in enumerate(STOREYS) if room(name) in rooms), None)


def imports(name, source, known):
    """[(line, module)] of everything `source` imports, wherever it stands; `from minigan import x` means minigan.x."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = name if known.get(name, Path()).name == "__init__.py" else name.rpartition(".")[0]
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                if inner in known:
                    found.append((node.lineno, inner))
                elif not (base == "minigan" and alias.name.startswith("__")):  # `__version__` is no module
                    found.append((node.lineno, base))
    return found


def problems(name, source, known=SOURCES):
    """What is wrong with this module's imports, in words."""
    own = storey(name)
    if own is None:
        yield f"{name} is in no room of STOREYS"
        return
    for line, imported in imports(name, source, known):
        if imported.split(".")[0] != "minigan":
            continue
        where, other = f"{name}, line {line}, imports {imported}", storey(imported)
        if other is None:
            yield f"{where}, which is in no room of STOREYS"
        elif other > own or (other == own and (room(imported) != room(name) or room(name) == COMMANDS != name)):
            if name not in (imported, "minigan.__main__"):
                yield f"{where}: from storey {own} to {other}; move what is needed down instead"
        elif name in ONLY and imported not in ONLY[name]:
            yield f"{where}, but may import only {sorted(ONLY[name]) or 'nothing'} of minigan"


@every_source
def test_imports_go_down_only(name):
    assert not list(problems(name, SOURCES[name].read_text(encoding="utf-8")))


def test_no_two_folders_import_each_other():
    """Their commands too, but for one: the command `gradcheck` judges by the class kit, which checks gradients."""
    folder = {name: path.relative_to(PACKAGE).parts[0] for name, path in SOURCES.items() if path.parent != PACKAGE}
    pairs = set()
    for name in folder:
        for _, other in imports(name, SOURCES[name].read_text(encoding="utf-8"), SOURCES):
            pairs |= {(folder[name], folder[other])} if folder.get(other, folder[name]) != folder[name] else set()
    assert {frozenset(pair) for pair in pairs if pair[::-1] in pairs} == {frozenset({"gradcheck", "classroom"})}


def test_no_files_import_each_other_in_a_circle():
    """Within a folder too; a folder's front door, which imports all of it, is not counted."""
    graph = {
        name: {other for _, other in imports(name, path.read_text(encoding="utf-8"), SOURCES) if other in SOURCES}
        for name, path in SOURCES.items()
        if path.name != "__init__.py"
    }
    while leaves := {name for name in graph if not (graph[name] - {name}) & graph.keys()}:
        graph = {name: others for name, others in graph.items() if name not in leaves}
    assert not graph


def test_the_rule_can_fail():
    def complaint(name, source):
        return " ".join(problems(name, source))

    assert "storey 2 to 5" in complaint("minigan.layers.dense", "from minigan.gan import GAN")
    assert "storey 2 to 5" in complaint("minigan.layers.dense", "from minigan import init, gan")
    assert "storey 2 to 3" in complaint("minigan.optim", "def f():\n    import minigan.models.dcgan")
    assert "line 2" in complaint("minigan.optim", "def f():\n    import minigan.models.dcgan")
    assert "storey 2 to 3" in complaint("minigan.layers.dense", "from ..losses import Hinge")
    assert "storey 2 to 3" in complaint("minigan.layers", "from .. import losses")
    assert "storey 2 to 2" in complaint("minigan.layers.dense", "from minigan import optim")
    assert "storey 7 to 7" in complaint("minigan.inside", "from minigan.sample import run")
    assert "storey 1 to 8" in complaint("minigan.gradcheck", "import minigan")
    assert "may import only ['minigan.base.errors', 'minigan.gradcheck.causes']" in complaint(
        "minigan.gradcheck", "from minigan.base import files"
    )
    assert "in no room" in complaint("minigan.brand_new", "")
    assert "in no room" in complaint("minigan.gan", "from minigan.brand_new import x")
    assert not complaint("minigan.gan", "from minigan import init\nfrom minigan.layers.dense import Dense")
    assert not complaint("minigan.layers.conv", "from minigan.layers.base import Layer\nfrom . import dense")


def test_every_room_is_there():
    """A file that was renamed or removed leaves no stale line behind."""
    assert {room for rooms in STOREYS for room in rooms} == {room(name) for name in SOURCES}
    assert not set(ONLY) - set(SOURCES)


@every_source
def test_no_foreign_framework_and_no_pickle(name):
    found = {imported.split(".")[0] for _, imported in imports(name, SOURCES[name].read_text(), SOURCES)}
    assert not found & FOREIGN
    allowed = {"numpy", "numba", "matplotlib", "PIL", "threadpoolctl", "tqdm", "minigan"} | set(sys.stdlib_module_names)
    allowed.add("llvmlite")  # comes with numba, whose intrinsics are written with it
    assert not found - allowed, "not a runtime package of this project"
    assert "allow_pickle=True" not in SOURCES[name].read_text()


@every_source
def test_numba_is_used_in_the_kernels_only(name):
    if "kernels" in SOURCES[name].parts or name == "minigan.base.mode":  # where it is asked whether it is there
        return
    assert "numba" not in {imported.split(".")[0] for _, imported in imports(name, SOURCES[name].read_text(), SOURCES)}


def of_any_encoding(source):
    """The lines on which text is read or written in whatever encoding the system happens to have."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or "encoding" in {word.arg for word in node.keywords}:
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        words = {word.arg: ast.unparse(word.value) for word in node.keywords}
        mode = words.get("mode") or next((ast.unparse(word) for word in node.args[1:2]), "'r'")
        opened = name in ("open", "fdopen") and ast.unparse(node.func) not in FOREIGN_OPEN and "b" not in mode
        of_path = name in ("read_text", "write_text") and len(node.args) < 2  # files.write_text takes the path too
        if opened or of_path or words.get("text") == "True":
            yield node.lineno


FOREIGN_OPEN = {
    "os.open",
    "Image.open",
    "wave.open",
    "archive.open",
    "tarfile.open",
    "tokenize.open",
}  # no text, or its own


@every_source
def test_text_is_utf_8_wherever_it_is_written(name):
    assert not list(of_any_encoding(SOURCES[name].read_text(encoding="utf-8")))


def test_that_rule_can_fail():
    bad = "open(x)\nopen(x, 'w')\npath.open(mode='a')\nx.read_text()\nrun(c, text=True)\nos.fdopen(1, 'w')"
    assert list(of_any_encoding(bad)) == [1, 2, 3, 4, 5, 6]
    good = "open(x, 'rb')\nx.read_text(encoding='utf-8')\nImage.open(x)\nrun(c)\nopen(x, 'wb' if y else 'ab')"
    assert not list(of_any_encoding(good))


@every_source
def test_no_file_is_long(name):
    lines = len(SOURCES[name].read_text().splitlines())
    assert lines <= LONGEST, f"{SOURCES[name].relative_to(ROOT)} has {lines} lines, more than {LONGEST}"


def loaded_by(code):
    source = f"import sys\n{code}\nprint(*sorted(sys.modules))"
    process = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return set(process.stdout.split())


def test_importing_minigan_loads_nothing_heavy():
    loaded = loaded_by("import minigan")
    assert "minigan" in loaded
    assert not loaded & {"numpy", "numba", "matplotlib", "tqdm", *FOREIGN - {"pickle"}}
    assert not {name for name in loaded if name.startswith("minigan.")}


def test_training_loads_neither_plots_nor_frameworks():
    loaded = loaded_by("import minigan\nminigan.build_gan('toy')")
    assert "minigan.gan" in loaded
    assert not loaded & {"matplotlib", *FOREIGN - {"pickle"}}


@pytest.mark.parametrize(
    "name", ["minigan.gradcheck", "minigan.datasets.idx", "minigan.base.checkpoint", "minigan.datasets"]
)
def test_the_independent_modules_load_no_kernel(name):
    assert not {module for module in loaded_by(f"import {name}") if module.startswith(("numba", "minigan.kernels"))}


def test_every_public_name_is_there():
    code = "import minigan\nfor name in minigan.__all__: getattr(minigan, name)"
    assert "minigan.gan" in loaded_by(code)
