"""Formulas and what is attached to them: every kernel computes its formula, and every formula is all there is to it.

The formulas themselves are held to their docstrings and to central differences in the layers' own tests.
"""

import ast
import importlib
import inspect
import itertools
import pkgutil

import numpy as np
import pytest
from formula_cases import CASES, arguments, converted, everything, like

from minigan import layers, losses, optim
from minigan.kernels import updates
from minigan.kernels.parallel import threads
from minigan.layers.formula import Formula, GradRequest
from minigan.metrics import distances, image_metrics

MODULES = [importlib.import_module(f"minigan.layers.{module.name}") for module in pkgutil.iter_modules(layers.__path__)]
ATTACHED = {repr(formula): formula for formula in Formula.attached}
SEEDS = range(25)
UNIT = 2.0**-24  # what rounding to float32 moves a number by, at most and as a share of it
STAGES = {"self_attention": 8}  # products of products, whose own numbers grow to about so much; 1 for the others
every_pair = pytest.mark.parametrize("name", ATTACHED)
two_cores = pytest.mark.skipif(
    threads.available_cores() < 2, reason="one core: there is no second thread to compare with"
)


# ---- kernels compute their formulas


def test_every_attached_formula_has_cases():
    assert len(ATTACHED) == len(Formula.attached)
    assert ATTACHED.keys() <= CASES.keys()


@pytest.fixture(params=[False, True], ids=["alone", "shared"])
def _shared(request, monkeypatch):
    """However small the work: by all threads."""
    if request.param:
        monkeypatch.setattr(threads, "WORTHWHILE", 1)


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@every_pair
def test_a_kernel_computes_its_formula(name, dtype):
    """Values, all gradients, and the tangent's.

    float64: within 1e-10 of an array's largest entry, or 1e-14 of all arrays' where nearly everything cancels. float32,
    beside the formula in float64: numbers go in as N(0, 1), so that the terms of a sum are of about size 1 too, and
    each of up to n, with the sum so far, is rounded by a random share of UNIT: √n of that in all. 3 times as much is
    allowed, since a few such sums follow each other, of values that Toom-Cook's points enlarge."""
    formula = ATTACHED[name]
    for seed in SEEDS:
        given = arguments(name, seed, dtype)
        wanted = everything(formula.plain, converted(given, np.float32, np.float64))
        found = everything(formula.fast, given)
        assert found.keys() == wanted.keys()
        sizes = [a.size for a in (*given, *wanted.values()) if isinstance(a, np.ndarray)]
        largest = max(np.abs(array).max() for array in wanted.values() if array is not None)
        for what, right in wanted.items():
            assert (found[what] is None) == (right is None), (seed, what)
            if right is None:
                continue
            assert (found[what].dtype, found[what].shape) == (dtype, right.shape), (seed, what)
            own = np.abs(right).max()
            rounding = 3 * UNIT * max(sizes) ** 0.5 * STAGES.get(name, 1) * max(own, 1)
            limit = max(1e-10 * own, 1e-14 * largest) if dtype == np.float64 else rounding
            assert np.abs(found[what] - right).max() <= limit, (seed, what)


@every_pair
def test_what_is_not_needed_changes_nothing_else(name):
    formula = ATTACHED[name]
    for seed in SEEDS[:8]:
        given = arguments(name, seed)
        expected = everything(formula.fast, given)
        for need in (GradRequest(), GradRequest(params=False), GradRequest(input=False)):
            found = everything(formula.fast, given, need)
            for what, right in expected.items():
                kind, _, number = what.rpartition(" ")
                if kind == "gradient" and not (need.params if int(number) else need.input):
                    continue
                assert np.array_equal(found[what], right) or right is None, (seed, what, need)


@every_pair
def test_nothing_given_is_changed(name):
    """Neither x nor the parameters, nor what comes out by what is done with it later."""
    for functions, seed in itertools.product((ATTACHED[name].plain, ATTACHED[name].fast), SEEDS[:4]):
        given = arguments(name, seed)
        kept = [np.copy(a) for a in given]
        out, cache = functions[0](*given)
        grad = like(out, 1)
        before = out.copy(), grad.copy()
        functions[1](grad, cache)
        assert all(map(np.array_equal, given, kept)), seed
        assert all(map(np.array_equal, (out, grad), before)), seed


@two_cores
@pytest.mark.parametrize("name", sorted(ATTACHED.keys() - {"dense", "conv2d", "conv_transpose2d", "self_attention"}))
def test_bit_by_bit_the_same_with_any_number_of_threads(name, monkeypatch):
    """But for matrix products, which BLAS adds up in another order when they are cut."""
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    for seed in SEEDS[:8]:
        with threads.threads(1):
            alone = everything(ATTACHED[name].fast, arguments(name, seed, np.float32))
        shared = everything(ATTACHED[name].fast, arguments(name, seed, np.float32))
        assert all(np.array_equal(shared[what], array) for what, array in alone.items() if array is not None), seed


SPECIAL = np.array([-np.inf, np.inf, np.nan, -0.0, 0, 2, -3], np.float32)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "dropout", "max_pool2d", "batch_norm_inference"])
def test_infinity_and_nan(name):
    """Kernel and formula agree there too, but for a ReLU's slope at NaN, which may be either."""
    for seed in SEEDS:
        x, *rest = arguments(name, seed, np.float32)
        x = np.random.default_rng(seed).choice(SPECIAL, x.shape)
        with np.errstate(all="ignore"):
            wanted, found = (
                everything(functions[:2], (x, *rest)) for functions in (ATTACHED[name].plain, ATTACHED[name].fast)
            )
        kink = np.isnan(x) if "relu" in name else np.zeros(x.shape, bool)
        for what, right in wanted.items():
            both = (np.where(kink & (what != "out"), 0, a) if a.shape == x.shape else a for a in (found[what], right))
            np.testing.assert_allclose(*both, rtol=1e-5, atol=1e-4, err_msg=what)


# ---- optimizers and their kernels

RULES = {kind.rule.__name__: (kind.rule, kind.fast) for kind in optim.OPTIMIZERS.values()}
RULES["moving_average"] = optim.moving_average, updates.moving_average
FAST = {name: fast for name, (_, fast) in RULES.items() if fast is not None}
SETTINGS = {"t": 3, "lr": 0.1, "mu": 0.8, "rho": 0.9, "eps": 0.01, "beta1": 0.7, "beta2": 0.9, "rate": 0.1}


def rule_arguments(name, size, dtype):
    """-> the arrays, and the settings that follow them."""
    names, rng = list(inspect.signature(RULES[name][0]).parameters), np.random.default_rng(size)
    arrays = [rng.standard_normal(size).astype(dtype) for n in names if n not in SETTINGS]
    return [a**2 if n == "square" else a for n, a in zip(names, arrays, strict=False)], [
        SETTINGS[n] for n in names if n in SETTINGS
    ]


def test_every_optimizer_kernel_has_a_rule():
    public = {
        name
        for name, f in vars(updates).items()
        if inspect.isfunction(f) and f.__module__ == updates.__name__ and name[0] != "_"
    }
    assert public == FAST.keys()
    assert all(fast.__name__ == name for name, fast in FAST.items())


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize("name", FAST)
def test_an_optimizers_kernel_computes_its_rule(name):
    """All parameters at once, of both dtypes; all but the second array move, and nothing beside them."""
    rule, fast = RULES[name]
    for sizes in ((1,), (2, 1003, 1), (17, 100_003)):
        given = [rule_arguments(name, size, dtype) for size in sizes for dtype in (np.float32, np.float64)]
        settings, updated = given[0][1], [[a.copy() for a in arrays] for arrays, _ in given]
        fast(updated, *settings)
        for (arrays, _), (moved, read, *memory) in zip(given, updated, strict=True):
            assert np.array_equal(read, arrays[1])
            expected = rule(*(a.astype(np.float64) for a in arrays), *settings)
            for found, right in zip((moved, *memory), expected, strict=True):
                assert found.dtype == arrays[0].dtype
                limit = 1e-10 if found.dtype == np.float64 else 16 * UNIT  # a number is rounded about ten times
                assert np.abs(found - right).max() <= limit * np.abs(right).max()
        with threads.threads(1):
            alone = [[a.copy() for a in arrays] for arrays, _ in given]
            fast(alone, *settings)
        assert all(
            np.array_equal(a, b)
            for one, other in zip(alone, updated, strict=True)
            for a, b in zip(one, other, strict=True)
        )


# ---- a formula is all there is to it


def alone(module, *names, also=()):
    """What a module's functions are with nothing in scope but np, one another, and `names` from elsewhere.

    Its constants are there too, plain numbers that they are; also: kinds of statements besides functions. Error
    classes are not: right input raises nothing."""
    kept = [
        node
        for node in ast.parse(inspect.getsource(module)).body
        if isinstance(node, (ast.FunctionDef, *also)) or (isinstance(node, ast.Assign) and _numbers(node.value))
    ]
    scope = {"np": np, **{name: getattr(module, name) for name in names}}
    exec(compile(ast.Module(kept, []), module.__file__, "exec"), scope)
    return scope


def _numbers(node):
    inner = node.elts if isinstance(node, ast.Tuple) else [node]
    return all(isinstance(each, ast.Constant) for each in inner)


def functions_of(module, *endings):
    """The module's own public functions, those with one of these endings if any are given."""
    return [
        name
        for name, f in vars(module).items()
        if inspect.isfunction(f)
        and f.__module__ == module.__name__
        and name[0] != "_"
        and name.endswith(endings or ("",))
    ]


def same(a, b):
    a, b = ((each,) if not isinstance(each, tuple | list) else each for each in (a, b))
    return len(a) == len(b) and all(map(np.array_equal, a, b))


PARTS = ("_forward", "_backward", "_jvp", "_jvp_backward")
FORMULAS = {name.removesuffix("_forward"): module for module in MODULES for name in functions_of(module, "_forward")}


def test_every_formula_has_cases():
    assert FORMULAS.keys() == CASES.keys()
    named = {name for module in MODULES for name in functions_of(module, *PARTS)}
    assert {name.removesuffix(part) for name in named for part in PARTS if name.endswith(part)} >= FORMULAS.keys()
    assert {name for name in named if not any(name == f + part for f in FORMULAS for part in PARTS)} == set()


@pytest.mark.parametrize("name", FORMULAS)
def test_a_formula_needs_nothing_but_its_own_file(name):
    """Its text, executed with np alone, gives the very same numbers."""
    module = FORMULAS[name]
    library, by_itself = ([scope.get(name + part) for part in PARTS] for scope in (vars(module), alone(module)))
    assert [f is None for f in library] == [f is None for f in by_itself]
    if name in ("sigmoid", "tanh", "softplus"):  # their Jacobian is diagonal: its product with t is the backward pass
        library, by_itself = ([*f[:2], f[1], f[3]] for f in (library, by_itself))
    library, by_itself = ([f for f in functions if f is not None] for functions in (library, by_itself))
    if len(library) == 3:  # nothing is curved
        library, by_itself = ([*functions, lambda s, t, cache: None] for functions in (library, by_itself))
    for seed in SEEDS[:5]:
        wanted, found = (everything(functions, arguments(name, seed)) for functions in (library, by_itself))
        assert all(same(found[what], array) for what, array in wanted.items()), seed


@pytest.mark.parametrize("name", RULES)
def test_an_optimizers_rule_needs_nothing_but_its_own_file(name):
    arrays, settings = rule_arguments(name, 7, np.float64)
    assert same(alone(optim)[name](*arrays, *settings), RULES[name][0](*arrays, *settings))


def logits(seed, *shape):
    return 3 * np.random.default_rng(seed).standard_normal(shape)


LABELS = np.array([0, 2, 1, 2])
LOSS_FUNCTIONS = {
    "softmax": (logits(1, 4, 3),),
    "log_sum_exp": (logits(1, 4, 3),),
    "softmax_cross_entropy": (logits(1, 4, 3), LABELS),
    "semi_supervised": (logits(1, 4, 3), LABELS, logits(2, 5, 3), logits(3, 6, 3)),
    "feature_matching": (logits(1, 4, 3), logits(2, 3)),
    "l1": (logits(1, 4, 3), logits(2, 4, 3)),
}
POINTS, OTHERS = logits(4, 30, 2), logits(5, 25, 2)
PICTURES, TRUTH = np.random.default_rng(6).integers(0, 256, (2, 3, 12, 13, 2)).astype(np.uint8)
METRICS = {
    distances: {
        "frechet_distance": (POINTS, OTHERS),
        "kernel_distance": (POINTS, OTHERS),
        "inception_score": (layers.sigmoid(POINTS),),
        "precision_recall": (POINTS, OTHERS),
        "density_coverage": (POINTS, OTHERS),
        "class_balance": (LABELS, 4),
        "nearest_neighbours": (PICTURES, TRUTH),
        "correlations": (POINTS[:, 0], POINTS[:, 1]),
        "modes": (POINTS, OTHERS[:5], 0.3),
        "jensen_shannon": (POINTS, OTHERS, 2.0),
        "confusion": (LABELS, LABELS[::-1], 3),
    },
    image_metrics: {
        "psnr": (PICTURES, TRUTH),
        "mean_psnr": (PICTURES, TRUTH),
        "ssim": (PICTURES, TRUTH),
        "sharpness": (PICTURES,),
    },
}


def test_losses_need_nothing_but_their_own_file():
    scope = alone(losses, "softplus", "sigmoid", also=(ast.ClassDef,))
    assert set(functions_of(losses)) == LOSS_FUNCTIONS.keys()
    for name, given in LOSS_FUNCTIONS.items():
        assert same(scope[name](*given), getattr(losses, name)(*given)), name
    real, fake = logits(7, 6, 1), logits(8, 6, 1)
    for kind in losses.LOSSES.values():
        ours, by_itself = kind(), scope[kind.__name__]()
        assert same(by_itself.discriminator(real, fake), ours.discriminator(real, fake)), kind
        assert same(by_itself.generator(fake), ours.generator(fake)), kind


@pytest.mark.parametrize("module", METRICS, ids=lambda module: module.__name__)
def test_metrics_need_nothing_but_their_own_file(module):
    scope = alone(module)
    assert set(functions_of(module)) == METRICS[module].keys()
    for name, given in METRICS[module].items():
        assert same(scope[name](*given), getattr(module, name)(*given)), name


LONGEST = 20


def lines_of_code(function):
    """Without the docstring, comments and blank lines."""
    node = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function))).body[0]
    first = node.body[1 if ast.get_docstring(node) else 0].lineno
    lines = inspect.cleandoc("\n" + inspect.getsource(function)).splitlines()[first - 1 :]
    return sum(1 for line in lines if line.strip() and not line.lstrip().startswith("#"))


def read_by_people():
    for module in MODULES:
        yield from (getattr(module, name) for name in functions_of(module, *PARTS))
    yield from (rule for rule, _ in RULES.values())
    for module in (losses, *METRICS):
        yield from (getattr(module, name) for name in functions_of(module))
    for kind in vars(losses).values():
        if inspect.isclass(kind) and kind.__module__ == losses.__name__:
            yield from (method for method in vars(kind).values() if inspect.isfunction(method))


def test_no_formula_is_long():
    lengths = {f"{f.__module__}.{f.__qualname__}": lines_of_code(f) for f in read_by_people()}
    assert len(lengths) > 70
    assert {name: count for name, count in lengths.items() if count > LONGEST} == {}
