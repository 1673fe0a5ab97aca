"""Does a hand-written backward pass compute the derivative of its forward pass?

With fixed standard normal numbers R let J(θ, x) = Σ out · R, so that ∂J/∂out = R. Then `backward(R)` has to return
∂J/∂x and to add ∂J/∂θ to `grads`. Central differences say what these should be:

    n_i = (J(θ + h e_i) − J(θ − h e_i)) / 2h,        wrong by about h² from the curvature and ε/h from rounding.

Everything runs in float64 on copies. An array of analytic values a passes when, up to that rounding, both hold:

    max|a − n| / max(|a| + |n|) ≤ tolerance              the array as a whole,
    |a_i − n_i| / (|a_i| + |n_i|) ≤ √tolerance           every entry, so that no small one hides beside large ones.

Why not J = Σ out? After batch norm that sum is constant, so its gradient is zero whatever the code does.
"""

import copy
import inspect
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from minigan.base.errors import InputError
from minigan.gradcheck.causes import TINY, likely_cause, same

EPSILON = np.finfo(np.float64).eps


@dataclass
class Row:
    """One line of a report: an array whose gradient was compared, or a rule of the layer contract (`checked` = 0)."""

    name: str
    ok: bool
    cause: str = ""  # of a failure, as far as it can be guessed
    error: float = 0.0
    excess: float = 0.0  # how many times the allowed difference; above 1 is a failure
    shape: tuple = ()
    checked: int = 0
    size: int = 0
    kinks: int = 0  # entries not judged, since the objective has a corner there
    index: tuple | None = None  # the entry furthest off; None: the random direction
    analytic: float | None = None
    numeric: float | None = None

    def __str__(self):
        if not self.checked:
            return f"{self.name}: {self.cause}"
        where = "along a random direction" if self.index is None else str(list(self.index))
        return f"{self.name} {where}: analytic {self.analytic:.8g}, numeric {self.numeric:.8g}. {self.cause}"


@dataclass
class Report:
    """What a check found. `bool(report)` and `report.ok` say whether all is well, `print(report)` says the rest."""

    tolerance: float
    h: float
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self):
        """True when every row is, and at least one gradient was compared: a check of nothing is no success."""
        return any(row.checked for row in self.rows) and all(row.ok for row in self.rows)

    @property
    def worst(self):
        """The row furthest beyond what it is allowed; a wrong gradient before a broken rule. None without rows."""
        return max(self.rows, key=lambda row: (not row.ok, row.checked > 0, row.excess), default=None)

    def __bool__(self):
        return self.ok

    def __str__(self):
        cells = [("checked", "shape", "entries", "error", "verdict")]
        for row in self.rows:
            numbers = (str(row.shape), f"{row.checked} of {row.size}", f"{row.error:.1e}") if row.checked else ("",) * 3
            cells.append((row.name, *numbers, "ok" if row.ok else "WRONG"))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells]
        failed = [row for row in self.rows if not row.ok]
        verdict = "WRONG: " + (", ".join(row.name for row in failed) or "no gradient was compared")
        if self.ok:
            verdict = f"OK: analytic and numeric gradients agree (tolerance {self.tolerance:g}, h = {self.h:g})"
        return "\n".join([*table, "", *(f"- {row}" for row in failed), *(f"note: {n}" for n in self.notes), verdict])

    def add(self, name, check, *args):
        """Append the row of a check: what it returns, or made from None (right), a sentence or an exception (wrong)."""
        try:
            found = check(*args)
        except Exception as error:
            found = f"raised {type(error).__name__}: {error}"
        if not isinstance(found, Row):
            found = Row(name, True) if found is None else Row(name, False, found, np.inf, np.inf)
        self.rows.append(found)
        return found

    def run(self, trial, max_entries, seed):
        """Fill the report: does it run, is every gradient right, does every rule hold?"""
        with np.errstate(all="ignore"):
            if not self.add("runs", trial.runs).ok:
                return self
            for name, pair in trial.compared.items():
                row = self.add(name, _compare, name, *pair, trial, self.tolerance, self.h, max_entries, seed)
                if row.kinks:  # as ReLU has one at 0
                    self.notes.append(f"{name}: {row.kinks} entries near a kink; choose inputs further than 10h away")
            for rule in trial.rules:
                self.add(rule.__name__.replace("_", " "), rule)
            self.notes += trial.notes
        return self


def numerical_gradient(f, x, h=1e-5):
    """Central differences (f(x + h e_i) − f(x − h e_i)) / 2h of a scalar function, for every entry of a float64 array.
    `f` is called with `x` itself, one entry moved at a time; afterwards `x` is as before. Returns an array like `x`.
    """
    if getattr(x, "dtype", None) != np.float64:
        raise InputError(f"numerical_gradient needs a float64 array: in float32 a step of {h:g} drowns in the rounding")
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        gradient[index], _ = _slope(partial(_moved, partial(f, x), x, index, 1.0), h)
    return gradient


def check_gradients(layer, x, *, training=True, tolerance=1e-7, h=1e-5, max_entries=400, seed=0):
    """Compare `layer.backward` with central differences of `layer.forward` at `x`, and test the layer contract.

    The gradients of J = Σ forward(x) · R with respect to every parameter and the input (unless `x` holds integers) are
    compared; of an array with more than `max_entries` entries a random subset, and the derivative along one random
    direction through all of them. `seed` draws R and these. `layer` and `x` are left as they are.
    Returns a `Report`, and never raises: what the layer raises becomes a failed row.
    """
    return Report(tolerance, h).run(_LayerTrial(layer, x, training, seed), max_entries, seed)


def check_function(f, *arrays, names=None, tolerance=1e-7, h=1e-5, max_entries=400, seed=0):
    """The same for a function: `f(*arrays)` returns `(value, grad_1, …, grad_k)`, a scalar and a gradient per array.
    For losses and penalties. `names` are those of the arrays in the report. Returns a `Report`, and never raises.
    """
    return Report(tolerance, h).run(_FunctionTrial(f, arrays, names), max_entries, seed)


class _FunctionTrial:
    """A function with float64 copies of its arrays."""

    def __init__(self, f, arrays, names):
        self.rules, self.notes = (), ()
        self.f, self.given, self.names = f, arrays, names or [f"array {i}" for i in range(len(arrays))]

    def runs(self):
        self.arrays = [np.array(array, dtype=np.float64) for array in self.given]
        value, *gradients = self.f(*(arrays := copy.deepcopy(self.arrays)))
        if np.ndim(value) != 0:
            return f"the value must be a scalar; its shape is {np.shape(value)}"
        if not all(map(np.array_equal, arrays, self.arrays)):
            return "it changes its arrays in place: work on a copy"
        if not same(self.objective(), np.array([value])):
            return "two calls on the same arrays return different values: does it draw random numbers?"
        self.input = self.arrays[0]
        self.compared = dict(zip(self.names, zip(self.arrays, gradients, strict=True), strict=True))
        return _misfits(self.compared)

    def objective(self):
        return np.array([self.f(*copy.deepcopy(self.arrays))[0]], dtype=np.float64)


class _LayerTrial:
    """A float64 copy of a layer with its input. It is never run itself: every pass runs on a copy of it, so that
    running statistics and random generators start from the same state each time."""

    def __init__(self, layer, x, training, seed):
        self.original, self.given, self.training, self.seed, self.notes = layer, x, training, seed, []
        self.rules = self.leaves_inputs_alone, self.accumulates, self.can_skip_grads, self.forgets, self.keeps_float32

    def runs(self):
        x = np.array(self.given)
        self.smooth = x.dtype.kind == "f"  # labels and the like have no gradient
        self.input = x.astype(np.float64) if self.smooth else x
        self.layer = _fresh(self.original, np.float64)
        out, again = (self.forward(copy.deepcopy(self.layer), self.input.copy()) for _ in range(2))
        if out.dtype != np.float64:
            return f"out is {out.dtype} although x and the parameters are float64"
        if not same(out, again):
            return "forward differs when repeated from the same state: draw from a numpy Generator that the layer owns"
        self.grad_output = np.random.default_rng(self.seed).standard_normal(out.shape)
        self.gradients = self.step(copy.deepcopy(self.layer))
        params = getattr(self.layer, "params", {})
        self.compared = {name: (params.get(name, self.input), grad) for name, grad in self.gradients.items()}
        return _misfits(self.compared)

    def forward(self, layer, x):
        return layer.forward(x, training=self.training) if _accepts(layer.forward, "training") else layer.forward(x)

    def step(self, layer, **how):
        """Forward and backward; returns copies of the gradients, since a layer may reuse its arrays."""
        self.forward(layer, self.input.copy())
        grad_input = layer.backward(self.grad_output.copy(), **how)
        gradients = {name: copy.copy(layer.grads.get(name)) for name in getattr(layer, "params", {})}
        return gradients | ({"input": copy.copy(grad_input)} if self.smooth else {})

    def objective(self):
        return self.forward(copy.deepcopy(self.layer), self.input.copy()) * self.grad_output

    def leaves_inputs_alone(self):
        layer, x, grad_output = copy.deepcopy(self.layer), self.input.copy(), self.grad_output.copy()
        self.forward(layer, x)
        layer.backward(grad_output)
        now = {"x": x, "grad_output": grad_output} | getattr(layer, "params", {})
        before = {"x": self.input, "grad_output": self.grad_output} | getattr(self.layer, "params", {})
        changed = [name for name in now if not np.array_equal(now[name], before[name])]
        return f"forward or backward changes {', '.join(changed)} in place: work on a copy" if changed else None

    def accumulates(self):
        layer = copy.deepcopy(self.layer)
        first = self.step(layer)
        second = self.step(_zeroed(copy.deepcopy(layer)))  # by itself, from the same state
        both = self.step(layer)
        for name in getattr(layer, "params", {}):
            if not same(both[name], first[name] + second[name]):
                hint = "did you write = instead of +=?" if same(both[name], second[name]) else "is += missing?"
                return f"after two passes grads[{name!r}] is not the sum of both gradients: {hint}"

    def can_skip_grads(self):
        layer = copy.deepcopy(self.layer)
        if not _accepts(layer.backward, "need_param_grads"):
            return self.notes.append("backward takes no need_param_grads, so it cannot leave grads alone")
        for gradient in getattr(layer, "grads", {}).values():
            gradient[...] = 0.5  # any value that a gradient, added to it or written over it, would change
        after = self.step(layer, need_param_grads=False)
        changed = [name for name, gradient in after.items() if name != "input" and (gradient != 0.5).any()]
        if self.smooth and not same(after["input"], self.gradients["input"]):
            changed.append("grad_input")
        return f"need_param_grads=False has to leave these alone: {', '.join(changed)}" if changed else None

    def forgets(self):
        """Other batches, of another size, come and go: the next result must be as if they had not."""
        layer = copy.deepcopy(self.layer, visited := {})
        states = [(v, v.bit_generator.state) for v in visited.values() if isinstance(v, np.random.Generator)]
        other = np.concatenate([self.input[::-1], self.input[:1]]) if self.input.ndim else self.input
        layer.backward(np.ones_like(self.forward(layer, other.copy())))
        self.forward(layer, other.copy())  # as when samples are drawn between two steps: no backward follows
        for generator, state in states:
            generator.bit_generator.state = state  # that dropout draws another mask is no error
        after = self.step(_zeroed(layer))
        changed = [name for name in after if not same(after[name], self.gradients[name])]
        return f"an earlier call on another batch changes the gradient of {', '.join(changed)}" if changed else None

    def keeps_float32(self):
        layer = _fresh(self.original, np.float32)
        single = copy.copy(self)  # the same steps in another dtype
        single.input = self.input.astype(np.float32) if self.smooth else self.input
        single.grad_output = self.grad_output.astype(np.float32)
        results = {"out": single.forward(layer, single.input)} | single.step(layer)
        wrong = [f"{name} is {result.dtype}" for name, result in results.items() if result.dtype != np.float32]
        return f"with float32 parameters and input {', '.join(wrong)}" if wrong else None


def _compare(name, array, gradient, trial, tolerance, h, max_entries, seed):
    """The row for one array: its analytic gradient against differences of the objective while its entries move."""
    rng = np.random.default_rng(seed)
    complete = array.size <= max_entries
    picked = np.arange(array.size) if complete else np.sort(rng.choice(array.size, max_entries, replace=False))
    lines = [partial(_moved, trial.objective, array, np.unravel_index(i, array.shape), 1.0) for i in picked]
    a = gradient.reshape(-1)[picked]
    if not complete:  # of length 1, and every entry weighs the same: an error outside the sample is seen too
        direction = rng.choice([-1.0, 1.0], array.shape) / np.sqrt(array.size)
        lines.append(partial(_moved, trial.objective, array, ..., direction))
        a = np.append(a, (gradient * direction).sum())
    if not lines:
        return Row(name, True, shape=array.shape)
    n, rounding = np.array([_slope(line, h) for line in lines]).T
    gap, own, finite = abs(a - n), abs(a) + abs(n), np.isfinite(a - n)
    largest = own[finite].max(initial=TINY)

    strict = np.minimum(tolerance * largest, np.sqrt(tolerance) * own) + TINY
    kink = np.zeros(len(lines), bool)
    for k in np.flatnonzero(finite & (gap > strict + rounding)):
        low, high, kinked, spread = _examine(lines[k], h, rounding[k])
        kink[k] = kinked and low - rounding[k] <= a[k] <= high + rounding[k]
        if not kinked:
            rounding[k] = max(rounding[k], 2 * spread)
    times = np.where(kink, 0, np.where(finite, gap / (strict + rounding), np.inf))
    worst, wrong = int(times.argmax()), times > 1
    error = np.where(finite, gap / (largest + rounding / tolerance), np.inf)[~kink].max(initial=0)
    if wrong.any() and error <= tolerance:  # it is small only beside the largest entry
        error = gap[worst] / own[worst]
    cause, sampled = "", slice(len(picked))
    if wrong[sampled].any():
        cause = likely_cause(a[sampled], n[sampled], wrong[sampled], array, trial.input, complete)
    elif wrong.any():
        cause = "The sampled entries are right, so some outside the sample are wrong: raise max_entries to find them."
    elif kink.all():
        cause = "Every entry lies near a kink, so nothing was compared."
    index = tuple(map(int, np.unravel_index(picked[worst], array.shape))) if worst < len(picked) else None
    measures, counts = (float(error), float(times[worst])), (array.shape, len(picked), array.size, int(kink.sum()))
    return Row(name, not cause, cause, *measures, *counts, index, float(a[worst]), float(n[worst]))


def _moved(f, array, where, direction, step):
    """f() at array[where] + step · direction; the array is then as before."""
    kept = np.copy(array[where])
    array[where] = kept + step * direction
    try:
        return f()
    finally:
        array[where] = kept


def _slope(terms, h):
    """The central difference, and a generous bound on what rounding does to it, ε · ‖J's terms‖ / h. These are
    subtracted before they are summed, so that those which do not move cancel exactly."""
    above, below = terms(h), terms(-h)
    return np.sum(above - below) / (2 * h), 10 * EPSILON * np.linalg.norm(above) / h


def _examine(terms, h, rounding):
    """A closer look where a and n disagree: the two one-sided slopes, whether a kink sets them apart, and how far n
    moves with the step, which says how well it is known. Where J is smooth the slopes differ by h · J'': half as much
    for half the step, a quarter for a quarter. A kink less than h away spoils at least one of these ratios."""
    here, steps = terms(0.0), np.array([h, h / 2, h / 4])
    ahead = np.array([(terms(step) - here).sum() / step for step in steps])
    behind = np.array([(here - terms(-step)).sum() / step for step in steps])
    jump, central = ahead - behind, (ahead + behind) / 2
    kinked = abs(jump[0]) > 2 * rounding and max(abs(jump / jump[0] - steps / h)) > 0.2
    return *sorted((ahead[0], behind[0])), kinked, abs(central - central[0]).max()


def _misfits(pairs):
    """Which gradient is no array of its array's shape and dtype, in words; None if all are."""
    for name, (array, gradient) in pairs.items():
        got = f"{getattr(gradient, 'dtype', type(gradient).__name__)} {np.shape(gradient)}"
        expected = f"{array.dtype} {array.shape}"
        if got != expected:
            return f"the gradient of {name} is {got}; expected {expected}"


def _accepts(method, keyword):
    return any(p.name == keyword or p.kind is p.VAR_KEYWORD for p in inspect.signature(method).parameters.values())


def _zeroed(layer):
    for gradient in getattr(layer, "grads", {}).values():
        gradient[...] = 0
    return layer


def _fresh(layer, dtype):
    """A deep copy that computes in `dtype`, its gradients zero."""
    if hasattr(layer, "astype"):
        return _zeroed(copy.deepcopy(layer).astype(dtype))
    # Told that these copies are made already, deepcopy puts them wherever the originals are: in a container's dict, in
    # the child layer that owns the array, in an attribute.
    arrays = [array for kind in ("params", "grads", "buffers") for array in getattr(layer, kind, {}).values()]
    made = {id(a): a.astype(dtype) for a in arrays if isinstance(a, np.ndarray) and a.dtype.kind == "f"}
    return _zeroed(copy.deepcopy(layer, made))
