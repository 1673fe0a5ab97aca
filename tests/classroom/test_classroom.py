"""The judge of the class kit: passes what is right, rejects what is wrong with the right hint, survives the rest."""

import ast
import inspect
import random
import re
from pathlib import Path

import numpy as np
import pytest
from planted_solutions import PLANTED

from minigan.classroom import answers, solutions
from minigan.classroom.catalogue import EXERCISES, find
from minigan.classroom.exercise import Draw
from minigan.classroom.grading import FAILED, NOT_WRITTEN, PASSED, grade_file

STUBS = Path(__file__).parents[2] / "notebooks" / "exercises"


SEED = 3


def grade(name, text, seed=SEED):
    """The verdict on a file with that text."""
    return grade_file(text.encode(), "mine.py", find(name), seed=seed)


@pytest.mark.parametrize("name", EXERCISES)
def test_every_reference_solution_passes(name):
    verdict = grade(name, solutions.source(name))
    assert verdict.status == PASSED, verdict


@pytest.mark.parametrize(
    ("name", "old", "new", "hint"),
    [(name, *edit) for name, edits in PLANTED.items() for edit in edits],
    ids=[f"{name}-{number}" for name, edits in PLANTED.items() for number in range(len(edits))],
)
def test_every_planted_mistake_is_found_and_named(name, old, new, hint):
    source = solutions.source(name)
    assert old in source, "the planted edit is stale"
    verdict = grade(name, source.replace(old, new))
    assert verdict.status == FAILED
    assert hint in verdict.hint, verdict
    assert f"notebook {EXERCISES[name].notebook}" in str(verdict)


def test_there_are_mistakes_for_every_exercise():
    assert set(PLANTED) == set(EXERCISES)
    assert min(len(edits) for edits in PLANTED.values()) >= 4
    assert sum(len(edits) for edits in PLANTED.values()) >= 60


def test_a_wrong_gradient_is_told_with_its_place_and_both_values():
    verdict = grade("dense", solutions.source("dense").replace("x.T @ grad_output", "2 * x.T @ grad_output"))
    assert verdict.where == "grad_weight"
    case = EXERCISES["dense"].cases(Draw(SEED))[0].arguments
    right = case["x"].T @ case["grad_output"]
    np.testing.assert_allclose(verdict.expected, right[tuple(verdict.index)], rtol=1e-12)
    np.testing.assert_allclose(verdict.got, 2 * verdict.expected, rtol=1e-12)
    place = re.escape(f"grad_weight{verdict.index}")
    assert re.search(rf"{place}: got -?\d.*, expected -?\d.*Twice.*Reread notebook 2, Dense layers", str(verdict))


def test_the_judge_asks_the_library(monkeypatch):
    """So a solution that drifts away from the library fails, and with it the test above."""
    text, forward = solutions.source("dense"), answers.dense.dense_forward
    monkeypatch.setattr(answers.dense, "dense_forward", lambda *a: (forward(*a)[0] + 1, forward(*a)[1]))
    assert grade("dense", text).where == "out"


def test_solutions_are_the_library_s_own_text():
    from minigan import metrics, penalties
    from minigan.layers import conv

    for name, part in [
        ("frechet_distance", metrics.frechet_distance),
        ("gradient_penalty", penalties.wgan_gp),
        ("conv_forward", conv.windows_of),
    ]:
        assert inspect.getsource(part) in solutions.source(name)


# ---- the student's tree


def functions(source):
    return {
        node.name: ([a.arg for a in node.args.args], ast.get_docstring(node) or "")
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
    }


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_says_that_it_is_not_written(name):
    verdict = grade(name, (STUBS / f"{name}.py").read_text(encoding="utf-8"))
    assert verdict.status == NOT_WRITTEN
    assert "not written yet" in str(verdict)


@pytest.mark.parametrize("name", EXERCISES)
def test_a_stub_has_the_solution_s_signatures_and_says_what_to_read(name):
    source = (STUBS / f"{name}.py").read_text(encoding="utf-8")
    stubs, right = functions(source), functions(solutions.source(name))
    assert list(stubs) == list(EXERCISES[name].functions)
    for function, (arguments, doc) in stubs.items():
        assert arguments == right[function][0][: len(arguments)]
        assert " -> " in re.sub(r"\s+", " ", doc), "the shapes of the results"
    assert f"notebook {EXERCISES[name].notebook};" in ast.get_docstring(ast.parse(source))
    imported = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(node) for node in imported] == ["import numpy as np"]


def test_the_student_s_tree_holds_the_stubs_and_nothing_to_copy_from():
    assert {path.name for path in STUBS.glob("*.py")} == {f"{name}.py" for name in EXERCISES} | {"test_exercises.py"}


def test_half_of_a_file_may_be_written():
    source = solutions.source("dense")
    half = (
        source[: source.index("def dense_backward")] + "def dense_backward(g, cache):\n    raise NotImplementedError\n"
    )
    verdict = grade("dense", half)
    assert (verdict.status, verdict.where) == (NOT_WRITTEN, "dense_backward")
    wrong = grade("dense", half.replace("x @ weight + bias", "x @ weight"))
    assert (wrong.status, wrong.where) == (FAILED, "out")  # what is written is judged


# ---- whatever else a file may hold

WHOLE = solutions.source("dense")


def in_forward(line):
    return WHOLE.replace("    return x @ weight + bias", f"    {line}\n    return x @ weight + bias")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "no such function"),
        ("def dense_forward(x, weight, bias)\n    pass", "cannot read line 1"),
        ("dense_forward = 3", "no such function"),
        ("\x00", "null bytes"),
        ("import sys\nsys.exit(0)", "sys.exit or quit in line 2"),
        ("raise SystemExit", "sys.exit or quit in line 1"),
        ("import nothing_of_that_name", "imports nothing_of_that_name, which is not there in line 1"),
        ("from helpers import f", "imports helpers"),
        ("import minigan.layers", "imports minigan in line 1: import minigan.layers. Write it with NumPy alone"),
        ("def f():\n    from torch import nn\n\nf()", "imports torch in line 2"),
        ("1 / 0", "ZeroDivisionError: division by zero in line 1"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        (in_forward("quit()"), "sys.exit or quit"),
        (in_forward("exit(0)"), "sys.exit or quit"),
        (in_forward("input()"), "input"),
        (in_forward("return dense_forward(x, weight, bias)"), "calls itself without an end"),
        (in_forward("raise MemoryError"), "more memory"),
        (in_forward("assert x.shape == 3, 'odd'"), "AssertionError: odd in line"),
        (in_forward("return x @ weight + bias, x, weight"), "returns 3 values, expected 2"),
        (in_forward("return None, None"), "It is None"),
        (in_forward("return 'text', None"), "It is a str"),
        (in_forward("return [[1], [1, 2]], None"), "It is a list"),
        (in_forward("return object(), None"), "It is a object"),
        (in_forward("return (x @ weight + bias).astype(int), None"), "It is int64"),
        (in_forward("return np.ma.masked_array(x @ weight + bias), None"), "MaskedArray"),
        (in_forward("return np.broadcast_to(0.0, (10**6, 10**6)), None"), "shape is (1000000, 1000000)"),
        (in_forward("return (x @ weight + bias) * np.nan, None"), "not finite"),
        (in_forward("return x @ weight + bias + 1 + np.random.rand(), (x, weight)"), "Wrong in every entry"),
        (WHOLE.replace("    x, weight = cache", "    x, weight, _ = cache"), "ValueError: not enough values"),
        (WHOLE + "\nclass A:\n    def __del__(self):\n        raise ValueError\n", None),
        ("print('hello')\n" + WHOLE, None),
        ("\ufeff" + WHOLE, None),  # as some editors begin a file
        ("from __future__ import annotations\nimport math, dataclasses\n" + WHOLE, None),
        (WHOLE.replace("np.", "numpy.").replace("import numpy as np", "import numpy"), None),
    ],
)  # fmt: skip
def test_whatever_a_file_holds_is_told_and_not_crashed_on(text, hint):
    verdict = grade("dense", text)
    if hint is None:
        assert verdict.status == PASSED, verdict
    else:
        assert verdict.status == FAILED
        assert hint in verdict.hint, verdict


def test_a_file_that_is_no_text():
    verdict = grade_file(random.Random(0).randbytes(300), "dense.py", EXERCISES["dense"])
    assert "annot read it" in verdict.hint


ANOTHER_WAY = {  # loops for im2col, a chain of small steps for a formula, complex eigenvalues for a real root
    "conv_forward": """
def conv_forward(x, weight, bias, stride, padding):
    x = np.pad(x, [(0, 0), (padding[0],) * 2, (padding[1],) * 2, (0, 0)])
    kh, kw = weight.shape[:2]
    oh, ow = (x.shape[1] - kh) // stride[0] + 1, (x.shape[2] - kw) // stride[1] + 1
    out = np.empty((len(x), oh, ow, weight.shape[3]))
    for h in range(oh):
        for w in range(ow):
            window = x[:, h * stride[0] :, w * stride[1] :][:, :kh, :kw]
            out[:, h, w] = np.einsum("nijc,ijco->no", window, weight) + bias
    return out
""",
    "conv_backward": """
def conv_backward(g, x, weight, stride, padding):
    (ph, pw), (kh, kw) = padding, weight.shape[:2]
    padded = np.pad(x, [(0, 0), (ph, ph), (pw, pw), (0, 0)])
    grad_input, grad_weight = np.zeros_like(padded), np.zeros_like(weight)
    for h in range(g.shape[1]):
        for w in range(g.shape[2]):
            at = np.s_[:, h * stride[0] : h * stride[0] + kh, w * stride[1] : w * stride[1] + kw]
            grad_input[at] += np.einsum("no,ijco->nijc", g[:, h, w], weight)
            grad_weight += np.einsum("nijc,no->ijco", padded[at], g[:, h, w])
    inside = grad_input[:, ph : ph + x.shape[1], pw : pw + x.shape[2]]
    return [inside, grad_weight, np.einsum("nhwo->o", g)]
""",
    "conv_transpose": """
def conv_transpose_forward(x, weight, bias, stride, padding):
    n, height, width, _ = x.shape
    kh, kw, o, _ = weight.shape
    full = np.zeros((n, (height - 1) * stride[0] + kh, (width - 1) * stride[1] + kw, o))
    for h in range(height):
        for w in range(width):
            at = np.s_[:, h * stride[0] : h * stride[0] + kh, w * stride[1] : w * stride[1] + kw]
            full[at] += np.einsum("nc,ijoc->nijo", x[:, h, w], weight)
    (ph, pw), (_, rows, columns, _) = padding, full.shape
    return full[:, ph : rows - ph, pw : columns - pw] + bias, dict(x=x, weight=weight, stride=stride, padding=padding)

def conv_transpose_backward(g, cache):
    x, weight, (sh, sw), (ph, pw) = cache["x"], cache["weight"], cache["stride"], cache["padding"]
    kh, kw = weight.shape[:2]
    g = np.pad(g, [(0, 0), (ph, ph), (pw, pw), (0, 0)])
    grad_input, grad_weight = np.zeros_like(x), np.zeros_like(weight)
    for h in range(x.shape[1]):
        for w in range(x.shape[2]):
            window = g[:, h * sh : h * sh + kh, w * sw : w * sw + kw]
            grad_input[:, h, w] = np.einsum("nijo,ijoc->nc", window, weight)
            grad_weight += np.einsum("nijo,nc->ijoc", window, x[:, h, w])
    inside = g[:, ph : g.shape[1] - ph, pw : g.shape[2] - pw]
    return grad_input, grad_weight, inside.sum((0, 1, 2))
""",
    "batch_norm": """
def batch_norm_forward(x, gamma, beta, eps):
    axes = tuple(range(x.ndim - 1))
    centred = x - x.mean(axes)
    var = (centred**2).mean(axes)
    return gamma * centred / np.sqrt(var + eps) + beta, (centred, var + eps, gamma, axes)

def batch_norm_backward(g, cache):
    centred, var, gamma, axes = cache
    count = g.size // g.shape[-1]
    by_normalised = g * gamma
    by_var = (by_normalised * centred).sum(axes) * -0.5 * var**-1.5
    by_centred = by_normalised * var**-0.5 + by_var * 2 * centred / count
    return by_centred - by_centred.mean(axes), (g * centred * var**-0.5).sum(axes), g.sum(axes)
""",
    "adam": """
def adam_step(param, grad, mean, square, step, lr, beta1, beta2, eps):
    mean = beta1 * mean + (1 - beta1) * grad
    square = beta2 * square + (1 - beta2) * grad * grad
    m_hat, v_hat = mean / (1 - beta1**step), square / (1 - beta2**step)
    return param - lr * m_hat / (np.sqrt(v_hat) + eps), mean, square
""",
    "sigmoid_cross_entropy": """
def sigmoid_cross_entropy(logits, targets):
    value = np.mean(targets * np.logaddexp(0, -logits) + (1 - targets) * np.logaddexp(0, logits))
    return float(value), (0.5 * (1 + np.tanh(logits / 2)) - targets) / logits.size
""",
    "gradient_penalty": """
def interpolates(real, fake, epsilon):
    return np.stack([e * r + (1 - e) * f for e, r, f in zip(epsilon, real, fake)])

def wgan_gp(g, strength):
    lengths = np.linalg.norm(g.reshape(len(g), -1), axis=1)
    v = np.zeros_like(g)
    for n, length in enumerate(lengths):
        if length:
            v[n] = 2 * strength / len(g) * (length - 1) * g[n] / length
    return strength * np.mean((lengths - 1) ** 2), v
""",
    "frechet_distance": """
def frechet_distance(real, fake):
    a, b = np.cov(real.T), np.cov(fake.T)
    root = np.sqrt(np.linalg.eigvals(a @ b).astype(complex)).real.sum()
    return ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(a + b) - 2 * root
""",
}


@pytest.mark.parametrize("name", ANOTHER_WAY)
def test_another_way_that_is_right_passes(name):
    verdict = grade(name, "import numpy as np\n" + ANOTHER_WAY[name])
    assert verdict.status == PASSED, verdict


# ---- a class of one's own

OWN_DENSE = """
import numpy as np

class Dense:
    def __init__(self, in_features, out_features, rng):
        self.params = {"weight": rng.standard_normal((in_features, out_features)), "bias": np.zeros(out_features)}
        self.grads = {name: np.zeros_like(param) for name, param in self.params.items()}

    def forward(self, x):
        self.x = x
        return x @ self.params["weight"] + self.params["bias"].astype(x.dtype)

    def backward(self, grad_output):
        self.grads["weight"] += self.x.T @ grad_output
        self.grads["bias"] += grad_output.sum(axis=0)
        return grad_output @ self.params["weight"].T
"""


@pytest.mark.parametrize(
    ("old", "new", "hint"),
    [
        ("", "", None),
        ("+ self.params", "- self.params", "out"),
        ("self.x.T @ grad_output", "self.x.T @ grad_output / len(self.x)", "is a 1/N doubled"),
        ("+= grad_output.sum", "= grad_output.sum", "did you write = instead of +=?"),
        ('{"weight": rng', '{"W": rng', "must be a dict with ['bias', 'weight']"),
        ("standard_normal((in_features, out_features))", "standard_normal((out_features, in_features))", "shape"),
        ("        self.x = x", "        raise NotImplementedError", "not written yet"),
        ("        self.x = x", "        raise SystemExit", "sys.exit"),
        ("class Dense", "class Layer", "no such"),
    ],
)  # fmt: skip
def test_a_class_is_judged_as_the_layer_of_its_name(old, new, hint):
    verdict = grade("Dense", OWN_DENSE.replace(old, new) if old else OWN_DENSE)
    assert (verdict.status == PASSED) == (hint is None), verdict
    assert hint is None or hint in str(verdict)
