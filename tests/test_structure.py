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

LEVELS = {  # a module may import modules of its own level and of lower ones; a folder stands for all files in it
    "minigan.errors": 0,
    "minigan.streams": 0,
    "minigan.base": 0,
    "minigan.kernels": 1,
    "minigan.idx": 1,
    "minigan.npy": 1,
    "minigan.files": 1,
    "minigan.gradcheck": 1,
    "minigan.metrics": 1,
    "minigan.theory": 1,
    "minigan.filters": 1,
    "minigan.fills": 1,
    "minigan.image_metrics": 1,
    "minigan.bench_process": 1,
    "minigan.processes": 0,
    "minigan.init": 2,
    "minigan.datasets": 2,
    "minigan.checkpoint": 2,
    "minigan.plotting": 2,
    "minigan.pictures": 2,
    "minigan.sounds": 2,
    "minigan.bench_report": 2,
    "minigan.fitting": 2,
    "minigan.seeds": 2,
    "minigan.layers": 3,
    "minigan.losses": 4,
    "minigan.penalties": 4,
    "minigan.variational": 4,
    "minigan.optim": 4,
    "minigan.models": 5,
    "minigan.conditioning": 5,
    "minigan.game": 6,
    "minigan.conditions": 6,
    "minigan.config": 6,
    "minigan.choices": 7,
    "minigan.gan": 7,
    "minigan.classifier": 7,
    "minigan.autoencoder": 7,
    "minigan.evaluation": 8,
    "minigan.mending": 6,
    "minigan.enhancement": 7,
    "minigan.restoration": 7,
    "minigan.run": 8,
    "minigan.recognition": 8,
    "minigan.arithmetic": 9,
    "minigan.latent": 8,
    "minigan.trainer": 8,
    "minigan.session": 9,
    "minigan.bench_work": 8,
    "minigan.bench_network": 8,
    "minigan.bench_scaling": 8,
    "minigan.classroom": 8,
    "minigan.classroom.__main__": 9,
    "minigan.cli": 9,
    "minigan.gradcheck.__main__": 9,
    "minigan.grade": 9,
    "minigan.train": 9,
    "minigan.datasets.__main__": 9,
    "minigan.sample": 9,
    "minigan.classify": 9,
    "minigan.evaluate": 9,
    "minigan.mending_run": 9,
    "minigan.enhance": 9,
    "minigan.recognise": 9,
    "minigan.autoencode": 9,
    "minigan.insight": 9,
    "minigan.inside": 9,
    "minigan.audio": 9,
    "minigan.restore": 9,
    "minigan.bench": 9,
    "minigan.__main__": 9,
    "minigan": 10,  # what it holds is loaded when asked for
}
ONLY = {  # these are to stay usable by themselves: all that they may import of minigan
    "minigan.errors": set(),
    "minigan.files": {"minigan.errors"},
    "minigan.idx": {"minigan.errors"},
    "minigan.npy": {"minigan.errors"},
    "minigan.gradcheck": {"minigan.errors", "minigan.gradcheck.causes"},
    "minigan.gradcheck.causes": set(),
    "minigan.metrics": {"minigan.errors"},
    "minigan.init": {"minigan.errors"},
    "minigan.theory": {"minigan.errors"},
    "minigan.datasets": {
        "minigan.errors",
        "minigan.datasets.batches",
        "minigan.datasets.checks",
        "minigan.datasets.cifar",
        "minigan.datasets.folder",
        "minigan.datasets.mnist",
        "minigan.datasets.own",
        "minigan.datasets.pixels",
        "minigan.datasets.places",
        "minigan.datasets.toy",
    },
    "minigan.checkpoint": {"minigan.errors", "minigan.files", "minigan.npy"},
    "minigan.plotting": {"minigan.errors", "minigan.files", "minigan.datasets"},
    "minigan": set(),
}

SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
every_source = pytest.mark.parametrize("name", SOURCES)


def level(name):
    """The level of a module, or of the nearest folder that has one; None where it was never placed."""
    while name not in LEVELS and name.count(".") > 1:
        name = name.rpartition(".")[0]
    return LEVELS.get(name)


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
    own = level(name)
    if own is None:
        yield f"{name} has no level yet: place it in LEVELS of tests/test_structure.py, as low as it can be"
        return
    for line, imported in imports(name, source, known):
        if imported.split(".")[0] != "minigan":
            continue
        where, other = f"{name}, line {line}, imports {imported}", level(imported)
        if other is None:
            yield f"{where}, which has no level: place it in LEVELS of tests/test_structure.py"
        elif other > own:
            yield f"{where}: up, from level {own} to level {other}; move what is needed down instead"
        elif name in ONLY and imported not in ONLY[name]:
            yield f"{where}, but may import only {sorted(ONLY[name]) or 'nothing'} of minigan"


@every_source
def test_imports_go_down_only(name):
    assert not list(problems(name, SOURCES[name].read_text()))


def test_the_rule_can_fail():
    def complaint(name, source):
        return " ".join(problems(name, source))

    assert "level 3 to level 7" in complaint("minigan.layers.dense", "from minigan.gan import GAN")
    assert "level 3 to level 7" in complaint("minigan.layers.dense", "from minigan import init, gan")
    assert "level 4 to level 5" in complaint("minigan.optim", "def f():\n    import minigan.models.dcgan")
    assert "line 2" in complaint("minigan.optim", "def f():\n    import minigan.models.dcgan")
    assert "level 3 to level 4" in complaint("minigan.layers.dense", "from ..losses import Hinge")
    assert "level 3 to level 4" in complaint("minigan.layers", "from .. import losses")
    assert "level 1 to level 10" in complaint("minigan.gradcheck", "import minigan")
    assert "may import only ['minigan.errors', 'minigan.gradcheck.causes']" in complaint(
        "minigan.gradcheck", "from minigan.kernels import memory"
    )
    assert "place it in LEVELS" in complaint("minigan.brand_new", "")
    assert "has no level: place it" in complaint("minigan.gan", "from minigan.brand_new import x")
    assert not complaint("minigan.gan", "from minigan import __version__, init\nfrom minigan.layers.dense import Dense")
    assert not complaint("minigan.layers.conv", "from minigan.layers.base import Layer\nfrom . import dense")


def test_every_level_is_of_a_module_that_is_there():
    """A file that was renamed or removed leaves no stale line behind."""
    assert not sorted((set(LEVELS) | set(ONLY)) - set(SOURCES))


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


@pytest.mark.parametrize("name", ["minigan.gradcheck", "minigan.idx", "minigan.checkpoint", "minigan.datasets"])
def test_the_independent_modules_load_no_kernel(name):
    assert not {module for module in loaded_by(f"import {name}") if module.startswith(("numba", "minigan.kernels"))}


def test_every_public_name_is_there():
    code = "import minigan\nfor name in minigan.__all__: getattr(minigan, name)"
    assert "minigan.gan" in loaded_by(code)
