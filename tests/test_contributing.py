"""The steps of .github/CONTRIBUTING.md, taken in a copy of the project: a small layer, loss, preset and exercise."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
INSTEAD = object()
SECTIONS = {part.splitlines()[0]: part for part in TEXT.split("\n## ")[1:]}

NEW = {  # what a section's steps add: files, and in those that are there (before what, what) or (what, INSTEAD, what)
    "A layer": {
        "minigan/layers/scale.py": '''
"""A number for each channel."""

import numpy as np

from minigan.layers.base import Layer
from minigan.layers.formula import Formula


def scale_forward(x, weight):
    """y = w x. x (…, C), weight w (C,) -> out of x's shape, cache."""
    return x * weight, (x, weight)


def scale_backward(grad_output, cache):
    """∂L/∂x = g w, ∂L/∂w = Σ g x over all axes but the last."""
    x, weight = cache
    return grad_output * weight, (grad_output * x).sum(axis=tuple(range(x.ndim - 1)))


scale = Formula(scale_forward, scale_backward)


class Scale(Layer):
    """y = w x, with w (num_features,) ones at first."""

    formula = scale

    def __init__(self, num_features, dtype=np.float32):
        super().__init__()
        self._add_param("weight", np.ones(num_features, dtype))
''',
        "minigan/layers/__init__.py": [("", "from minigan.layers.scale import Scale, scale_backward, scale_forward\n")],
        "tests/layer_zoo.py": [
            (
                "@kind\ndef dense(rng)",
                "@kind\ndef scale(rng):\n    shape = flat_or_picture(rng)\n"
                "    return layers.Scale(shape[-1]), shape, None\n\n\n",
            )
        ],
        "tests/formula_cases.py": [
            (
                "@case\ndef dense(rng)",
                "@case\ndef scale(rng):\n    shape = flat_or_picture(rng)\n"
                "    return normal(rng, *shape), rng.standard_normal(shape[-1])\n\n\n",
            )
        ],
        "tests/layers/test_planted_bugs.py": [
            ("\nWINDOWS, CACHED", 'LAYERS["scale"] = (lambda: minigan.layers.Scale(3), PICTURE)\n'),
            (
                "\n@cache\ndef report",
                'BUGS["scale", minigan.layers.scale, "scale_backward"] = {"w forgotten": ("grad_output * weight",'
                ' "grad_output * 1")}\n',
            ),
        ],
    },
    "A loss": {
        "minigan/losses.py": [
            (
                "LOSSES = {",
                'class SquaredHinge(AdversarialLoss):\n    """D: mean max(0, 1 - r)² + mean max(0, 1 + f)². G: -mean f.'
                '"""\n\n'
                "    def _real(self, r):\n"
                "        gap = np.maximum(1 - r, 0)\n"
                "        return np.square(gap, dtype=np.float64), -2 * gap\n\n"
                "    def _fake(self, f):\n"
                "        gap = np.maximum(1 + f, 0)\n"
                "        return np.square(gap, dtype=np.float64), 2 * gap\n\n"
                "    def _generator(self, f):\n"
                "        return -f, -np.ones_like(f)\n\n\n",
            ),
            ('    "wasserstein": Wasserstein', '    "squared_hinge": SquaredHinge,\n'),
        ],
        "tests/test_losses.py": [
            ('    "wasserstein": (0, -1', '    "squared_hinge": (2, -2, 2, 0, -1),\n'),
            ('    "wasserstein": ((1000', '    "squared_hinge": ((1000, -1), (-1000, -1)),\n'),
        ],
        "tests/test_planted_loss_bugs.py": [
            (
                "\ndef cross_entropy(",
                "\ndef test_a_planted_squared_hinge():\n"
                '    loss = LOSSES["squared_hinge"]()\n'
                "    assert check_function(*(lambda f, x: (f, *x))(*discriminator(loss))).ok\n"
                "    assert not check_function(*(lambda f, x: (f, *x))(*discriminator(loss, real=0.5))).ok\n\n",
            )
        ],
    },
    "A preset": {
        "minigan/models/shallow.py": '''
"""One hidden layer in each network."""

from minigan.layers import Dense, Flatten, LeakyReLU, Reshape, Sequential, Tanh
from minigan.models.base import Preset, flat_size


def build_shallow(sizes, rng, noise_rng, dtype):
    """G Z→32→pixels, tanh; D pixels→32→1; leaky ReLU 0.2."""

    def through(inputs, outputs):
        return [Dense(inputs, 32, rng=rng, dtype=dtype), LeakyReLU(0.2), Dense(32, outputs, rng=rng, dtype=dtype)]

    pixels, seen = flat_size(sizes.sample_shape), flat_size(sizes.seen_shape)
    generator = Sequential([*through(sizes.inputs, pixels), Tanh(), Reshape(sizes.sample_shape)])
    return generator, Sequential([Flatten(), *through(seen, sizes.outputs)])


SHALLOW = Preset(
    name="shallow",
    summary="one hidden layer in each network",
    source="nobody",
    build=build_shallow,
    defaults={"lr": 1e-3, "epochs": 1},
    minutes=0.2,
    multiple=None,
)
''',
        "minigan/models/__init__.py": [
            ("from minigan.models.sngan", "from minigan.models.shallow import SHALLOW\n"),
            ("        TOY,\n    )", "        SHALLOW,\n"),
        ],
        "README.md": [("| `toy` | points", "| `shallow` | one hidden layer | nothing yet |\n")],
    },
    "An exercise": {
        "minigan/classroom/layers.py": [
            (
                "EXERCISES = [",
                "class ReluExercise(Exercise):\n"
                '    name, notebook, paper = "relu", 3, "Nair and Hinton 2010"\n'
                '    signatures = ("relu_forward(x) -> out, cache",\n'
                '                  "relu_backward(grad_output, cache) -> grad_input")\n\n'
                "    def cases(self, draw):\n"
                "        def arguments(*shape):\n"
                '            return {"x": draw.normal(*shape, away=0.1), "grad_output": draw.normal(*shape)}\n\n'
                "        n, d = draw.sizes(2)\n"
                '        return [Case(arguments(n, d)), Case(arguments(1, d), "N = 1", ONE_SAMPLE)]\n\n'
                "    def common_mistakes(self, a):\n"
                "        x, g = a.values()\n"
                '        return {"out": [(np.minimum(x, 0), "It keeps what is negative.")],\n'
                '                "grad_input": [(g, "It lets through what ReLU stopped.")]}\n\n\n',
            ),
            ("LeakyReluExercise(),", "ReluExercise(), "),
        ],
        "notebooks/exercises/relu.py": '''
"""Exercise relu: max(x, 0) (notebook 3; Nair and Hinton 2010)."""

import numpy as np


def relu_forward(x):
    """y = max(x, 0). x of any shape -> out of the same shape, cache."""
    raise NotImplementedError


def relu_backward(grad_output, cache):
    """∂L/∂x = g where x > 0, else 0. grad_output, cache -> grad_input, all of x's shape."""
    raise NotImplementedError
''',
        "tests/planted_solutions.py": [
            (
                '    "leaky_relu": [',
                '    "relu": [\n'
                '        ("np.maximum(x, 0)", "np.minimum(x, 0)", "keeps what is negative"),\n'
                '        ("np.where(cache > 0, grad_output, ", "np.where(True, grad_output, ", "lets through"),\n'
                '        ("grad_output, grad_output.dtype", "-grad_output, grad_output.dtype", "up to the sign"),\n'
                '        ("grad_output, grad_output.dtype", "2 * grad_output, grad_output.dtype", "Twice"),\n    ],\n',
            )
        ],
        "tests/classroom/test_grade.py": [
            ("15 exercises", INSTEAD, "16 exercises"),
            ("14 deselected", INSTEAD, "15 deselected"),
        ],
        "notebooks/README.md": [("holds fifteen exercises", INSTEAD, "holds sixteen exercises")],
        "README.md": [(": fifteen [", INSTEAD, ": sixteen [")],
    },
}
TESTS = {  # of the project's own, in the copy: where, and what is new there
    "A layer": (["test_layer_contract", "test_modes", "test_formulas", "test_planted_bugs"], "scale or has_cases"),
    "A loss": (["test_losses", "test_planted_loss_bugs"], "squared_hinge or by_hand"),
    "A preset": (["test_gan", "test_gan_gradients"], "shallow"),
    "An exercise": (
        ["test_classroom", "test_grade"],
        "(relu and not leaky) or student_s_tree or every_exercise or class_is_graded",
    ),
}
USE = """
import sys
from pathlib import Path

import numpy as np

import minigan
from minigan.classroom import solutions
from minigan.gradcheck.__main__ import run

assert Path(minigan.__file__).is_relative_to(Path.cwd().resolve())
rng = np.random.default_rng(0)
report = minigan.gradcheck.check_gradients(minigan.layers.Scale(3), rng.standard_normal((4, 3)))
assert report.ok, report
gan = minigan.build_gan("toy", loss="squared_hinge")
assert np.isfinite(list(gan.train_step(rng.standard_normal((8, 2)).astype(np.float32)).values())).all()
gan = minigan.build_gan("shallow", sample_shape=(6, 5, 1))
before = gan.sample(2, np.random.default_rng(1))
for _ in range(3):
    gan.train_step(np.tanh(rng.standard_normal((8, 6, 5, 1))).astype(np.float32))
assert not np.array_equal(gan.sample(2, np.random.default_rng(1)), before)
right = solutions.source("relu")
for name, text, status in (("relu", right, 0), ("wrong", right.replace("np.maximum(x, 0)", "x"), 1)):
    Path(f"{name}.py").write_text(text, encoding="utf-8")
    assert run([f"{name}.py:relu"]) == status
assert run(["notebooks/exercises/relu.py"]) == 1
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The project with all that is new in it."""
    copy = tmp_path_factory.mktemp("copy")
    for name in ("minigan", "tests", "notebooks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.ipynb"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, copy / name)
    (copy / "data").symlink_to(ROOT / "data")
    for files in NEW.values():
        for name, what in files.items():
            path = copy / name
            if isinstance(what, str):
                assert not path.exists()
                path.write_text(what.lstrip(), encoding="utf-8")
                continue
            text = path.read_text(encoding="utf-8")
            for old, *new in what:
                assert text.count(old) == 1 or not old, (name, old)
                new = new[1] if new[0] is INSTEAD else new[0] + old
                text = text.replace(old, new) if old else text + new
            path.write_text(text, encoding="utf-8")
    return copy


def python(copy, *words):
    """In plain NumPy, since compiling the copy's kernels would take most of the time."""
    environment = {**os.environ, "MINIGAN_PLAIN": "1", "PYTHONPATH": str(copy)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, encoding="utf-8", timeout=300)


@pytest.mark.parametrize("section", NEW)
def test_each_file_to_touch_is_named_and_no_other(section):
    named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|md))`", SECTIONS[section]))
    stem = {"A layer": "scale", "A preset": "shallow", "An exercise": "relu"}.get(section, "")
    touched = {name.replace(f"/{stem}.py", "/NAME.py") for name in NEW[section]}
    assert touched <= named
    for name in named:
        beside = ROOT / "minigan" / "classroom" / name
        assert "NAME" in name or (ROOT / name).is_file() or beside.is_file(), f"{name}, which is not there"


def test_what_is_new_works(copy):
    done = python(copy, "-c", USE)
    assert done.returncode == 0, done.stderr
    assert "relu: passed" in done.stdout
    assert "relu: WRONG. out" in done.stdout
    assert "not written yet" in done.stdout


@pytest.mark.parametrize("section", TESTS)
def test_the_project_s_own_tests_take_it_in(section, copy):
    """And pass on it: each of these files has a test of what is new."""
    files, new = TESTS[section]
    paths = [str(next((copy / "tests").rglob(f"{name}.py"))) for name in files]
    done = python(copy, "-m", "pytest", "-vv", "-p", "no:cacheprovider", *paths, "-k", new)
    assert done.returncode == 0, done.stdout[-4000:]
    for name in files:
        assert re.search(rf"{name}\.py::.*PASSED", done.stdout), name
